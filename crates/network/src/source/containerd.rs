//! containerd's `certs.d/HOST/hosts.toml`: the endpoints of a registry, in the order of the file,
//! each with its capabilities and TLS. A folder without hosts.toml is one of certificates, as in
//! Docker. The folder `_default` is for all hosts that have none.

use std::path::{Path, PathBuf};

use sealift_config::{Entry, Node, Place, Reader, Sourced, Value, toml};
use sealift_registry::Secret;

use crate::endpoint::{Endpoint, KeyPair, Scheme, Scope, Serves};
use crate::findings::{Candidate, Findings, Rule};
use crate::host::Host;
use crate::location::Location;

use super::docker_certs;

/// Returns the places of such folders: nerdctl's own of a rootless user, then the system's.
#[must_use]
pub fn places(config_home: Option<&Path>) -> Vec<PathBuf> {
    let user = config_home.map(|folder| folder.join("containerd/certs.d"));
    user.into_iter()
        .chain([PathBuf::from("/etc/containerd/certs.d")])
        .collect()
}

/// Reads all hosts' folders.
pub fn read(folder: &Path, reader: &mut Reader<'_>) -> Findings {
    let mut findings = Findings::default();
    for (name, path) in reader.entries(folder) {
        let Some(scope) = scope(&name) else {
            reader.ignore("the folder", "its name is not a host", Place::file(&path));
            continue;
        };
        let found = reader.text(&path.join("hosts.toml"));
        if found.is_none() {
            if let Scope::Host(host) = &scope {
                docker_certs::read_host(host, &path, &mut findings, reader);
            }
        } else if let Some(document) = reader.parse(found, toml::parse) {
            let rule = hosts(&document, scope, &mut findings, reader);
            findings.rules.push(rule);
        }
    }
    findings
}

/// A folder's name: a host, `_default`, or `HOST_PORT_` where a colon cannot stand in a name.
fn scope(name: &str) -> Option<Scope> {
    if name == "_default" {
        return Some(Scope::Any);
    }
    let ported = name
        .strip_suffix('_')
        .and_then(|rest| rest.rsplit_once('_'));
    let ported = ported.and_then(|(host, port)| Host::parse(&format!("{host}:{port}")));
    ported.or_else(|| Host::parse(name)).map(Scope::Host)
}

fn hosts(document: &Node, scope: Scope, findings: &mut Findings, reader: &mut Reader<'_>) -> Rule {
    let mut rule = Rule::mirrors(scope, Vec::new());
    let root = document.entries();
    let server = document.entry("server");
    if let Some(text) = server.and_then(|entry| reader.string(entry)) {
        rule.origin = endpoint(&text, root, reader);
        if let Some(candidate) = &rule.origin {
            secure(&candidate.endpoint.host, root, findings, reader);
        }
    } else if let Scope::Host(host) = &rule.scope {
        secure(host, root, findings, reader);
    }
    for entry in root {
        if !SETTINGS.contains(&entry.key.as_str()) && entry.key != "server" && entry.key != "host" {
            reader.foreign("containerd's hosts.toml", entry, &SETTINGS);
        }
    }
    let Some(tables) = document.entry("host") else {
        return rule;
    };
    for entry in reader.table(tables) {
        let settings = reader.table(entry);
        let text = Sourced::new(entry.key.clone(), entry.at.clone());
        let Some(candidate) = endpoint(&text, settings, reader) else {
            continue;
        };
        let host = candidate.endpoint.host.clone();
        secure(&host, settings, findings, reader);
        for entry in settings {
            if !SETTINGS.contains(&entry.key.as_str()) {
                reader.foreign("containerd's hosts.toml", entry, &SETTINGS);
            }
        }
        let serves = candidate.endpoint.serves;
        if serves.tags || serves.digests {
            rule.mirrors.push(candidate);
        } else {
            let why = "it serves pushes alone, and sealift pushes to the registry itself";
            reader.ignore(format!("the endpoint {}", entry.key), why, text.from);
        }
    }
    rule
}

/// The keys of a host table, which may also stand at the top for `server`.
const SETTINGS: [&str; 7] = [
    "capabilities",
    "ca",
    "client",
    "skip_verify",
    "override_path",
    "header",
    "dial_timeout",
];

/// Makes the endpoint of a host table or of `server`.
fn endpoint(
    text: &Sourced<String>,
    settings: &[Entry],

    reader: &mut Reader<'_>,
) -> Option<Candidate> {
    let location = match Location::parse(&text.value) {
        Ok(location) => location,
        Err(error) => {
            reader.problem(text.from.clone(), error.to_string());
            return None;
        }
    };
    let scheme = location.scheme.unwrap_or(Scheme::Https);
    let mut endpoint = Endpoint::new(location.host, scheme, text.from.clone());
    let mut as_written = false;
    for entry in settings {
        match entry.key.as_str() {
            "override_path" => {
                as_written = reader.boolean(entry).is_some_and(|flag| flag.value);
            }
            "capabilities" => endpoint.serves = capabilities(entry, reader),
            "header" => headers(entry, &mut endpoint, reader),
            "dial_timeout" => {
                let why = "sealift's own time-outs adapt to what it measures";
                reader.ignore("dial_timeout", why, entry.at.clone());
            }
            _ => {}
        }
    }
    let path = location.path;
    endpoint.api = match (as_written, path.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("/{path}"),
        (false, true) => "/v2".to_owned(),
        (false, false) if path == "v2" || path.ends_with("/v2") => format!("/{path}"),
        (false, false) => format!("/{path}/v2"),
    };
    Some(Candidate {
        endpoint,
        explicit: location.scheme.is_some(),
    })
}

fn capabilities(entry: &Entry, reader: &mut Reader<'_>) -> Serves {
    let mut serves = Serves {
        tags: false,
        digests: false,
        content: false,
        push: false,
    };
    for text in reader.strings(entry) {
        match text.value.to_ascii_lowercase().as_str() {
            "pull" => (serves.digests, serves.content) = (true, true),
            "resolve" => serves.tags = true,
            "push" => serves.push = true,
            "referrers" => {}
            _ => reader.problem(text.from, "capabilities are pull, resolve and push"),
        }
    }
    serves
}

fn headers(entry: &Entry, endpoint: &mut Endpoint, reader: &mut Reader<'_>) {
    for entry in reader.table(entry) {
        for value in reader.string_or_strings(entry) {
            endpoint
                .headers
                .push((entry.key.clone(), Secret::new(value.value)));
        }
    }
}

/// Reads what a table says of its host's TLS.
fn secure(host: &Host, settings: &[Entry], findings: &mut Findings, reader: &mut Reader<'_>) {
    for entry in settings {
        match entry.key.as_str() {
            "skip_verify" => {
                if let Some(skip) = reader.boolean(entry) {
                    findings.host(host).verify = Some(skip.map(|skip| !skip));
                }
            }
            "ca" => {
                for file in reader.string_or_strings(entry) {
                    let path = reader.beside(&file);
                    findings.add_ca(host, Sourced::new(&path, file.from), reader);
                }
            }
            "client" => clients(host, entry, findings, reader),
            _ => {}
        }
    }
}

/// `client` is one file with both, a list of such files, or a list of `[certificate, key]`.
fn clients(host: &Host, entry: &Entry, findings: &mut Findings, reader: &mut Reader<'_>) {
    let items = match &entry.value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    for item in items {
        let names = match &item.value {
            Value::Text(both) => Some((both.as_str(), both.as_str())),
            Value::List(pair) => match pair.as_slice() {
                [cert] => cert.text().map(|cert| (cert, cert)),
                [cert, key] => cert.text().zip(key.text()),
                _ => None,
            },
            _ => None,
        };
        let from = item.at.clone();
        let Some((cert, key)) = names else {
            let reason = "client: expected a file, or a list of [certificate, key]";
            reader.problem(from, reason);
            continue;
        };
        let beside = |name: &str| reader.beside(&Sourced::new(name.to_owned(), from.clone()));
        let cert_path = beside(cert);
        let key_path = if key.is_empty() {
            cert_path.clone()
        } else {
            beside(key)
        };
        let pair = KeyPair::read(reader, &cert_path, &key_path, &from);
        findings.add_client(host, pair, from);
    }
}
