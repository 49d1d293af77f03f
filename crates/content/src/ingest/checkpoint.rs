//! What of a partial blob outlives a crash of the machine: it is brought to the disk and recorded now
//! and then, and at the end where an ingest is dropped.

use super::{End, Ingest};
use crate::Result;

/// How much is written between two checkpoints, in bytes.
const CHECKPOINT: u64 = 64 * 1024 * 1024;

impl Ingest {
    pub(super) fn checkpoint_if_due(&self) -> Result<()> {
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
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if *self.end() != End::Open {
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
