//! Bodies that come too slowly while another endpoint could send the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Cause;
use crate::host::Host;

/// The rate below which another endpoint of unknown speed is asked, in bytes a second.
const FLOOR: f64 = 50e3;
/// What part of another endpoint's rate is still worth staying for.
const WORTH: f64 = 0.25;
/// The longest time over which a rate is taken.
const WINDOW: Duration = Duration::from_secs(5);

/// Returns the rate below which another endpoint is asked, from the other endpoints' rates where the
/// run has seen them. One that is slow itself is no reason to move.
pub(super) fn floor(others: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let floors = others.filter_map(|other| match other {
        None => Some(FLOOR),
        Some(rate) => (rate >= FLOOR).then_some((rate * WORTH).max(FLOOR)),
    });
    floors.max_by(f64::total_cmp)
}

/// Watches how fast a host sends: all that comes from it counts, or connections that share a slow line
/// would each be blamed for it.
pub(super) struct Trickle {
    floor: Option<f64>,
    window: Duration,
    host: Arc<Host>,
    since: Instant,
    received: u64,
}

impl Trickle {
    pub(super) fn new(floor: Option<f64>, stall: Duration, host: &Arc<Host>) -> Self {
        Self {
            floor,
            window: stall.min(WINDOW),
            host: Arc::clone(host),
            since: Instant::now(),
            received: host.received(),
        }
    }

    /// Fails at the end of a window in which too little came.
    pub(super) fn check(&mut self) -> Result<(), Cause> {
        let passed = self.since.elapsed();
        let Some(floor) = self.floor.filter(|_| passed >= self.window) else {
            return Ok(());
        };
        let received = self.host.received();
        let rate = (received - self.received) as f64 / passed.as_secs_f64();
        if rate < floor {
            return Err(Cause::Trickle { rate: rate as u64 });
        }
        self.since = Instant::now();
        self.received = received;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_endpoints_rate_decides() {
        let floor = |other| floor(std::iter::once(other));
        assert_eq!(floor(None), Some(FLOOR));
        assert_eq!(floor(Some(1e6)), Some(250e3));
        assert_eq!(floor(Some(100e3)), Some(FLOOR));
        assert_eq!(floor(Some(20e3)), None, "no better there");
    }
}
