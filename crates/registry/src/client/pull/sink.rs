//! A blob's ingest as the place that a download goes to.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sealift_content::Ingest;
use sealift_transport::Sink;

use crate::client::{Event, Watcher};

/// How much a blob grows between two events, in bytes.
const STEP: u64 = 256 * 1024;

/// Writes what comes into an ingest, and tells of it.
pub(super) struct BlobSink {
    pub(super) ingest: Arc<Ingest>,
    pub(super) watcher: Arc<dyn Watcher>,
    pub(super) size: u64,
    /// Bytes that are there, as far as was told.
    told: AtomicU64,
    done: AtomicU64,
}

impl BlobSink {
    pub(super) fn new(ingest: Arc<Ingest>, watcher: Arc<dyn Watcher>, size: u64) -> Self {
        let done = ingest.written();
        Self {
            ingest,
            watcher,
            size,
            told: AtomicU64::new(done),
            done: AtomicU64::new(done),
        }
    }

    fn tell(&self, done: u64) {
        let told = self.told.load(Ordering::Relaxed);
        if done.abs_diff(told) < STEP && done != self.size {
            return;
        }
        // Whoever comes second has less news.
        let first = self
            .told
            .compare_exchange(told, done, Ordering::Relaxed, Ordering::Relaxed);
        if first.is_ok() {
            self.watcher.event(&Event::BlobProgress {
                digest: self.ingest.digest().clone(),
                done,
                size: self.size,
            });
        }
    }
}

impl Sink for BlobSink {
    fn missing(&self) -> Vec<Range<u64>> {
        self.ingest.missing()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.ingest.write_at(offset, bytes).map_err(to_io)?;
        let length = bytes.len() as u64;
        let done = self.done.fetch_add(length, Ordering::Relaxed) + length;
        self.tell(done.min(self.size));
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.ingest.discard(range).map_err(to_io)?;
        let done = self.ingest.written();
        self.done.store(done, Ordering::Relaxed);
        self.tell(done);
        Ok(())
    }
}

/// Gives a store's failure the kind by which the transport judges it.
fn to_io(error: sealift_content::Error) -> io::Error {
    let kind = match &error {
        sealift_content::Error::DiskFull { .. } => io::ErrorKind::StorageFull,
        sealift_content::Error::Io { source, .. } => source.kind(),
        sealift_content::Error::Overrun { .. } => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
