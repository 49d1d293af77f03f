//! Docker's daemon.json: mirrors of Docker Hub, insecure registries, proxies, name servers.
//!
//! Places: `/etc/docker/daemon.json` (system), `~/.docker/daemon.json` (Docker Desktop) and
//! `~/.config/docker/daemon.json` (rootless). A file given by hand replaces all of them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use sealift_config::{Conflict, Entry, Node, Place, Reader, Sourced, json, nearest};

use crate::findings::Findings;
use crate::host::{HUB, Host};
use crate::location;
use crate::proxy::no_proxy_entries;
use crate::proxy::{Proxies, ProxyUrl};

use super::flags;

/// Returns the places of daemon.json, the first counts most: the user's daemon before the system's.
#[must_use]
pub fn places(home: Option<&Path>, config_home: Option<&Path>) -> Vec<PathBuf> {
    let rootless = config_home.map(|folder| folder.join("docker/daemon.json"));
    let desktop = home.map(|folder| folder.join(".docker/daemon.json"));
    let system = PathBuf::from("/etc/docker/daemon.json");
    rootless
        .into_iter()
        .chain(desktop)
        .chain([system])
        .collect()
}

/// Reads one daemon.json that may be absent.
pub fn read(path: &Path, reader: &mut Reader<'_>) -> Findings {
    let found = reader.text(path);
    let document = reader.parse(found, json::parse);
    document
        .map(|document| collect(&document, reader))
        .unwrap_or_default()
}

/// Reads the daemon.json that an option or a file names.
pub fn read_named(path: &Path, named: &Place, reader: &mut Reader<'_>) -> Findings {
    let found = reader.named_text(path, named);
    let document = reader.parse(found, json::parse);
    document
        .map(|document| collect(&document, reader))
        .unwrap_or_default()
}

fn collect(document: &Node, reader: &mut Reader<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut flat = Proxies::default();
    let mut nested = Proxies::default();
    for entry in document.entries() {
        match entry.key.as_str() {
            "registry-mirrors" => add_each(entry, reader, &mut findings, add_mirror),
            "insecure-registries" => add_each(entry, reader, &mut findings, add_insecure),
            "dns" => add_each(entry, reader, &mut findings, add_name_server),
            "proxies" => {
                for entry in reader.table(entry) {
                    // Docker's config.json has the same keys one level deeper, under "default",
                    // and people copy it from there.
                    if entry.key == "default" {
                        for entry in reader.table(entry) {
                            proxy(entry, reader, &mut nested);
                        }
                    } else if !proxy(entry, reader, &mut nested) {
                        let why = "dockerd knows http-proxy, https-proxy and no-proxy";
                        reader.warn(format!("proxies.{}", entry.key), why, entry.at.clone());
                    }
                }
            }
            // dockerd has many more keys; a slip in one of these would go unnoticed until it fails.
            _ if proxy(entry, reader, &mut flat) => {}
            key => {
                if let Some(near) = nearest(key, &KEYS) {
                    let why = format!("dockerd has no such key; did you mean {near}?");
                    reader.warn(key, why, entry.at.clone());
                }
            }
        }
    }
    findings.proxies = prefer(nested, flat, reader);
    findings
}

/// The keys of daemon.json that say how registries are reached.
const KEYS: [&str; 7] = [
    "registry-mirrors",
    "insecure-registries",
    "proxies",
    "http-proxy",
    "https-proxy",
    "no-proxy",
    "dns",
];

/// Adds each string of a list.
pub(super) fn add_each(
    entry: &Entry,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
    add: fn(Sourced<String>, &mut Reader<'_>, &mut Findings),
) {
    for text in reader.strings(entry) {
        add(text, reader, findings);
    }
}

/// Adds a mirror of Docker Hub, as dockerd takes it.
pub(super) fn add_mirror(text: Sourced<String>, reader: &mut Reader<'_>, findings: &mut Findings) {
    if !text.value.contains("://") {
        let reason = "registry-mirrors: a mirror begins with https:// or http://";
        reader.problem(text.from, reason);
    } else if let (Some(mirror), Some(hub)) = (
        location::mirror(reader, "registry-mirrors", &text),
        Host::parse(HUB),
    ) {
        flags::add(findings, hub, mirror);
    }
}

/// Adds an insecure registry or a network of them, as dockerd takes it.
pub(super) fn add_insecure(
    text: Sourced<String>,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) {
    if let Ok(block) = text.value.parse::<IpNet>() {
        findings.insecure.push(Sourced::new(block, text.from));
        return;
    }
    // dockerd takes off a scheme, with a warning.
    let bare = text
        .value
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let bare = Sourced::new(bare.trim_end_matches('/').to_owned(), text.from.clone());
    if let Some(host) = Host::read(reader, "insecure-registries", &bare) {
        findings.mark_insecure(&host, &text.from);
    }
}

/// Adds a name server.
pub(super) fn add_name_server(
    text: Sourced<String>,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) {
    match text.value.parse::<IpAddr>() {
        Ok(address) => findings.dns.push(Sourced::new(address, text.from)),
        Err(_) => reader.problem(text.from, "dns: expected an IP address"),
    }
}

/// Takes an entry that sets a proxy, in any of the spellings; returns whether it was one.
fn proxy(entry: &Entry, reader: &mut Reader<'_>, proxies: &mut Proxies) -> bool {
    let slot = match entry.key.as_str() {
        "http-proxy" | "httpProxy" => &mut proxies.http,
        "https-proxy" | "httpsProxy" => &mut proxies.https,
        "no-proxy" | "noProxy" => {
            if let Some(text) = reader.string(entry) {
                proxies.no_proxy = no_proxy_entries(&text);
            }
            return true;
        }
        _ => return false,
    };
    if let Some(text) = reader.string(entry) {
        *slot = ProxyUrl::read(reader, &entry.key, text);
    }
    true
}

/// The object `proxies` counts before the older keys beside it.
fn prefer(nested: Proxies, flat: Proxies, reader: &mut Reader<'_>) -> Proxies {
    let mut pick =
        |what: &str, nested: Option<Sourced<ProxyUrl>>, flat: Option<Sourced<ProxyUrl>>| {
            if let (Some(used), Some(unused)) = (&nested, &flat)
                && used.value != unused.value
            {
                reader.conflicts.push(Conflict {
                    what: what.to_owned(),
                    used: used.value.to_string(),
                    from: used.from.clone(),
                    unused: unused.value.to_string(),
                    unused_from: unused.from.clone(),
                });
            }
            nested.or(flat)
        };
    Proxies {
        http: pick("HTTP_PROXY", nested.http, flat.http),
        https: pick("HTTPS_PROXY", nested.https, flat.https),
        no_proxy: if nested.no_proxy.is_empty() {
            flat.no_proxy
        } else {
            nested.no_proxy
        },
        ..Proxies::default()
    }
}
