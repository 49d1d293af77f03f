//! Sets of byte ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of bytes as disjoint ranges that do not touch each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeSet(BTreeMap<u64, u64>);

impl RangeSet {
    /// Adds a range.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        while let Some((&s, &e)) = self.0.range(..=end).next_back() {
            if e < start {
                break;
            }
            start = start.min(s);
            end = end.max(e);
            self.0.remove(&s);
        }
        self.0.insert(start, end);
    }

    /// Takes a range away.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&s, &e)) = self.0.range(..range.end).next_back() {
            if e <= range.start {
                break;
            }
            self.0.remove(&s);
            if e > range.end {
                self.0.insert(range.end, e);
            }
            if s < range.start {
                self.0.insert(s, range.start);
            }
        }
    }

    /// Lists the parts of a range that are not in the set.
    pub(crate) fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        let before = self.0.range(..=range.start).next_back();
        let after = self.0.range(range.start.saturating_add(1)..);
        for (&s, &e) in before.into_iter().chain(after) {
            if s >= range.end {
                break;
            }
            if s > at {
                gaps.push(at..s);
            }
            at = at.max(e);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// Returns the first byte from `start` on that is not in the set.
    pub(crate) fn run_from(&self, start: u64) -> u64 {
        match self.0.range(..=start).next_back() {
            Some((_, &end)) if end > start => end,
            _ => start,
        }
    }

    /// Returns one past the last byte of the set.
    pub(crate) fn end(&self) -> u64 {
        self.0.values().next_back().copied().unwrap_or(0)
    }

    /// Counts the bytes in the set.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// Lists the ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        /// Holds the set against a plain array of flags.
        #[test]
        fn agrees_with_flags(steps in vec((any::<bool>(), 0u64..80, 0u64..30), 0..60), probe in (0u64..90, 0u64..40)) {
            let mut set = RangeSet::default();
            let mut flags = [false; 128];
            for (add, start, len) in steps {
                let range = start..start + len;
                flags[start as usize..(start + len) as usize].fill(add);
                if add { set.insert(range) } else { set.remove(range) }
            }
            let listed: Vec<Range<u64>> = set.iter().collect();
            prop_assert_eq!(&listed, &runs(&flags, 0, 128, true));
            prop_assert_eq!(set.len(), flags.iter().filter(|flag| **flag).count() as u64);
            prop_assert_eq!(set.end(), listed.last().map_or(0, |range| range.end));
            let (start, len) = probe;
            let gaps = runs(&flags, start as usize, (start + len).min(128) as usize, false);
            prop_assert_eq!(set.missing(start..(start + len).min(128)), gaps);
            let run = flags[start as usize..].iter().take_while(|flag| **flag).count() as u64;
            prop_assert_eq!(set.run_from(start), start + run);
        }
    }

    fn runs(flags: &[bool], from: usize, to: usize, wanted: bool) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for at in (from..to).filter(|at| flags[*at] == wanted) {
            match runs.last_mut() {
                Some(run) if run.end == at as u64 => run.end += 1,
                _ => runs.push(at as u64..at as u64 + 1),
            }
        }
        runs
    }

    #[test]
    fn the_open_end_of_an_unknown_size_is_one_gap() {
        let mut set = RangeSet::default();
        set.insert(0..5);
        assert_eq!(set.missing(0..u64::MAX), vec![5..u64::MAX]);
    }
}
