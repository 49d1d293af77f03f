//! Locks between processes, each an advisory lock on a file of its own that is never removed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, Result};

/// A hold on the store: while somebody else shares it, nothing is removed.
///
/// A command takes one before it looks for content and keeps it until what it needs is named. Where
/// the store is read-only and nobody ever locked it, it holds nothing: nobody can remove anything.
#[derive(Debug)]
pub struct Lease(Option<File>);

impl Lease {
    /// Waits for a hold that others may share.
    pub(crate) fn shared(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let locked = file.as_ref().map_or(Ok(()), File::lock_shared);
        locked.map_err(Error::io("lock", path))?;
        Ok(Self(file))
    }

    /// Waits until nobody else has a hold.
    pub(crate) fn exclusive(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let locked = file.as_ref().map_or(Ok(()), File::lock);
        locked.map_err(Error::io("lock", path))?;
        Ok(Self(file))
    }

    /// Takes the only hold, unless somebody has one.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        match file.as_ref().map_or(Ok(()), File::try_lock) {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", path)(source)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing is not enough: a process that somebody is just starting has the file open too,
        // until it becomes another program. Where this fails, that delay is all that it costs.
        let _ = self.0.as_ref().map(File::unlock);
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    let opened = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let opened = opened.or_else(|error| match error.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => File::open(path),
        _ => Err(error),
    });
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", path)(error)),
    }
}
