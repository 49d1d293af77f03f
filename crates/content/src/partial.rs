//! The file of a blob that is not complete yet.
//!
//! The data is `tmp/ALGORITHM-HEX.partial`, held by an exclusive lock on that very file, and written
//! in place. Beside it, `.ranges` is the journal of which bytes were written. Whatever the journal
//! says, a blob gets its name by its digest alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sealift_oci::Digest;

use crate::folder::remove;
use crate::journal::{self, Journal};
use crate::layout::Layout;
use crate::ranges::RangeSet;
use crate::{Error, Result, disk};

/// A partial blob that this process holds.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) data: File,
    pub(crate) path: PathBuf,
    ranges: PathBuf,
    /// Set once bytes may have been lost on their way to the disk.
    lost: AtomicBool,
}

impl Partial {
    /// Takes hold of a blob's partial file, making it if there is none. Nothing where somebody else
    /// has it and `wait` is not wanted.
    pub(crate) fn hold(layout: &Layout, digest: &Digest, wait: bool) -> Result<Option<Self>> {
        let path = layout.partial(digest);
        let ranges = layout.ranges(digest);
        loop {
            let data = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(disk::write_error(&path, 0))?;
            if wait {
                data.lock().map_err(Error::io("lock", &path))?;
            } else {
                match data.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => return Ok(None),
                    Err(TryLockError::Error(source)) => {
                        return Err(Error::io("lock", &path)(source));
                    }
                }
            }
            // Until we had the lock its last holder may have given the file its final name.
            if is_at(&data, &path) {
                return Ok(Some(Self {
                    data,
                    path,
                    ranges,
                    lost: AtomicBool::new(false),
                }));
            }
        }
    }

    /// Reads which bytes there are, brings the journal into its shortest form, and leaves both
    /// files empty where nothing can be trusted.
    pub(crate) fn recover(&self, size: Option<u64>) -> Result<(RangeSet, Option<Journal>)> {
        let length = self.length()?;
        let mut written = journal::read(&self.ranges);
        written.remove(size.map_or(length, |size| size.min(length))..u64::MAX);
        if written.len() == 0 {
            remove(&self.ranges)?;
            self.data
                .set_len(0)
                .map_err(Error::io("truncate", &self.path))?;
            return Ok((written, None));
        }
        if size.is_some_and(|size| size < length) {
            self.data
                .set_len(size.unwrap_or(length))
                .map_err(Error::io("truncate", &self.path))?;
        }
        self.sync()?;
        let journal = Journal::create(&self.ranges, &written)?;
        Ok((written, Some(journal)))
    }

    /// Starts the journal of a new partial blob.
    pub(crate) fn journal(&self) -> Result<Journal> {
        Journal::create(&self.ranges, &RangeSet::default())
    }

    /// Returns the length of the data file.
    pub(crate) fn length(&self) -> Result<u64> {
        let metadata = self
            .data
            .metadata()
            .map_err(Error::io("read", &self.path))?;
        Ok(metadata.len())
    }

    /// Brings the data to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let synced = self.data.sync_data();
        synced.map_err(|error| self.lose(error))
    }

    /// Notes that a sync has failed: the system tells it once, and has given up the bytes.
    pub(crate) fn lose(&self, error: io::Error) -> Error {
        self.lost.store(true, Ordering::Relaxed);
        disk::write_error(&self.path, 0)(error)
    }

    /// Tells whether bytes may have been lost on their way to the disk.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Removes both files; the data file's lock goes with this value.
    pub(crate) fn remove(&self) -> Result<()> {
        remove(&self.ranges)?;
        remove(&self.path)
    }

    /// Removes the journal, once the data has its final name.
    pub(crate) fn remove_journal(&self) -> Result<()> {
        remove(&self.ranges)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Closing is not enough: a process that somebody is just starting has the file open too,
        // until it becomes another program. Where this fails, that delay is all that it costs.
        let _ = self.data.unlock();
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
