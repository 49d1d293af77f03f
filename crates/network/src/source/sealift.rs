//! The `[network]` table of sealift.toml, the project's and the user's.

use std::path::{Path, PathBuf};

use crate::document::{Entry, Node, Value};
use crate::endpoint::{KeyPair, Scheme};
use crate::findings::{Family, Findings};
use crate::host::Host;
use crate::location;
use crate::provenance::{Place, Sourced};
use crate::reader::{Document, Reader, no_proxy_entries};

use super::flags;

/// Which mirrors are reached without a proxy although a proxy is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectMirrors {
    /// Those at private addresses and names, which a proxy to the outside can hardly reach.
    Private,
    /// All.
    All,
    /// None but those that NO_PROXY exempts.
    None,
}

/// What the table says besides [`Findings`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The families of sources that are read; all where nothing is said.
    pub sources: Option<Sourced<Vec<Family>>>,
    /// The daemon.json to read in place of those at the usual places.
    pub daemon_json: Option<Sourced<PathBuf>>,
    /// `false`: build steps get no proxy variables.
    pub build_proxy: Option<Sourced<bool>>,
    /// Which mirrors are reached directly.
    pub direct_mirrors: Option<Sourced<DirectMirrors>>,
}

impl Options {
    /// Fills what is not said here from options of lower precedence.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            sources: self.sources.or(other.sources),
            daemon_json: self.daemon_json.or(other.daemon_json),
            build_proxy: self.build_proxy.or(other.build_proxy),
            direct_mirrors: self.direct_mirrors.or(other.direct_mirrors),
        }
    }
}

/// Reads one sealift.toml that may be absent. Other tables than `[network]` are left to others.
pub fn read(path: &Path, reader: &mut Reader) -> (Findings, Options) {
    let mut findings = Findings::default();
    let mut options = Options::default();
    let found = reader.text(path);
    let Some(document) = reader.parse(found, Node::toml) else {
        return (findings, options);
    };
    let entry = document
        .node
        .entries()
        .iter()
        .find(|entry| entry.key == "network");
    for entry in entry.map_or(&[][..], |entry| reader.table(&document, entry)) {
        if !option(&document, entry, &mut options, reader) {
            finding(&document, entry, &mut findings, reader);
        }
    }
    (findings, options)
}

fn option(document: &Document, entry: &Entry, options: &mut Options, reader: &mut Reader) -> bool {
    match entry.key.as_str() {
        "sources" => {
            let mut families = Vec::new();
            for text in reader.strings(document, entry) {
                match Family::parse(&text.value) {
                    Some(family) => families.push(family),
                    None => reader.problem(
                        text.from,
                        "sources are environment, docker, containerd and containers",
                    ),
                }
            }
            options.sources = Some(Sourced::new(families, document.at(entry.line)));
        }
        "daemon-json" => {
            let path = reader.string(document, entry);
            options.daemon_json = path.map(|text| text.map(|text| reader.beside(document, &text)));
        }
        "build-proxy" => options.build_proxy = reader.boolean(document, entry),
        "direct-mirrors" => {
            let Some(text) = reader.string(document, entry) else {
                return true;
            };
            let choice = match text.value.as_str() {
                "private" => DirectMirrors::Private,
                "all" => DirectMirrors::All,
                "none" => DirectMirrors::None,
                _ => {
                    reader.problem(text.from, "direct-mirrors is private, all or none");
                    return true;
                }
            };
            options.direct_mirrors = Some(text.map(|_| choice));
        }
        _ => return false,
    }
    true
}

fn finding(document: &Document, entry: &Entry, findings: &mut Findings, reader: &mut Reader) {
    match entry.key.as_str() {
        "mirrors" => mirrors(document, entry, findings, reader),
        "registries" => {
            for entry in reader.table(document, entry) {
                registry(document, entry, findings, reader);
            }
        }
        "proxy" => {
            if let Some(text) = reader.string(document, entry) {
                flags::set_proxy(findings, reader, "proxy", text);
            }
        }
        "http-proxy" | "https-proxy" => {
            let text = reader.string(document, entry);
            let proxy = text.and_then(|text| reader.proxy(&entry.key, text));
            match entry.key.as_str() {
                "http-proxy" => findings.proxies.http = proxy,
                _ => findings.proxies.https = proxy,
            }
        }
        "no-proxy" => {
            findings.proxies.no_proxy = list(document, entry, reader)
                .iter()
                .flat_map(no_proxy_entries)
                .collect();
        }
        "dns" => {
            for text in reader.strings(document, entry) {
                match text.value.parse() {
                    Ok(address) => findings.dns.push(Sourced::new(address, text.from)),
                    Err(_) => reader.problem(text.from, "dns: expected an IP address"),
                }
            }
        }
        key => {
            let reason = format!(
                "[network] has no key {key}; it has mirrors, registries, proxy, http-proxy, \
                 https-proxy, no-proxy, dns, sources, daemon-json, build-proxy and direct-mirrors"
            );
            reader.problem(document.at(entry.line), reason);
        }
    }
}

/// A list of strings, or one string.
fn list(document: &Document, entry: &Entry, reader: &mut Reader) -> Vec<Sourced<String>> {
    match entry.value.value {
        Value::Text(_) => reader.string(document, entry).into_iter().collect(),
        _ => reader.strings(document, entry),
    }
}

fn mirrors(document: &Document, entry: &Entry, findings: &mut Findings, reader: &mut Reader) {
    for entry in reader.table(document, entry) {
        let name = Sourced::new(entry.key.clone(), document.at(entry.line));
        let Some(host) = reader.host("mirrors", &name) else {
            continue;
        };
        for text in list(document, entry, reader) {
            if let Some(mirror) = location::mirror(reader, "mirrors", &text) {
                flags::add(findings, host.clone(), mirror);
            }
        }
    }
}

fn registry(document: &Document, entry: &Entry, findings: &mut Findings, reader: &mut Reader) {
    let at = document.at(entry.line);
    let name = Sourced::new(entry.key.clone(), at.clone());
    let Some(host) = reader.host("registries", &name) else {
        return;
    };
    let mut cert = None;
    let mut key = None;
    for field in reader.table(document, entry) {
        match field.key.as_str() {
            "plain-http" => {
                if let Some(plain) = reader.boolean(document, field) {
                    let scheme = if plain.value {
                        Scheme::Http
                    } else {
                        Scheme::Https
                    };
                    findings.host(&host).scheme = Some(plain.map(|_| scheme));
                }
            }
            "insecure" => {
                if let Some(flag) = reader.boolean(document, field) {
                    if flag.value {
                        findings.mark_insecure(&host, &flag.from);
                    } else {
                        let rule = findings.host(&host);
                        rule.scheme = Some(Sourced::new(Scheme::Https, flag.from.clone()));
                        rule.verify = Some(flag.map(|_| true));
                    }
                }
            }
            "ca" => {
                for file in list(document, field, reader) {
                    let path = reader.beside(document, &file.value);
                    if reader.readable(&path, &file.from) {
                        findings.add_ca(&host, path, file.from);
                    }
                }
            }
            "client-cert" => cert = reader.string(document, field),
            "client-key" => key = reader.string(document, field),
            name => {
                let reason = format!(
                    "a registry has no key {name}; it has plain-http, insecure, ca, client-cert \
                     and client-key"
                );
                reader.problem(document.at(field.line), reason);
            }
        }
    }
    client(document, &host, (cert, key), at, findings, reader);
}

#[allow(
    clippy::too_many_arguments,
    reason = "the place and the two sinks of one small step"
)]
fn client(
    document: &Document,
    host: &Host,
    pair: (Option<Sourced<String>>, Option<Sourced<String>>),
    at: Place,
    findings: &mut Findings,
    reader: &mut Reader,
) {
    match pair {
        (Some(cert), Some(key)) => {
            let pair = KeyPair {
                cert: reader.beside(document, &cert.value),
                key: reader.beside(document, &key.value),
            };
            let readable = reader.readable(&pair.cert, &cert.from);
            if reader.readable(&pair.key, &key.from) && readable {
                findings.add_client(host, pair, cert.from);
            }
        }
        (None, None) => {}
        _ => reader.problem(at, "client-cert and client-key go together"),
    }
}
