//! containerd's `certs.d/HOST/hosts.toml`: the endpoints of a registry, in the order of the file,
//! each with its capabilities and TLS. A folder without hosts.toml is one of certificates, as in
//! Docker. The folder `_default` is for all hosts that have none.

use std::path::{Path, PathBuf};

use crate::document::{Entry, Node, Value};
use crate::endpoint::{Endpoint, HeaderValue, KeyPair, Scheme, Scope, Serves};
use crate::findings::{Candidate, Findings, Rule};
use crate::host::Host;
use crate::location::Location;
use crate::provenance::{Place, Sourced};
use crate::reader::{Document, Reader};

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
pub fn read(folder: &Path, reader: &mut Reader) -> Findings {
    let mut findings = Findings::default();
    for (name, path) in reader.entries(folder) {
        let Some(scope) = scope(&name) else {
            reader.ignore("the folder", "its name is no host", Place::file(&path));
            continue;
        };
        let found = reader.text(&path.join("hosts.toml"));
        if found.is_none() {
            if let Scope::Host(host) = &scope {
                docker_certs::read_host(host, &path, &mut findings, reader);
            }
        } else if let Some(document) = reader.parse(found, Node::toml) {
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

fn hosts(document: &Document, scope: Scope, findings: &mut Findings, reader: &mut Reader) -> Rule {
    let mut rule = Rule::mirrors(scope, Vec::new());
    let root = document.node.entries();
    let server = root.iter().find(|entry| entry.key == "server");
    if let Some(text) = server.and_then(|entry| reader.string(document, entry)) {
        rule.origin = endpoint(&text, root, document, reader);
        if let Some(candidate) = &rule.origin {
            secure(
                &candidate.endpoint.host.clone(),
                root,
                document,
                findings,
                reader,
            );
        }
    } else if let Scope::Host(host) = rule.scope.clone() {
        secure(&host, root, document, findings, reader);
    }
    for entry in root.iter().filter(|entry| !is_setting(&entry.key)) {
        if entry.key != "server" && entry.key != "host" {
            let why = "containerd's hosts.toml has no such key";
            reader.warn(&entry.key, why, document.at(entry.line));
        }
    }
    let Some(tables) = root.iter().find(|entry| entry.key == "host") else {
        return rule;
    };
    for entry in reader.table(document, tables) {
        let settings = reader.table(document, entry);
        let text = Sourced::new(entry.key.clone(), document.at(entry.line));
        let Some(candidate) = endpoint(&text, settings, document, reader) else {
            continue;
        };
        let host = candidate.endpoint.host.clone();
        secure(&host, settings, document, findings, reader);
        for unknown in settings.iter().filter(|entry| !is_setting(&entry.key)) {
            let why = "containerd's hosts.toml has no such key";
            reader.warn(&unknown.key, why, document.at(unknown.line));
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

fn is_setting(key: &str) -> bool {
    matches!(
        key,
        "capabilities"
            | "ca"
            | "client"
            | "skip_verify"
            | "override_path"
            | "header"
            | "dial_timeout"
    )
}

/// Makes the endpoint of a host table or of `server`.
fn endpoint(
    text: &Sourced<String>,
    settings: &[Entry],
    document: &Document,
    reader: &mut Reader,
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
                as_written = reader
                    .boolean(document, entry)
                    .is_some_and(|flag| flag.value);
            }
            "capabilities" => endpoint.serves = capabilities(document, entry, reader),
            "header" => headers(document, entry, &mut endpoint, reader),
            "dial_timeout" => {
                let why = "sealift's own time-outs adapt to what it measures";
                reader.ignore("dial_timeout", why, document.at(entry.line));
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

fn capabilities(document: &Document, entry: &Entry, reader: &mut Reader) -> Serves {
    let mut serves = Serves {
        tags: false,
        digests: false,
        content: false,
        push: false,
    };
    for text in reader.strings(document, entry) {
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

fn headers(document: &Document, entry: &Entry, endpoint: &mut Endpoint, reader: &mut Reader) {
    for entry in reader.table(document, entry) {
        let values = match entry.value.value {
            Value::List(_) => reader.strings(document, entry),
            _ => reader.string(document, entry).into_iter().collect(),
        };
        for value in values {
            endpoint
                .headers
                .push((entry.key.clone(), HeaderValue::new(value.value)));
        }
    }
}

/// Reads what a table says of its host's TLS.
fn secure(
    host: &Host,
    settings: &[Entry],
    document: &Document,
    findings: &mut Findings,
    reader: &mut Reader,
) {
    for entry in settings {
        match entry.key.as_str() {
            "skip_verify" => {
                if let Some(skip) = reader.boolean(document, entry) {
                    findings.host(host).verify = Some(skip.map(|skip| !skip));
                }
            }
            "ca" => {
                let files = match entry.value.value {
                    Value::List(_) => reader.strings(document, entry),
                    _ => reader.string(document, entry).into_iter().collect(),
                };
                for file in files {
                    let path = reader.beside(document, &file.value);
                    if reader.readable(&path, &file.from) {
                        findings.add_ca(host, path, file.from);
                    }
                }
            }
            "client" => {
                for (pair, from) in pairs(document, entry, reader) {
                    let readable = reader.readable(&pair.cert, &from);
                    if readable && reader.readable(&pair.key, &from) {
                        findings.add_client(host, pair, from);
                    }
                }
            }
            _ => {}
        }
    }
}

/// `client` is one file with both, a list of such files, or a list of `[certificate, key]`.
fn pairs(document: &Document, entry: &Entry, reader: &mut Reader) -> Vec<(KeyPair, Place)> {
    let items = match &entry.value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    let mut pairs = Vec::new();
    for item in items {
        let from = document.at(item.line);
        let (cert, key) = match &item.value {
            Value::Text(both) => (both, both),
            Value::List(pair) => match pair.as_slice() {
                [
                    Node {
                        value: Value::Text(cert),
                        ..
                    },
                ] => (cert, cert),
                [
                    Node {
                        value: Value::Text(cert),
                        ..
                    },
                    Node {
                        value: Value::Text(key),
                        ..
                    },
                ] => (cert, if key.is_empty() { cert } else { key }),
                _ => {
                    reader.problem(from, "client: expected [certificate, key]");
                    continue;
                }
            },
            _ => {
                reader.problem(
                    from,
                    "client: expected a file, or a list of [certificate, key]",
                );
                continue;
            }
        };
        let cert = reader.beside(document, cert);
        let key = reader.beside(document, key);
        pairs.push((KeyPair { cert, key }, from));
    }
    pairs
}
