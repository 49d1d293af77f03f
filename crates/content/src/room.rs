//! Whether blobs that are still to come fit on the disk.

use std::fs::File;

use sealift_oci::Digest;

use crate::disk;
use crate::store::Store;

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
    /// Returns whether they fit.
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
            let partial = File::open(self.layout().partial(digest));
            let held = partial.map_or(0, |file| disk::allocated(&file));
            size.div_ceil(BLOCK)
                .saturating_mul(BLOCK)
                .saturating_sub(held)
        };
        let needed = blobs.into_iter().map(needed);
        Room {
            needed: needed.fold(0, u64::saturating_add),
            available: disk::available(self.root()).saturating_sub(disk::RESERVE),
        }
    }
}
