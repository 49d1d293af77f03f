//! Free space on disk, and how its lack is reported.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::{Error, Result};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// What is left to others, so that index and records can still be written, in bytes.
pub(crate) const RESERVE: u64 = 256 * 1024;
/// Below this size a reservation costs more than it saves, in bytes.
const RESERVATION_MIN: u64 = 1024 * 1024;

/// Returns how many bytes the file system has for us; all of them where it does not say.
pub(crate) fn available(path: &Path) -> u64 {
    statvfs(path).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Checks that `needed` more bytes fit beside `path`, then reserves them where the file system can.
pub(crate) fn reserve(file: &File, path: &Path, size: u64, needed: u64) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let allocated = allocated(file);
    let more = needed.min(size.saturating_sub(allocated));
    if more > 0 && available(folder).saturating_sub(RESERVE) < more {
        return Err(full(path, more));
    }
    if needed < RESERVATION_MIN {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, size) {
        Err(rustix::io::Errno::NOSPC) => Err(full(path, more)),
        // Not every file system can reserve; then the write itself will tell.
        _ => Ok(()),
    }
}

/// Returns a function that distinguishes a full disk from other failures of a write.
pub(crate) fn write_error(path: &Path, needed: u64) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| match is_full(&source) {
        true => full(&path, needed),
        false => Error::io("write", &path)(source),
    }
}

/// Returns whether the system says that a disk or a quota is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn full(path: &Path, needed: u64) -> Error {
    let stat = statvfs(path.parent().unwrap_or(path));
    if stat.is_ok_and(|stat| stat.f_files > 0 && stat.f_favail == 0) {
        let path = path.to_owned();
        return Error::NoInodes { path };
    }
    Error::DiskFull {
        path: path.to_owned(),
        needed,
        available: available(path.parent().unwrap_or(path)),
    }
}

pub(crate) fn allocated(file: &File) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata()
        .map_or(0, |metadata| metadata.blocks().saturating_mul(512))
}
