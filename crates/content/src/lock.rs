//! Locks between processes, each an advisory lock on a file of its own that is never removed.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::layout::Layout;
use crate::{Error, Result};

/// A shared hold on the store: while it lives, nothing is removed.
///
/// A command takes one before it looks for content and keeps it until what it needs is named.
#[derive(Debug)]
pub struct Lease {
    _lock: Lock,
}

/// The right to change `index.json`, or to remove content.
#[derive(Debug)]
pub(crate) struct Exclusive {
    _lock: Lock,
}

/// A locked file.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that somebody is just starting has the file open too,
        // until it becomes another program. Where this fails, that delay is all that it costs.
        let _ = self.0.unlock();
    }
}

/// Waits for a shared hold.
pub(crate) fn lease(layout: &Layout) -> Result<Lease> {
    let path = layout.use_lock();
    let file = open(&path)?;
    file.lock_shared().map_err(Error::io("lock", &path))?;
    Ok(Lease { _lock: Lock(file) })
}

/// Takes the store for removal, unless somebody has a lease.
pub(crate) fn exclusive_use(layout: &Layout) -> Result<Exclusive> {
    let path = layout.use_lock();
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Exclusive { _lock: Lock(file) }),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            root: layout.root().to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
    }
}

/// Waits for the right to change `index.json`; held for the time of one small write.
pub(crate) fn index(layout: &Layout) -> Result<Exclusive> {
    let path = layout.index_lock();
    let file = open(&path)?;
    file.lock().map_err(Error::io("lock", &path))?;
    Ok(Exclusive { _lock: Lock(file) })
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io("open", path))
}
