//! Who sent the wrong bytes: with several endpoints in one blob, their parts are replaced one
//! endpoint after the other until the digest is right. Only then is somebody known to be guilty.

use std::ops::Range;

use sealift_transport::{Endpoint, Route};

/// What is known about who sent what of one blob.
pub(super) struct Blame {
    route: Route,
    size: u64,
    parts: Vec<(Range<u64>, Endpoint)>,
    /// Endpoints whose parts were replaced, the last one last.
    replaced: Vec<Endpoint>,
    last_host: String,
}

impl Blame {
    pub(super) fn new(route: Route, size: u64) -> Self {
        Self {
            last_host: route.origin().authority(),
            route,
            size,
            parts: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Returns the route without those whose parts were replaced; all of it where nobody is left.
    pub(super) fn route(&self) -> Route {
        let left = |endpoint: &&Endpoint| !self.replaced.contains(endpoint);
        let (origin, mirrors) = self
            .route
            .endpoints()
            .split_last()
            .expect("a route has at least one endpoint by construction");
        let mirrors: Vec<Endpoint> = mirrors.iter().filter(left).cloned().collect();
        if left(&origin) {
            return Route::new(mirrors, origin.clone());
        }
        Route::mirrors_only(mirrors).unwrap_or_else(|| self.route.clone())
    }

    /// Takes what a download brought.
    pub(super) fn add(&mut self, parts: Vec<(Range<u64>, Endpoint)>) {
        if let Some((_, endpoint)) = parts.last() {
            self.last_host = endpoint.authority();
        }
        self.parts.extend(parts);
    }

    /// Names the hosts whose bytes are in the blob.
    pub(super) fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self
            .parts
            .iter()
            .map(|(_, from)| from.authority())
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    pub(super) fn last_host(&self) -> String {
        self.last_host.clone()
    }

    /// After a wrong digest, returns the ranges to be fetched again: those of which nobody knows
    /// who sent them, else those of the likeliest endpoint, mirrors before the origin.
    pub(super) fn next(&mut self) -> Vec<Range<u64>> {
        let unknown = self.unknown();
        if !unknown.is_empty() {
            return unknown;
        }
        let mut order = self.route.endpoints().iter();
        let suspect = order
            .find(|one| self.parts.iter().any(|(_, from)| from == *one))
            .cloned();
        let Some(suspect) = suspect else {
            self.parts.clear();
            return std::iter::once(0..self.size).collect();
        };
        let is_suspect = |(_, from): &(Range<u64>, Endpoint)| *from == suspect;
        let doubtful = self.parts.iter().filter(|part| is_suspect(part));
        let doubtful = doubtful.map(|(range, _)| range.clone()).collect();
        self.parts.retain(|part| !is_suspect(part));
        self.replaced.retain(|one| *one != suspect);
        self.replaced.push(suspect);
        doubtful
    }

    /// Once the digest is right, names the endpoint whose parts were wrong, if another one is
    /// left to be asked in its place.
    pub(super) fn guilty(&self) -> Option<&Endpoint> {
        let last = self.replaced.last()?;
        let innocent = !self.parts.iter().any(|(_, from)| from == last);
        innocent.then_some(last)
    }

    /// Ranges that no endpoint of this run is known to have sent.
    fn unknown(&self) -> Vec<Range<u64>> {
        let mut known: Vec<&Range<u64>> = self.parts.iter().map(|(range, _)| range).collect();
        known.sort_by_key(|range| range.start);
        let mut gaps = Vec::new();
        let mut at = 0;
        for range in known {
            if range.start > at {
                gaps.push(at..range.start);
            }
            at = at.max(range.end);
        }
        if at < self.size {
            gaps.push(at..self.size);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use sealift_transport::Scheme;

    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint::new(Scheme::Https, host).unwrap()
    }

    fn one(start: u64, end: u64) -> Vec<Range<u64>> {
        std::iter::once(start..end).collect()
    }

    fn hosts(route: &Route) -> Vec<String> {
        route.endpoints().iter().map(Endpoint::authority).collect()
    }

    fn blame() -> (Blame, Vec<Endpoint>) {
        let route = Route::new([endpoint("a"), endpoint("b")], endpoint("origin"));
        let endpoints = route.endpoints().to_vec();
        (Blame::new(route, 100), endpoints)
    }

    #[test]
    fn what_an_earlier_run_left_is_doubted_first() {
        let (mut blame, ends) = blame();
        blame.add(vec![(40..100, ends[0].clone())]);
        assert_eq!(blame.next(), one(0, 40));
        blame.add(vec![(0..40, ends[0].clone())]);
        assert_eq!(blame.guilty(), None, "nobody's part was replaced");
        assert_eq!(blame.next(), [40..100, 0..40]);
        assert_eq!(hosts(&blame.route()), ["b", "origin"]);
    }

    #[test]
    fn only_the_one_whose_replacement_helped_is_guilty() {
        let (mut blame, ends) = blame();
        blame.add(vec![
            (0..10, ends[0].clone()),
            (10..20, ends[1].clone()),
            (20..100, ends[2].clone()),
        ]);
        assert_eq!(blame.next(), one(0, 10));
        assert_eq!(hosts(&blame.route()), ["b", "origin"]);
        blame.add(vec![(0..10, ends[2].clone())]);
        assert_eq!(blame.next(), one(10, 20));
        assert_eq!(hosts(&blame.route()), ["origin"]);
        blame.add(vec![(10..20, ends[2].clone())]);
        assert_eq!(blame.guilty(), Some(&ends[1]));
    }

    #[test]
    fn a_lone_origin_is_asked_again_and_never_guilty() {
        let mut blame = Blame::new(Route::direct(endpoint("origin")), 10);
        let origin = blame.route().origin().clone();
        blame.add(vec![(0..10, origin.clone())]);
        assert_eq!(blame.next(), one(0, 10));
        assert_eq!(hosts(&blame.route()), ["origin"]);
        blame.add(vec![(0..10, origin)]);
        assert_eq!(blame.guilty(), None);
    }
}
