//! Delays between attempts: exponential with full jitter, from a seed where one is given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::settings::Retry;

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

    /// Returns the delay after the `round`th round of failures, from 1: anything between nothing and
    /// the bound, so that many who failed together do not come back together.
    pub(crate) fn delay(&self, round: u32) -> Duration {
        let factor = 2_u32.saturating_pow(round.saturating_sub(1).min(20));
        let bound = self.base.saturating_mul(factor).min(self.cap);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        bound.mul_f64(random.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
