//! The `[network]` table of sealift.toml, the project's and the user's.

use std::path::{Path, PathBuf};

use sealift_config::{Entry, Reader, Sourced, toml};

use crate::endpoint::{KeyPair, Scheme};
use crate::findings::{Family, Findings};
use crate::host::Host;
use crate::location;
use crate::proxy::{ProxyUrl, no_proxy_entries};

use super::{daemon, flags};

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

/// Reads the user's sealift.toml, which may be absent. Other tables than `[network]` are left to
/// others.
pub fn read(path: &Path, reader: &mut Reader<'_>) -> (Findings, Options) {
    let found = reader.text(path);
    let document = reader.parse(found, toml::parse);
    let table = document.as_ref().and_then(|root| root.entry("network"));
    table
        .map(|table| read_table(table, reader))
        .unwrap_or_default()
}

/// Reads the table `[network]`.
pub(crate) fn read_table(table: &Entry, reader: &mut Reader<'_>) -> (Findings, Options) {
    let mut findings = Findings::default();
    let mut options = Options::default();
    for entry in reader.table(table) {
        if !option(entry, &mut options, reader) {
            finding(entry, &mut findings, reader);
        }
    }
    (findings, options)
}

fn option(entry: &Entry, options: &mut Options, reader: &mut Reader<'_>) -> bool {
    match entry.key.as_str() {
        "sources" => {
            let mut families = Vec::new();
            for text in reader.strings(entry) {
                match Family::parse(&text.value) {
                    Some(family) => families.push(family),
                    None => reader.problem(
                        text.from,
                        "sources are environment, docker, containerd and containers",
                    ),
                }
            }
            options.sources = Some(Sourced::new(families, entry.at.clone()));
        }
        "daemon-json" => {
            let name = reader.string(entry);
            options.daemon_json = name.map(|name| {
                let path = reader.beside(&name);
                name.map(|_| path)
            });
        }
        "build-proxy" => options.build_proxy = reader.boolean(entry),
        "direct-mirrors" => {
            let Some(text) = reader.string(entry) else {
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

fn finding(entry: &Entry, findings: &mut Findings, reader: &mut Reader<'_>) {
    match entry.key.as_str() {
        "mirrors" => mirrors(entry, findings, reader),
        "registries" => {
            for entry in reader.table(entry) {
                registry(entry, findings, reader);
            }
        }
        "proxy" => {
            if let Some(text) = reader.string(entry) {
                flags::set_proxy(findings, reader, "proxy", text);
            }
        }
        "http-proxy" | "https-proxy" => {
            let text = reader.string(entry);
            let proxy = text.and_then(|text| ProxyUrl::read(reader, &entry.key, text));
            match entry.key.as_str() {
                "http-proxy" => findings.proxies.http = proxy,
                _ => findings.proxies.https = proxy,
            }
        }
        "no-proxy" => {
            findings.proxies.no_proxy = reader
                .string_or_strings(entry)
                .iter()
                .flat_map(no_proxy_entries)
                .collect();
        }
        "dns" => daemon::add_each(entry, reader, findings, daemon::add_name_server),
        _ => reader.unknown("[network]", entry, &KEYS),
    }
}

/// The keys of `[network]`.
const KEYS: [&str; 11] = [
    "mirrors",
    "registries",
    "proxy",
    "http-proxy",
    "https-proxy",
    "no-proxy",
    "dns",
    "sources",
    "daemon-json",
    "build-proxy",
    "direct-mirrors",
];

/// The keys of `[network.registries."HOST"]`.
const REGISTRY_KEYS: [&str; 5] = ["plain-http", "insecure", "ca", "client-cert", "client-key"];

fn mirrors(entry: &Entry, findings: &mut Findings, reader: &mut Reader<'_>) {
    for entry in reader.table(entry) {
        let name = Sourced::new(entry.key.clone(), entry.at.clone());
        let Some(host) = Host::read(reader, "mirrors", &name) else {
            continue;
        };
        for text in reader.string_or_strings(entry) {
            if let Some(mirror) = location::mirror(reader, "mirrors", &text) {
                flags::add(findings, host.clone(), mirror);
            }
        }
    }
}

fn registry(entry: &Entry, findings: &mut Findings, reader: &mut Reader<'_>) {
    let at = entry.at.clone();
    let name = Sourced::new(entry.key.clone(), at.clone());
    let Some(host) = Host::read(reader, "registries", &name) else {
        return;
    };
    let mut cert = None;
    let mut key = None;
    for field in reader.table(entry) {
        match field.key.as_str() {
            "plain-http" => {
                if let Some(plain) = reader.boolean(field) {
                    let scheme = if plain.value {
                        Scheme::Http
                    } else {
                        Scheme::Https
                    };
                    findings.host(&host).scheme = Some(plain.map(|_| scheme));
                }
            }
            "insecure" => {
                if let Some(flag) = reader.boolean(field) {
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
                for file in reader.string_or_strings(field) {
                    let path = reader.beside(&file);
                    findings.add_ca(&host, Sourced::new(&path, file.from), reader);
                }
            }
            "client-cert" => cert = reader.string(field),
            "client-key" => key = reader.string(field),
            _ => reader.unknown("a registry", field, &REGISTRY_KEYS),
        }
    }
    match (cert, key) {
        (Some(cert), Some(key)) => {
            let (cert_path, key_path) = (reader.beside(&cert), reader.beside(&key));
            let pair = KeyPair::read(reader, &cert_path, &key_path, &cert.from);
            findings.add_client(&host, pair, cert.from);
        }
        (None, None) => {}
        _ => reader.problem(at, "client-cert and client-key go together"),
    }
}
