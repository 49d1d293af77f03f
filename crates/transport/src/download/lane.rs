//! How far each running range has come, so that the slowest can be relieved of its second half.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a range may still take before it is shared with another connection.
const PATIENCE: f64 = 3.0;
/// How often the lanes are looked at.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// The smallest half that is worth a request, in bytes.
const LEAST: u64 = 256 << 10;

/// One running range.
#[derive(Debug)]
pub(super) struct Lane {
    start: u64,
    at: AtomicU64,
    /// Where it ends; moved forward when its second half is given to another.
    end: AtomicU64,
    begun: Instant,
}

impl Lane {
    pub(super) fn new(start: u64, end: u64) -> Arc<Self> {
        Arc::new(Self {
            start,
            at: AtomicU64::new(start),
            end: AtomicU64::new(end),
            begun: Instant::now(),
        })
    }

    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    pub(super) fn reached(&self, at: u64) {
        self.at.store(at, Ordering::Relaxed);
    }

    fn left(&self) -> u64 {
        self.end().saturating_sub(self.at.load(Ordering::Relaxed))
    }

    /// Returns how many seconds it will still take at its present speed.
    fn remaining(&self, now: Instant) -> f64 {
        let done = self.at.load(Ordering::Relaxed) - self.start;
        let passed = now.saturating_duration_since(self.begun).as_secs_f64();
        // Nothing yet is no speed, but no eternity either: it may just have begun.
        let rate = done.max(1) as f64 / passed.max(0.001);
        self.left() as f64 / rate
    }
}

/// Takes the second half from the lane that would end last, where that is worth a request.
pub(super) fn relieve(lanes: &[Arc<Lane>], now: Instant) -> Option<std::ops::Range<u64>> {
    let ripe = lanes.iter().filter(|lane| {
        let old = now.saturating_duration_since(lane.begun) >= LOOK * 2;
        old && lane.left() >= 2 * LEAST && lane.remaining(now) > PATIENCE
    });
    let slowest = ripe.max_by(|a, b| a.remaining(now).total_cmp(&b.remaining(now)))?;
    let end = slowest.end();
    let middle = end - slowest.left() / 2;
    slowest.end.store(middle, Ordering::Relaxed);
    Some(middle..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_lane_gives_its_second_half() {
        const MIB: u64 = 1 << 20;
        let (fast, slow) = (Lane::new(0, 16 * MIB), Lane::new(16 * MIB, 32 * MIB));
        fast.reached(14 * MIB);
        slow.reached(17 * MIB);
        let lanes = [Arc::clone(&fast), Arc::clone(&slow)];
        let begun = slow.begun;
        assert_eq!(
            relieve(&lanes, begun + Duration::from_millis(100)),
            None,
            "too young"
        );
        let later = begun + Duration::from_secs(2);
        let half = relieve(&lanes, later).unwrap();
        assert_eq!(half, 32 * MIB - 15 * MIB / 2..32 * MIB);
        assert_eq!(slow.end(), half.start);
        while relieve(&lanes, later).is_some() {}
        assert!(slow.remaining(later) <= PATIENCE || slow.left() < 2 * LEAST);
        assert_eq!(fast.end(), 16 * MIB, "whoever is soon done is left alone");
    }
}
