//! Room on disk, and how its lack is told.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use sealift_oci::Digest;

use crate::{Error, Result, Store, partial};

/// What is left to others, so that index and records can still be written, in bytes.
const RESERVE: u64 = 256 * 1024;
/// Below this size a reservation costs more than it saves, in bytes.
const RESERVATION_MIN: u64 = 1024 * 1024;

/// What the file system gives files, in bytes, as a rule.
const BLOCK: u64 = 4096;

/// The room that blobs need which are still to come, and the room that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that the disk does not hold for them yet.
    pub needed: u64,
    /// Bytes that the file system has for us.
    pub available: u64,
}

impl Room {
    /// Tells whether they fit.
    #[must_use]
    pub const fn fits(&self) -> bool {
        self.needed <= self.available
    }
}

impl Store {
    /// Compares what blobs of these sizes need with what the disk has. What is in the store needs
    /// nothing, and a partial blob only what the disk does not hold for it.
    #[must_use]
    pub fn room_for<'a>(&self, blobs: impl IntoIterator<Item = (&'a Digest, u64)>) -> Room {
        let needed = |(digest, size): (&Digest, u64)| {
            if self.contains(digest) {
                return 0;
            }
            let partial = File::open(partial::data_path(self.layout(), digest));
            let held = partial.map_or(0, |file| allocated(&file));
            size.div_ceil(BLOCK)
                .saturating_mul(BLOCK)
                .saturating_sub(held)
        };
        let needed = blobs.into_iter().map(needed);
        Room {
            needed: needed.fold(0, u64::saturating_add),
            available: available(self.root()).saturating_sub(RESERVE),
        }
    }
}

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

/// Makes a function that tells a full disk from other failures of a write.
pub(crate) fn write_error(path: &Path, needed: u64) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(&path, needed),
        _ => Error::io("write", &path)(source),
    }
}

fn full(path: &Path, needed: u64) -> Error {
    Error::DiskFull {
        path: path.to_owned(),
        needed,
        available: available(path.parent().unwrap_or(path)),
    }
}

fn allocated(file: &File) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata()
        .map_or(0, |metadata| metadata.blocks().saturating_mul(512))
}
