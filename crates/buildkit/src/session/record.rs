//! What happened on a session: counts, and the first thing that went wrong on our side.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use crate::Error;

/// What a daemon asked of us during a solve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Files of contexts whose content was sent.
    pub files_sent: u64,
    /// Bytes of their content.
    pub file_bytes_sent: u64,
    /// Blobs that were asked for, each time that one was.
    pub blob_reads: u64,
    /// Bytes of blobs that were sent.
    pub blob_bytes_sent: u64,
    /// Blobs of results that came in.
    pub blobs_received: u64,
    /// Bytes of results that came in, as blobs, files or archives.
    pub bytes_received: u64,
    /// Secrets that were given.
    pub secrets_given: u64,
    /// Requests for credentials and tokens; 0 in a sealed build.
    pub auth_requests: u64,
    /// Questions about sources.
    pub sources_asked: u64,
}

/// A count of [`Traffic`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    FilesSent,
    FileBytesSent,
    BlobReads,
    BlobBytesSent,
    BlobsReceived,
    BytesReceived,
    SecretsGiven,
    AuthRequests,
    SourcesAsked,
}

/// Shared by the services of one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: [AtomicU64; 9],
    problem: Mutex<Option<Error>>,
    heard: Mutex<Option<Instant>>,
    folder_written: AtomicBool,
    vanished: Mutex<Vec<PathBuf>>,
}

impl Record {
    /// Adds to a count.
    pub(crate) fn add(&self, count: Count, more: u64) {
        self.0.counts[count as usize].fetch_add(more, Ordering::Relaxed);
    }

    /// Keeps an error, unless there is an earlier one: what the daemon says of it later is less
    /// exact.
    pub(crate) fn fail(&self, error: Error) {
        let mut problem = self
            .0
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        problem.get_or_insert(error);
    }

    /// Keeps a store's error, and makes the status that the daemon gets.
    pub(super) fn store_failed(&self, error: sealift_content::Error) -> Status {
        let status = Status::failed_precondition(error.to_string());
        self.fail(Error::Store(error));
        status
    }

    /// Takes the error.
    pub(crate) fn take_problem(&self) -> Option<Error> {
        let mut problem = self
            .0
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        problem.take()
    }

    /// Notes that the daemon lives.
    pub(crate) fn heard(&self) {
        *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns for how long the daemon has been silent; a first question begins the time.
    pub(crate) fn silence(&self) -> Duration {
        let mut heard = self.0.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get_or_insert_with(Instant::now).elapsed()
    }

    /// Notes that all files of a result have been written.
    pub(super) fn folder_written(&self) {
        self.0.folder_written.store(true, Ordering::Release);
    }

    /// Returns whether all files of a result have been written.
    pub(crate) fn is_folder_written(&self) -> bool {
        self.0.folder_written.load(Ordering::Acquire)
    }

    /// Notes that a file of a context vanished after it was listed.
    pub(super) fn file_vanished(&self, path: &Path) {
        self.vanished().push(path.to_owned());
    }

    /// Takes the files that vanished.
    pub(crate) fn take_vanished(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.vanished())
    }

    fn vanished(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0
            .vanished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the counts.
    pub(crate) fn traffic(&self) -> Traffic {
        let count = |count: Count| self.0.counts[count as usize].load(Ordering::Relaxed);
        Traffic {
            files_sent: count(Count::FilesSent),
            file_bytes_sent: count(Count::FileBytesSent),
            blob_reads: count(Count::BlobReads),
            blob_bytes_sent: count(Count::BlobBytesSent),
            blobs_received: count(Count::BlobsReceived),
            bytes_received: count(Count::BytesReceived),
            secrets_given: count(Count::SecretsGiven),
            auth_requests: count(Count::AuthRequests),
            sources_asked: count(Count::SourcesAsked),
        }
    }
}
