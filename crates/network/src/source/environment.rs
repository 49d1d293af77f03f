//! The variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, FTP_PROXY and NO_PROXY, in both cases.
//!
//! Of a variable that is set in both cases the upper one counts, as in Go, and so in Docker and
//! BuildKit; curl and Python take the lower one. A difference is reported as a conflict.

use std::collections::BTreeMap;

use sealift_config::{Conflict, Place, Reader, Sourced};

use crate::findings::Findings;
use crate::proxy::no_proxy_entries;
use crate::proxy::{Proxies, ProxyUrl};

/// Reads the environment, which is given as a value.
pub fn read(environment: &BTreeMap<String, String>, reader: &mut Reader<'_>) -> Findings {
    let lookup = |name: &str| {
        let value = environment.get(name)?;
        Some(Sourced::new(value.clone(), Place::variable(name)))
    };
    Findings {
        proxies: proxies(lookup, reader),
        ..Findings::default()
    }
}

/// Reads the five variables from wherever variables are set: the shell, a systemd unit.
pub(super) fn proxies(
    lookup: impl Fn(&str) -> Option<Sourced<String>>,
    reader: &mut Reader<'_>,
) -> Proxies {
    let mut one = |name: &str| {
        let text = both_cases(name, &lookup, reader)?;
        ProxyUrl::read(reader, name, text)
    };
    Proxies {
        http: one("HTTP_PROXY"),
        https: one("HTTPS_PROXY"),
        ftp: one("FTP_PROXY"),
        all: one("ALL_PROXY"),
        no_proxy: both_cases("NO_PROXY", &lookup, reader)
            .map(|text| no_proxy_entries(&text))
            .unwrap_or_default(),
    }
}

fn both_cases(
    name: &str,
    lookup: &impl Fn(&str) -> Option<Sourced<String>>,
    reader: &mut Reader<'_>,
) -> Option<Sourced<String>> {
    let find = |name: &str| lookup(name).filter(|text| !text.value.trim().is_empty());
    match (find(name), find(&name.to_ascii_lowercase())) {
        (Some(upper), Some(lower)) => {
            if upper.value != lower.value {
                reader.conflicts.push(Conflict {
                    what: name.to_owned(),
                    used: masked(name, &upper.value),
                    from: upper.from.clone(),
                    unused: masked(name, &lower.value),
                    unused_from: lower.from,
                });
            }
            Some(upper)
        }
        (upper, lower) => upper.or(lower),
    }
}

fn masked(name: &str, value: &str) -> String {
    if name == "NO_PROXY" {
        return value.to_owned();
    }
    ProxyUrl::parse(value).map_or_else(|_| "***".to_owned(), |proxy| proxy.to_string())
}
