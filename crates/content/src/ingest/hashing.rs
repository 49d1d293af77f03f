//! Hashing a blob while it comes in, so that its commit reads nothing that was just hashed.
//!
//! The hasher follows the unbroken run of bytes from the first one on. One task at a time has it;
//! bytes that came out of order are read back from the page cache.

use std::os::unix::fs::FileExt as _;
use std::sync::PoisonError;

use sealift_oci::{Digest, Hasher};

use super::Ingest;
use crate::{Error, Result};

/// How much one write reads back and hashes, in bytes, or twice its own length if that is more: the
/// hasher gains on several writers, and none of them waits long.
const CATCH_UP: u64 = 1024 * 1024;
const BUFFER: usize = 256 * 1024;

/// A hasher that was taken out of the state, and how far it has come.
pub(super) struct Turn {
    hasher: Hasher,
    at: u64,
    pub(super) end: u64,
    epoch: u64,
}

impl Ingest {
    /// Hashes what continues the unbroken run: first the bytes at hand, then some that are
    /// read back. Where another task is hashing, that one or the commit will come to it.
    pub(super) fn hash(&self, at: u64, bytes: &[u8], epoch: u64) -> Result<()> {
        let Some(mut turn) = self.take_turn() else {
            return Ok(());
        };
        let end = at + bytes.len() as u64;
        // After a discard others may have written there: what is in the file counts.
        if turn.epoch == epoch && (at..end).contains(&turn.at) && end <= turn.end {
            turn.hasher.update(&bytes[(turn.at - at) as usize..]);
            turn.at = end;
        }
        let budget = CATCH_UP.max(2 * bytes.len() as u64);
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

    /// Waits for the hasher once every byte is there; the turn ends at the blob's size.
    pub(super) fn last_turn(&self) -> Result<Turn> {
        let mut state = self.lock();
        loop {
            let total = self.whole(&state)?;
            if let Some(hasher) = state.hasher.take() {
                return Ok(Turn {
                    hasher,
                    at: state.hashed,
                    end: total,
                    epoch: state.epoch,
                });
            }
            state = self
                .idle
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Hashes the rest.
    pub(super) fn finish(&self, mut turn: Turn) -> Result<Digest> {
        let until = turn.end;
        let result = self.read_back(&mut turn, until);
        let hasher = turn.hasher.clone();
        // Put back whatever comes, so that what failed can be tried again.
        self.end_turn(turn, result.is_ok());
        result.map(|()| hasher.finish())
    }
}
