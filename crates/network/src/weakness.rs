//! Hosts that are reached over plain HTTP or without checks of their certificates, and who says so.

use std::collections::BTreeMap;

use sealift_config::{Place, Sourced};

use super::endpoint::Scheme;
use super::findings::Findings;
use super::host::Host;

/// Returns the hosts whose weak transport is the word of a project alone, loopback aside. The first
/// source counts that says anything.
pub(crate) fn by_project(findings: &[Findings]) -> Vec<Sourced<Host>> {
    let others = findings.iter().filter(|findings| !findings.by_project);
    let otherwise = weak(others.clone());
    let blocks: Vec<_> = others.flat_map(|findings| &findings.insecure).collect();
    let accepted = |host: &Host| {
        let address = host.address();
        let inside = |address| blocks.iter().any(|block| block.value.contains(&address));
        host.is_loopback() || otherwise.contains_key(host) || address.is_some_and(inside)
    };
    let weak = weak(findings.iter()).into_iter();
    weak.filter(|(host, _)| !accepted(host))
        .map(|(host, from)| Sourced::new(host, from))
        .collect()
}

fn weak<'a>(findings: impl Iterator<Item = &'a Findings> + Clone) -> BTreeMap<Host, Place> {
    let mut weak = BTreeMap::new();
    let mut schemes = BTreeMap::new();
    let mut checks = BTreeMap::new();
    for (host, rule) in findings.clone().flat_map(|findings| &findings.hosts) {
        if let Some(scheme) = &rule.scheme {
            schemes.entry(host.server()).or_insert(scheme);
        }
        if let Some(verify) = &rule.verify {
            checks.entry(host.server()).or_insert(verify);
        }
    }
    for (host, verify) in checks {
        if !verify.value {
            weak.insert(host, verify.from.clone());
        }
    }
    for (host, scheme) in schemes {
        if scheme.value != Scheme::Https {
            weak.insert(host, scheme.from.clone());
        }
    }
    let rules = findings.flat_map(|findings| &findings.rules);
    for candidate in rules.flat_map(|rule| rule.mirrors.iter().chain(&rule.origin)) {
        let endpoint = &candidate.endpoint;
        if candidate.explicit && endpoint.scheme == Scheme::Http {
            weak.insert(endpoint.host.server(), endpoint.from.clone());
        }
    }
    weak
}
