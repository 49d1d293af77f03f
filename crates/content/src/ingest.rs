//! The only way into the store: bytes are written to a partial file in any order and by several
//! tasks, hashed as the unbroken run from the first byte grows, and named once their digest is right.

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fmt, thread};

use sealift_oci::{Digest, Hasher};

use crate::layout::{Layout, make_folder};
use crate::partial::{Journal, Partial};
use crate::ranges::RangeSet;
use crate::{Error, Result, disk};

/// How much is read back and hashed at most by one write, in bytes, so that no writer waits long.
const CATCH_UP: u64 = 1024 * 1024;
/// How much is written between two checkpoints, in bytes.
const CHECKPOINT: u64 = 64 * 1024 * 1024;
/// From how many unhashed bytes on a commit hashes and syncs at the same time.
const SIDE_BY_SIDE: u64 = 8 * 1024 * 1024;
const BUFFER: usize = 256 * 1024;

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
    finished: Mutex<bool>,
}

struct State {
    written: RangeSet,
    in_flight: RangeSet,
    /// Away while somebody hashes.
    hasher: Option<Hasher>,
    hashed: u64,
    /// Counts the times that hashing began anew.
    epoch: u64,
    journal: Option<Journal>,
    /// Bytes written since the last checkpoint.
    unsafe_bytes: u64,
}

/// A hasher that was taken out of the state, and how far it has come.
struct Turn {
    hasher: Hasher,
    at: u64,
    end: u64,
    epoch: u64,
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
                hasher: Some(Hasher::new(digest.algorithm())),
                hashed: 0,
                epoch: 0,
                journal,
                unsafe_bytes: 0,
            }),
            idle: Condvar::new(),
            finished: Mutex::new(false),
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
        for piece in self.claim(offset..end) {
            let slice = &bytes[(piece.start - offset) as usize..(piece.end - offset) as usize];
            let result = self.partial.data.write_all_at(slice, piece.start);
            let needed = piece.end - piece.start;
            let result = result.map_err(disk::write_error(&self.partial.path, needed));
            self.settle(&piece, result)?;
            self.hash(piece.start, slice, CATCH_UP.max(2 * needed))?;
        }
        self.checkpoint_if_due()
    }

    /// Gives up a range: what was written there is missing again.
    ///
    /// # Errors
    /// [`Error::DiskFull`] or [`Error::Io`] where that can't be recorded.
    pub fn discard(&self, range: Range<u64>) -> Result<()> {
        let mut state = self.lock();
        let state = &mut *state;
        state.written.remove(range.clone());
        // Even where nothing of it is hashed yet, a task may be reading it to hash it.
        state.hasher = Some(Hasher::new(self.digest.algorithm()));
        state.hashed = 0;
        state.epoch += 1;
        match &mut state.journal {
            Some(journal) => journal.discarded(&range),
            None => Ok(()),
        }
    }

    /// Checks size and digest, brings the blob to the disk and gives it its name.
    ///
    /// # Errors
    /// [`Error::Incomplete`] where bytes are missing, [`Error::Mismatch`] where the digest is wrong
    /// (the partial file is dropped), [`Error::DiskFull`], [`Error::Io`].
    pub fn commit(&self) -> Result<()> {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if *finished {
            return Ok(());
        }
        let (turn, total) = self.last_turn()?;
        let actual = self.finish(turn)?;
        if actual != self.digest {
            *finished = true;
            self.partial.remove()?;
            return Err(Error::Mismatch {
                expected: self.digest.clone(),
                actual,
                resumed: self.resumed,
            });
        }
        if self.partial.length()? != total {
            let path = &self.partial.path;
            let cut = self.partial.data.set_len(total);
            cut.map_err(Error::io("truncate", path))?;
        }
        let blob = self.layout.blob(&self.digest);
        Layout::publish(&self.partial.data, &self.partial.path, &blob)?;
        *finished = true;
        self.partial.remove_journal()
    }

    /// Reserves the parts of a range that nobody has written or is writing.
    fn claim(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut state = self.lock();
        let mut claimed = Vec::new();
        for gap in state.written.missing(range) {
            claimed.extend(state.in_flight.missing(gap));
        }
        for piece in &claimed {
            state.in_flight.insert(piece.clone());
        }
        claimed
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

    /// Hashes what continues the unbroken run: first the bytes at hand, then up to `budget` bytes
    /// read back. Where another task is hashing, that one or the commit will come to it.
    fn hash(&self, at: u64, bytes: &[u8], budget: u64) -> Result<()> {
        let Some(mut turn) = self.take_turn() else {
            return Ok(());
        };
        let end = at + bytes.len() as u64;
        if (at..end).contains(&turn.at) && end <= turn.end {
            turn.hasher.update(&bytes[(turn.at - at) as usize..]);
            turn.at = end;
        }
        let until = turn.end.min(turn.at.saturating_add(budget));
        let result = self.read_back(&mut turn, until);
        self.end_turn(turn, result.is_ok());
        result
    }

    fn take_turn(&self) -> Option<Turn> {
        let mut state = self.lock();
        let end = state.written.run_from(state.hashed);
        if end == state.hashed {
            return None;
        }
        Some(Turn {
            hasher: state.hasher.take()?,
            at: state.hashed,
            end,
            epoch: state.epoch,
        })
    }

    fn end_turn(&self, turn: Turn, good: bool) {
        let mut state = self.lock();
        if state.epoch == turn.epoch {
            (state.hasher, state.hashed) = if good {
                (Some(turn.hasher), turn.at)
            } else {
                (Some(Hasher::new(self.digest.algorithm())), 0)
            };
        }
        self.idle.notify_all();
    }

    fn read_back(&self, turn: &mut Turn, until: u64) -> Result<()> {
        if turn.at >= until {
            return Ok(());
        }
        let mut buffer = vec![0; BUFFER.min((until - turn.at) as usize)];
        while turn.at < until {
            let step = buffer.len().min((until - turn.at) as usize);
            let buffer = &mut buffer[..step];
            self.partial
                .data
                .read_exact_at(buffer, turn.at)
                .map_err(Error::io("read", &self.partial.path))?;
            turn.hasher.update(buffer);
            turn.at += step as u64;
        }
        Ok(())
    }

    /// Waits for the hasher once every byte is there; gives it with the blob's size.
    fn last_turn(&self) -> Result<(Turn, u64)> {
        let mut state = self.lock();
        loop {
            let total = self.size.unwrap_or_else(|| state.written.end());
            let gaps = state.written.missing(0..total);
            if !gaps.is_empty() {
                return Err(Error::Incomplete {
                    digest: self.digest.clone(),
                    missing: gaps.iter().map(|gap| gap.end - gap.start).sum(),
                });
            }
            if let Some(hasher) = state.hasher.take() {
                let turn = Turn {
                    hasher,
                    at: state.hashed,
                    end: total,
                    epoch: state.epoch,
                };
                return Ok((turn, total));
            }
            state = self
                .idle
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Hashes the rest; where that is much, the data goes to the disk meanwhile.
    fn finish(&self, mut turn: Turn) -> Result<Digest> {
        let until = turn.end;
        let result = if until - turn.at < SIDE_BY_SIDE {
            self.read_back(&mut turn, until)
        } else {
            thread::scope(|scope| {
                let sync = scope.spawn(|| self.partial.sync());
                let hashed = self.read_back(&mut turn, until);
                let synced = sync.join().expect("a sync has nothing that panics");
                hashed.and(synced)
            })
        };
        let hasher = turn.hasher.clone();
        // Put back whatever comes, so that a commit which failed can be tried again.
        self.end_turn(turn, result.is_ok());
        result.map(|()| hasher.finish())
    }

    fn checkpoint_if_due(&self) -> Result<()> {
        if self.lock().unsafe_bytes < CHECKPOINT {
            return Ok(());
        }
        self.checkpoint()
    }

    /// Brings what was recorded so far to the disk, and records that.
    fn checkpoint(&self) -> Result<()> {
        let entries = {
            let mut state = self.lock();
            state.unsafe_bytes = 0;
            match &state.journal {
                Some(journal) => journal.entries(),
                None => return Ok(()),
            }
        };
        self.partial.sync()?;
        match &mut self.lock().journal {
            Some(journal) => journal.checkpoint(entries),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if *self.finished.lock().unwrap_or_else(PoisonError::into_inner) {
            return;
        }
        // Nobody is left to hear of a failure: at worst the next ingest begins anew.
        let (bytes, unsafe_bytes) = {
            let state = self.lock();
            (state.written.len(), state.unsafe_bytes)
        };
        let _ = match (bytes, unsafe_bytes) {
            (0, _) => self.partial.remove(),
            (_, 0) => Ok(()),
            _ => self.checkpoint(),
        };
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
    let Some(actual) = crate::store::blob_size(layout, digest)? else {
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
