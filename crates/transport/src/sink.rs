//! Where downloads go.

use std::io;
use std::ops::Range;

/// Takes what a download brings, in any order and from several connections at once.
///
/// The calls are made on the task that reads from the network: a write into the page cache, not a
/// flush to the disk, is what they should cost.
pub trait Sink: Send + Sync {
    /// Returns the ranges that have not been written yet, in ascending order. Where the size is not
    /// known, the last one ends at `u64::MAX`.
    fn missing(&self) -> Vec<Range<u64>>;

    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// Whatever the disk says; the download ends with it.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Forgets what was written to a range: it is missing again.
    ///
    /// # Errors
    /// Whatever the disk says; the download ends with it.
    fn discard(&self, range: Range<u64>) -> io::Result<()>;
}

impl<S: Sink + ?Sized> Sink for &S {
    fn missing(&self) -> Vec<Range<u64>> {
        (**self).missing()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        (**self).discard(range)
    }
}
