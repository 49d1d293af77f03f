//! Delays between attempts: exponential with full jitter, from a seed where one is given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::settings::Retry;

/// The bound of the first delay after a failure that came at once on a link that works.
const QUICK: Duration = Duration::from_millis(25);
/// By how much that bound grows with each such failure.
const QUICK_GROWTH: f64 = 7.0 / 6.0;

/// The source of all delays of a transport.
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    random: Mutex<fastrand::Rng>,
}

impl Backoff {
    pub(crate) fn new(retry: &Retry) -> Self {
        let random = match retry.seed {
            Some(seed) => fastrand::Rng::with_seed(seed),
            None => fastrand::Rng::new(),
        };
        Self {
            base: retry.base,
            cap: retry.cap,
            random: Mutex::new(random),
        }
    }

    /// Returns the delay after the `round`th round of failures that came at once on a link that works,
    /// from 1. It grows by a sixth each time, so that a link which fails four times in five costs
    /// tenths of a second, and one that stays broken is not asked without end.
    pub(crate) fn quick_delay(&self, round: u32) -> Duration {
        let factor = QUICK_GROWTH.powi(i32::try_from(round.min(100)).unwrap_or(0) - 1);
        let bound = QUICK.min(self.base).mul_f64(factor).min(self.cap);
        self.within(bound)
    }

    /// Returns the delay after the `round`th round of failures, from 1: anything between nothing and
    /// the bound, so that many who failed together do not come back together.
    pub(crate) fn delay(&self, round: u32) -> Duration {
        let factor = 2_u32.saturating_pow(round.saturating_sub(1).min(20));
        let bound = self.base.saturating_mul(factor).min(self.cap);
        self.within(bound)
    }

    fn within(&self, bound: Duration) -> Duration {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        bound.mul_f64(random.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_delays_stay_short_for_long_but_not_for_ever() {
        let backoff = Backoff::new(&Retry {
            seed: Some(7),
            ..Retry::default()
        });
        let rounds = |count| -> Duration { (1..=count).map(|n| backoff.quick_delay(n)).sum() };
        let (twenty, hundred) = (rounds(20), rounds(100));
        assert!(twenty < Duration::from_secs(4), "{twenty:?}");
        assert!(hundred > Duration::from_secs(300), "{hundred:?}");
    }

    #[test]
    fn delays_grow_to_their_cap_and_follow_their_seed() {
        let retry = Retry {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(1),
            seed: Some(7),
            ..Retry::default()
        };
        let (one, two) = (Backoff::new(&retry), Backoff::new(&retry));
        for round in 1..40 {
            let bound = Duration::from_millis(100 << (round - 1).min(20)).min(retry.cap);
            let delay = one.delay(round);
            assert!(delay <= bound, "round {round}: {delay:?}");
            assert_eq!(delay, two.delay(round));
        }
        assert!(
            (0..100)
                .map(|_| one.delay(10))
                .any(|d| d > Duration::from_millis(500))
        );
    }
}
