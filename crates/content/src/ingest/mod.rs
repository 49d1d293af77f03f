//! The only way into the store: bytes are written to a partial file in any order and by several
//! tasks, hashed as the unbroken run from the first byte grows, and named once their digest is right.

mod checkpoint;
mod hashing;

use std::fmt;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sealift_oci::{Digest, Hasher};

use crate::folder::make_folder;
use crate::journal::Journal;
use crate::layout::Layout;
use crate::partial::Partial;
use crate::ranges::RangeSet;
use crate::young::{settle_first, settle_name};
use crate::{Error, Result, disk};

/// What asking for a blob's ingest gives.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and one blob has one"
)]
pub enum Ingestion {
    /// The blob is in the store.
    Present,
    /// Another task or process is bringing it in: ask again later.
    Busy,
    /// It is ours to bring in.
    Ready(Ingest),
}

/// A blob that is being brought in. Dropped before its commit, it keeps what was written.
pub struct Ingest {
    digest: Digest,
    size: Option<u64>,
    resumed: u64,
    layout: Arc<Layout>,
    partial: Partial,
    state: Mutex<State>,
    /// Told when the hasher is put back.
    idle: Condvar,
    end: Mutex<End>,
    running: Mutex<Option<checkpoint::Running>>,
}

/// How an ingest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Committed,
    Dropped,
}

struct State {
    written: RangeSet,
    in_flight: RangeSet,
    /// Set while and after a commit: nothing is written any more.
    sealed: bool,
    /// Away while somebody hashes.
    hasher: Option<Hasher>,
    hashed: u64,
    /// Counts the discards.
    epoch: u64,
    journal: Option<Journal>,
    /// Bytes written since the last checkpoint, and when that was begun.
    unsafe_bytes: u64,
    checkpoint: Instant,
}

impl Ingest {
    /// Starts or goes on with the ingest of a blob.
    pub(crate) fn begin(
        layout: &Arc<Layout>,
        digest: &Digest,
        size: Option<u64>,
        wait: bool,
    ) -> Result<Ingestion> {
        if present(layout, digest, size)? {
            return Ok(Ingestion::Present);
        }
        make_folder(&layout.blobs(digest.algorithm()))?;
        let Some(partial) = Partial::hold(layout, digest, wait)? else {
            return Ok(Ingestion::Busy);
        };
        // Its last holder may just have finished it.
        if present(layout, digest, size)? {
            partial.remove()?;
            return Ok(Ingestion::Present);
        }
        let (written, journal) = partial.recover(size)?;
        let resumed = written.len();
        let ingest = Self {
            digest: digest.clone(),
            size,
            resumed,
            layout: Arc::clone(layout),
            partial,
            state: Mutex::new(State {
                written,
                in_flight: RangeSet::default(),
                sealed: false,
                hasher: Some(Hasher::new(digest.algorithm())),
                hashed: 0,
                epoch: 0,
                journal,
                unsafe_bytes: 0,
                checkpoint: Instant::now(),
            }),
            idle: Condvar::new(),
            end: Mutex::new(End::Open),
            running: Mutex::new(None),
        };
        if let Some(size) = size {
            let file = &ingest.partial;
            disk::reserve(&file.data, &file.path, size, size.saturating_sub(resumed))?;
        }
        Ok(Ingestion::Ready(ingest))
    }

    /// Returns the digest that the content must have.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the size of the whole in bytes, where it is known.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns how many bytes were left by an earlier ingest.
    #[must_use]
    pub const fn resumed(&self) -> u64 {
        self.resumed
    }

    /// Returns how many bytes there are, in bytes.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.lock().written.len()
    }

    /// Lists what has not been written, in order. Where the size is not known, the last range ends
    /// at `u64::MAX`.
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u64>> {
        let end = self.size.unwrap_or(u64::MAX);
        self.lock().written.missing(0..end)
    }

    /// Returns the first byte that has not been written.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.lock().written.run_from(0)
    }

    /// Writes bytes at [`Ingest::position`]; for a single writer.
    ///
    /// # Errors
    /// As [`Ingest::write_at`].
    pub fn append(&self, bytes: &[u8]) -> Result<()> {
        self.write_at(self.position(), bytes)
    }

    /// Writes bytes in place. Bytes that are there already, or that another task is writing, are
    /// left as they are: give them up with [`Ingest::discard`] first to replace them.
    ///
    /// # Errors
    /// [`Error::Overrun`] where they end past the blob's size, [`Error::DiskFull`], [`Error::Io`].
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if let Some(size) = self.size.filter(|size| end > *size) {
            let digest = self.digest.clone();
            return Err(Error::Overrun { digest, end, size });
        }
        let (pieces, epoch) = self.claim(offset..end);
        for piece in pieces {
            let slice = &bytes[(piece.start - offset) as usize..(piece.end - offset) as usize];
            let result = self.partial.data.write_all_at(slice, piece.start);
            let needed = piece.end - piece.start;
            let result = result.map_err(disk::write_error(&self.partial.path, needed));
            self.settle(&piece, result)?;
            self.hash(piece.start, slice, epoch)?;
        }
        self.checkpoint_if_due()
    }

    /// Gives up a range: what was written there is missing again. Once a commit has begun it is too
    /// late, and nothing happens.
    ///
    /// # Errors
    /// [`Error::DiskFull`] or [`Error::Io`] where that can't be recorded.
    pub fn discard(&self, range: Range<u64>) -> Result<()> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.sealed {
            return Ok(());
        }
        state.written.remove(range.clone());
        // Where the hasher is away, a task may be reading just these bytes.
        if range.start < state.hashed || state.hasher.is_none() {
            state.hasher = Some(Hasher::new(self.digest.algorithm()));
            state.hashed = 0;
        }
        state.epoch += 1;
        match &mut state.journal {
            Some(journal) => journal.discarded(&range),
            None => Ok(()),
        }
    }

    /// Checks that every byte is there and that the digest is right, and leaves all as it is: after
    /// an [`Error::Mismatch`] the ranges that are in doubt can be discarded and written again.
    ///
    /// # Errors
    /// [`Error::Incomplete`] where bytes are missing, [`Error::Mismatch`] where the digest is wrong,
    /// [`Error::NotFound`] after a commit has dropped it, [`Error::DiskFull`], [`Error::Io`].
    pub fn check(&self) -> Result<()> {
        let end = self.end();
        match *end {
            End::Open => self.total().map(drop),
            _ => self.ended(*end),
        }
    }

    /// Checks size and digest, and gives the blob its name.
    ///
    /// # Errors
    /// As [`Ingest::check`]; after an [`Error::Mismatch`] the partial file is dropped.
    pub fn commit(&self) -> Result<()> {
        let mut end = self.end();
        if *end != End::Open {
            return self.ended(*end);
        }
        self.seal()?;
        let result = self.total().and_then(|total| self.publish(total));
        match &result {
            Ok(()) => *end = End::Committed,
            // What is in memory is right, what is on the disk may not be.
            Err(_) if self.partial.is_lost() => self.give_up(&mut end)?,
            Err(Error::Mismatch { .. }) => self.give_up(&mut end)?,
            Err(_) => self.lock().sealed = false,
        }
        result
    }

    fn give_up(&self, end: &mut End) -> Result<()> {
        *end = End::Dropped;
        self.partial.remove()
    }

    /// Ends all writing, if nothing is missing: what is hashed from now on gets the name.
    fn seal(&self) -> Result<()> {
        let mut state = self.lock();
        self.whole(&state)?;
        state.sealed = true;
        Ok(())
    }

    /// Returns the size of the whole, if nothing is missing.
    fn whole(&self, state: &State) -> Result<u64> {
        let end = state.written.end().max(state.in_flight.end());
        let total = self.size.unwrap_or(end);
        let gaps = state.written.missing(0..total);
        if gaps.is_empty() {
            return Ok(total);
        }
        Err(Error::Incomplete {
            digest: self.digest.clone(),
            missing: gaps.iter().map(|gap| gap.end - gap.start).sum(),
        })
    }

    /// Returns the size of the whole once its digest is found right.
    fn total(&self) -> Result<u64> {
        let turn = self.last_turn()?;
        let total = turn.end;
        let actual = self.finish(turn)?;
        if actual == self.digest {
            return Ok(total);
        }
        Err(Error::Mismatch {
            expected: self.digest.clone(),
            actual,
            resumed: self.resumed,
        })
    }

    fn publish(&self, total: u64) -> Result<()> {
        let partial = &self.partial;
        if partial.length()? != total {
            let cut = partial.data.set_len(total);
            cut.map_err(Error::io("truncate", &partial.path))?;
        }
        self.end_checkpoint()?;
        settle_first(&partial.data).map_err(|error| partial.lose(error))?;
        // A failure that an earlier write was told of counts: the system says it once only.
        if partial.is_lost() {
            let digest = self.digest.clone();
            return Err(Error::Lost { digest });
        }
        let path = self.layout.blob(&self.digest);
        fs::rename(&partial.path, &path).map_err(disk::write_error(&path, 0))?;
        settle_name(&path)?;
        self.partial.remove_journal()
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, end: End) -> Result<()> {
        match end {
            End::Dropped => Err(Error::NotFound {
                digest: self.digest.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Reserves the parts of a range that nobody has written or is writing; gives the epoch too.
    fn claim(&self, range: Range<u64>) -> (Vec<Range<u64>>, u64) {
        let mut state = self.lock();
        let mut claimed = Vec::new();
        let range = if state.sealed { 0..0 } else { range };
        for gap in state.written.missing(range) {
            claimed.extend(state.in_flight.missing(gap));
        }
        for piece in &claimed {
            state.in_flight.insert(piece.clone());
        }
        (claimed, state.epoch)
    }

    /// Records a finished write.
    fn settle(&self, piece: &Range<u64>, result: Result<()>) -> Result<()> {
        let mut state = self.lock();
        let state = &mut *state;
        state.in_flight.remove(piece.clone());
        result?;
        state.written.insert(piece.clone());
        state.unsafe_bytes += piece.end - piece.start;
        let whole = self.size.is_some_and(|size| *piece == (0..size));
        if state.journal.is_none() && !whole {
            // A blob that comes in one write needs no journal: most of them are small.
            state.journal = Some(self.partial.journal()?);
        }
        match &mut state.journal {
            Some(journal) => journal.written(piece),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .field("written", &self.written())
            .finish_non_exhaustive()
    }
}

/// Tells whether the blob is there with the size that is asked for.
fn present(layout: &Layout, digest: &Digest, size: Option<u64>) -> Result<bool> {
    let Some(actual) = layout.blob_size(digest)? else {
        return Ok(false);
    };
    match size.filter(|expected| *expected != actual) {
        Some(expected) => Err(Error::Size {
            digest: digest.clone(),
            expected,
            actual,
        }),
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests;
