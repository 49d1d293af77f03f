//! What happens to a body on its way: cut, stalled, changed, slowed.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::plan::{Fate, Fault};

/// What is to be done with a piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it, and go on.
    Pass,
    /// Send this many bytes of it, then close.
    Close(usize),
    /// Send this many bytes of it, then reset.
    Reset(usize),
    /// Send this many bytes of it, then nothing more.
    Stall(usize),
}

/// The fault of one body.
#[derive(Debug)]
pub(super) struct Spoiler {
    fault: Fault,
    place: u64,
    passed: u64,
}

impl Spoiler {
    /// Chooses the place of the fault in a body of `length` bytes.
    pub(super) fn new(fate: &mut Fate, length: u64) -> Self {
        Self {
            fault: if length == 0 { Fault::None } else { fate.fault },
            place: fate.random.u64(0..length.max(1)),
            passed: 0,
        }
    }

    /// Judges the next piece, and changes it where that is the fault.
    pub(super) fn judge(&mut self, piece: &mut [u8]) -> Verdict {
        let start = self.passed;
        self.passed += piece.len() as u64;
        if self.place < start || self.place >= self.passed {
            return Verdict::Pass;
        }
        let offset = usize::try_from(self.place - start).expect("a place within the piece");
        match self.fault {
            Fault::Cut => Verdict::Close(offset),
            Fault::CutReset => Verdict::Reset(offset),
            Fault::Stall => Verdict::Stall(offset),
            Fault::Corrupt => {
                piece[offset] ^= 0x55;
                Verdict::Pass
            }
            _ => Verdict::Pass,
        }
    }
}

/// Holds one connection to a rate, over all of its answers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    free: Option<Instant>,
}

impl Pace {
    /// Waits until `bytes` more may have left at `rate` bytes a second. Time in which nothing was
    /// sent is not made up for.
    pub(super) async fn hold(&mut self, rate: Option<u64>, bytes: usize) {
        let Some(rate) = rate else { return };
        let now = Instant::now();
        let start = self.free.map_or(now, |free| free.max(now));
        let next = start + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        self.free = Some(next);
        sleep_until(next).await;
    }
}
