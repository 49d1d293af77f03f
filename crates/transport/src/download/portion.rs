//! How much of what is left one connection gets, and when one is enough for all of it.

use crate::connection::FAST;
use crate::settings::Limits;

/// A range's size, in bytes, before anything is known about a server's speed.
const FIRST: u64 = 8 << 20;
/// How long one range should take, so that a request's delay weighs little.
const SECONDS: f64 = 2.0;

/// Whether one connection of this rate, in bytes a second, is fast enough for all that is left.
pub(super) fn is_soon_done(rate: Option<f64>, left: u64) -> bool {
    rate.is_some_and(|rate| rate >= FAST && left as f64 <= rate * SECONDS)
}

/// The size of the next range, in bytes, where so many connections may share what is left.
pub(super) fn size(rate: Option<f64>, left: u64, width: usize, limits: &Limits) -> u64 {
    let wanted = rate.map_or(FIRST, |rate| (rate * SECONDS) as u64);
    let most = if is_soon_done(rate, left) {
        wanted
    } else {
        // Towards the end, the ranges shrink so that all connections end together.
        wanted.min(left / width.max(1) as u64)
    };
    most.clamp(limits.range_min, limits.range_max.max(limits.range_min))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn slow_connections_share_and_a_fast_one_takes_all() {
        let limits = Limits::default();
        let size = |rate: Option<f64>, left| size(rate, left, 4, &limits);
        assert_eq!(size(None, 200 * MB), FIRST);
        assert_eq!(size(Some(8e6), 200 * MB), 16 * MB, "two seconds");
        assert_eq!(size(Some(8e6), 40 * MB), 10 * MB, "a fourth");
        assert_eq!(size(Some(8e6), MB), limits.range_min);
        assert!(size(Some(300e6), 200 * MB) >= 200 * MB);
        assert_eq!(size(Some(300e6), 2_000 * MB), 500 * MB);
        assert_eq!(size(Some(1e12), u64::MAX), limits.range_max);
    }

    #[test]
    fn one_connection_is_enough_only_where_it_is_fast() {
        assert!(is_soon_done(Some(FAST), 200 * MB));
        assert!(!is_soon_done(Some(FAST), 201 * MB));
        assert!(!is_soon_done(Some(FAST - 1.0), 1));
        assert!(!is_soon_done(None, 1));
    }
}
