//! What of a partial blob outlives a crash of the machine: it is brought to the disk and recorded now
//! and then, by a thread beside those that write, and at the end where an ingest is dropped.

use std::io;
use std::sync::{MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{End, Ingest};
use crate::journal::Checkpoint;
use crate::{Error, Result};

/// How much is written between two checkpoints at least, in bytes.
const CHECKPOINT: u64 = 64 * 1024 * 1024;
/// How long it is between two checkpoints at least: what comes sooner is sooner fetched again.
const APART: Duration = Duration::from_secs(5);

/// A checkpoint that is under way; it gives what the sync of the data said.
pub(super) type Running = JoinHandle<io::Result<()>>;

impl Ingest {
    /// Starts a checkpoint where enough was written since the last one.
    pub(super) fn checkpoint_if_due(&self) -> Result<()> {
        {
            let state = self.lock();
            if state.unsafe_bytes < CHECKPOINT || state.checkpoint.elapsed() < APART {
                return Ok(());
            }
        }
        let mut running = self.running();
        if running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.join(running.take())?;
        let Some(checkpoint) = self.begin_checkpoint()? else {
            return Ok(());
        };
        let path = &self.partial.path;
        let data = self.partial.data.try_clone();
        let data = data.map_err(Error::io("open", path))?;
        let thread = thread::Builder::new().name("sealift-checkpoint".to_owned());
        let started = thread.spawn(move || {
            data.sync_data()?;
            // Where this can't be recorded, the last checkpoint stays the last.
            let _ = checkpoint.finish();
            Ok(())
        });
        *running = Some(started.map_err(Error::io("start a thread for", path))?);
        Ok(())
    }

    /// Waits for a checkpoint that is under way: its failure is the only word of lost bytes.
    pub(super) fn end_checkpoint(&self) -> Result<()> {
        let running = self.running().take();
        self.join(running)
    }

    fn join(&self, running: Option<Running>) -> Result<()> {
        let synced = running.map(|thread| thread.join().unwrap_or(Ok(())));
        match synced {
            Some(Err(error)) => Err(self.partial.lose(error)),
            _ => Ok(()),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_checkpoint(&self) -> Result<Option<Checkpoint>> {
        let mut state = self.lock();
        state.unsafe_bytes = 0;
        state.checkpoint = Instant::now();
        let journal = state.journal.as_mut();
        journal
            .map(|journal| journal.begin_checkpoint())
            .transpose()
    }

    /// Brings what was written to the disk and records it.
    fn keep(&self) -> Result<()> {
        self.end_checkpoint()?;
        if self.lock().unsafe_bytes == 0 {
            return Ok(());
        }
        let Some(checkpoint) = self.begin_checkpoint()? else {
            return Ok(());
        };
        self.partial.sync()?;
        checkpoint.finish()
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure: at worst the next ingest begins anew.
        let _ = match *self.end() {
            End::Open if self.lock().written.len() > 0 => self.keep(),
            End::Open => self.partial.remove(),
            End::Committed | End::Dropped => self.end_checkpoint(),
        };
    }
}
