//! What is still to be fetched and not on its way yet.

use std::ops::Range;

/// Ranges waiting to be fetched, in ascending order, apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    waiting: Vec<Range<u64>>,
}

impl Pieces {
    pub(super) fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| range.start < range.end);
        ranges.sort_by_key(|range| range.start);
        let mut pieces = Self::default();
        for range in ranges {
            pieces.put(range);
        }
        pieces
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Where the first range begins.
    pub(super) fn first(&self) -> Option<u64> {
        self.waiting.first().map(|range| range.start)
    }

    /// How many bytes wait.
    pub(super) fn total(&self) -> u64 {
        self.waiting
            .iter()
            .map(|range| range.end - range.start)
            .fold(0, u64::saturating_add)
    }

    /// Takes up to `most` bytes from the front.
    pub(super) fn take(&mut self, most: u64) -> Option<Range<u64>> {
        let first = self.waiting.first_mut()?;
        let piece = first.start..first.end.min(first.start.saturating_add(most.max(1)));
        first.start = piece.end;
        if first.start >= first.end {
            self.waiting.remove(0);
        }
        Some(piece)
    }

    /// Takes all that waits.
    pub(super) fn take_all(&mut self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.waiting)
    }

    /// Puts a range back.
    pub(super) fn put(&mut self, range: Range<u64>) {
        if range.start >= range.end {
            return;
        }
        let at = self.waiting.partition_point(|own| own.end < range.start);
        let mut joined = range;
        while let Some(own) = self.waiting.get(at).filter(|own| own.start <= joined.end) {
            joined = joined.start.min(own.start)..joined.end.max(own.end);
            self.waiting.remove(at);
        }
        self.waiting.insert(at, joined);
    }

    /// Forgets all from `size` on: the content ends there.
    pub(super) fn clip(&mut self, size: u64) {
        for range in &mut self.waiting {
            range.end = range.end.min(size);
        }
        self.waiting.retain(|range| range.start < range.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_and_putting_back_loses_nothing() {
        let mut pieces = Pieces::new(vec![20..30, 0..10]);
        assert_eq!((pieces.total(), pieces.take(4)), (20, Some(0..4)));
        assert_eq!(pieces.take(100), Some(4..10), "never over a gap");
        pieces.put(2..4);
        pieces.put(4..8);
        pieces.put(30..30);
        assert_eq!(pieces, Pieces::new(vec![2..8, 20..30]));
        pieces.put(8..20);
        assert_eq!((pieces.waiting.len(), pieces.total()), (1, 28));
        pieces.clip(10);
        assert_eq!((pieces.waiting.len(), pieces.take(100)), (1, Some(2..10)));
        assert!(pieces.is_empty() && pieces.take(1).is_none());
    }

    #[test]
    fn open_ends_do_not_overflow() {
        let mut pieces = Pieces::new(vec![0..5, 7..u64::MAX]);
        assert!(pieces.total() > 1 << 60);
        pieces.take(5);
        assert_eq!(pieces.take(u64::MAX), Some(7..u64::MAX));
    }

    #[test]
    fn random_takes_and_puts_keep_every_byte_once() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..200 {
            let mut pieces = Pieces::default();
            pieces.put(0..1000);
            let mut out: Vec<Range<u64>> = Vec::new();
            for _ in 0..60 {
                if random.bool() || out.is_empty() {
                    out.extend(pieces.take(random.u64(1..200)));
                } else {
                    let back = out.swap_remove(random.usize(..out.len()));
                    let middle = random.u64(back.start..=back.end);
                    pieces.put(middle..back.end);
                    pieces.put(back.start..middle);
                }
                let held: u64 = out.iter().map(|range| range.end - range.start).sum();
                assert_eq!(pieces.total() + held, 1000);
            }
        }
    }
}
