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
    let mut off = Vec::new();
    let mut one = |name: &str, reader: &mut Reader<'_>| {
        let text = both_cases(name, &lookup, reader)?;
        if text.value.trim().is_empty() {
            off.push(text.map(|_| name.to_owned()));
            return None;
        }
        Some(text)
    };
    let mut proxy = |name: &str| {
        let text = one(name, reader)?;
        ProxyUrl::read(reader, name, text)
    };
    let (http, https) = (proxy("HTTP_PROXY"), proxy("HTTPS_PROXY"));
    let (ftp, all) = (proxy("FTP_PROXY"), proxy("ALL_PROXY"));
    let no_proxy = one("NO_PROXY", reader);
    Proxies {
        http,
        https,
        ftp,
        all,
        no_proxy: no_proxy.iter().flat_map(no_proxy_entries).collect(),
        off,
    }
}

/// Returns what is set in either case, the upper one first; what is set to nothing counts only where
/// the other is not set to something.
fn both_cases(
    name: &str,
    lookup: &impl Fn(&str) -> Option<Sourced<String>>,
    reader: &mut Reader<'_>,
) -> Option<Sourced<String>> {
    let filled = |text: &Sourced<String>| !text.value.trim().is_empty();
    match (lookup(name), lookup(&name.to_ascii_lowercase())) {
        (Some(upper), Some(lower)) if filled(&upper) => {
            if filled(&lower) && upper.value != lower.value {
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
        (upper, lower) => lower
            .filter(|lower| upper.is_none() || filled(lower))
            .or(upper),
    }
}

fn masked(name: &str, value: &str) -> String {
    if name == "NO_PROXY" {
        return value.to_owned();
    }
    ProxyUrl::parse(value).map_or_else(|_| "***".to_owned(), |proxy| proxy.to_string())
}
