//! Young blobs: they have their names, but are not known to be on the disk.
//!
//! Waiting for the disk before each blob gets its name would slow every fetch to the pace of whatever
//! else the machine writes. A blob is therefore named as soon as its digest was checked, and is
//! *young* until it is known to be on the disk: a file that its owner may write to is young, a
//! read-only one is settled. A file is made young, so no crash can leave one settled by mistake.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::io::Errno;

use crate::Result;
use crate::boot::boot;
use crate::folder::sync_folder;

/// The mode of a blob that is on the disk.
const SETTLED: u32 = 0o444;
/// The right that makes a blob a young one.
const OWNER_WRITES: u32 = 0o200;

/// Returns whether a file is a young blob.
pub(crate) fn is_young(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.permissions().mode() & OWNER_WRITES != 0
}

/// Brings a blob to the disk, and marks it; returns its size in bytes.
pub(crate) fn settle(file: &File) -> io::Result<u64> {
    file.sync_all()?;
    let metadata = file.metadata()?;
    // A file that has other names too may be somebody else's.
    if metadata.nlink() > 1 {
        return Ok(metadata.len());
    }
    file.set_permissions(Permissions::from_mode(SETTLED))?;
    Ok(metadata.len())
}

/// Brings a blob to the disk before it has its name, where the system does not tell its starts apart:
/// nobody would know when to read it again.
pub(crate) fn settle_first(file: &File) -> io::Result<()> {
    if boot() == 0 {
        settle(file)?;
    }
    Ok(())
}

/// Brings a new blob's name to the disk, where [`settle_first`] was needed.
pub(crate) fn settle_name(path: &Path) -> Result<()> {
    if boot() == 0 {
        sync_folder(crate::file::folder(path))?;
    }
    Ok(())
}

/// Returns whether the system has given up bytes that it had taken.
pub(crate) fn is_loss(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::IO | Errno::NOSPC | Errno::DQUOT))
}
