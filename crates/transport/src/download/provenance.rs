//! Which endpoint sent which bytes: the base for blaming someone when a digest is wrong.

use std::ops::Range;

use crate::endpoint::Endpoint;

/// Which endpoint sent which bytes of a download in this run.
///
/// What an earlier run left in the sink has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    parts: Vec<(Range<u64>, Endpoint)>,
    size: Option<u64>,
}

impl Provenance {
    pub(crate) fn add(&mut self, range: Range<u64>, endpoint: &Endpoint) {
        let next = self
            .parts
            .iter_mut()
            .find(|(part, from)| part.end == range.start && from == endpoint);
        match next {
            Some((part, _)) => part.end = range.end,
            None => self.parts.push((range, endpoint.clone())),
        }
    }

    pub(crate) fn set_size(&mut self, size: Option<u64>) {
        self.size = size;
    }

    /// Returns the size of the whole content: the request's, else what the responses said.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the ranges in ascending order with the endpoint that sent each.
    #[must_use]
    pub fn parts(&self) -> Vec<(Range<u64>, Endpoint)> {
        let mut parts = self.parts.clone();
        parts.sort_by_key(|(range, _)| range.start);
        parts
    }

    /// Returns the ranges that one endpoint sent, in ascending order.
    #[must_use]
    pub fn ranges_of(&self, endpoint: &Endpoint) -> Vec<Range<u64>> {
        let own = self.parts.iter().filter(|(_, from)| from == endpoint);
        let mut ranges: Vec<Range<u64>> = own.map(|(range, _)| range.clone()).collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// Returns the endpoints that may be to blame for wrong content, the likeliest first: mirrors
    /// before the origin, then by the bytes that each sent.
    #[must_use]
    pub fn suspects(&self) -> Vec<Endpoint> {
        let mut shares: Vec<(Endpoint, u64)> = Vec::new();
        for (range, endpoint) in &self.parts {
            let bytes = range.end - range.start;
            match shares.iter_mut().find(|(from, _)| from == endpoint) {
                Some((_, share)) => *share += bytes,
                None => shares.push((endpoint.clone(), bytes)),
            }
        }
        shares.sort_by_key(|(endpoint, bytes)| (!endpoint.is_mirror(), std::cmp::Reverse(*bytes)));
        shares.into_iter().map(|(endpoint, _)| endpoint).collect()
    }

    /// Returns the bytes received in this run.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts
            .iter()
            .map(|(range, _)| range.end - range.start)
            .sum()
    }
}
