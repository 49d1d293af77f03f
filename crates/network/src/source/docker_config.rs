//! Docker's config.json: proxies for build steps, accounts by name, and the daemon's address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use sealift_config::{Entry, Node, Place, Reader, Sourced, json};

use crate::findings::{Account, Findings, Keeping};
use crate::proxy::no_proxy_entries;
use crate::proxy::{Proxies, ProxyUrl};

/// Reads `config.json` of a folder: `$DOCKER_CONFIG`, else `~/.docker`.
pub fn read(
    folder: &Path,
    environment: &BTreeMap<String, String>,
    reader: &mut Reader<'_>,
) -> Findings {
    let mut findings = Findings::default();
    let found = reader.text(&folder.join("config.json"));
    let document = reader.parse(found, json::parse);
    findings.docker_host = daemon(folder, document.as_ref(), environment, reader);
    if environment
        .get("DOCKER_AUTH_CONFIG")
        .is_some_and(|text| !text.is_empty())
    {
        let place = Place::Variable("DOCKER_AUTH_CONFIG".to_owned());
        reader.warn(
            "DOCKER_AUTH_CONFIG",
            "accounts are read from files alone",
            place,
        );
    }
    if let Some(document) = &document {
        findings
            .account_files
            .extend(document.at.path().map(Path::to_owned));
        findings.accounts = accounts(document, reader);
        let host = findings
            .docker_host
            .as_ref()
            .map(|host| host.value.as_str());
        findings.step_proxies = step_proxies(document, host, reader);
    }
    findings
}

/// Finds the daemon: DOCKER_HOST, else the context of DOCKER_CONTEXT or `currentContext`.
fn daemon(
    folder: &Path,
    document: Option<&Node>,
    environment: &BTreeMap<String, String>,
    reader: &mut Reader<'_>,
) -> Option<Sourced<String>> {
    let variable = |name: &str| {
        let value = environment.get(name).filter(|value| !value.is_empty())?;
        Some(Sourced::new(value.clone(), Place::variable(name)))
    };
    if let Some(host) = variable("DOCKER_HOST") {
        return Some(host);
    }
    let context = variable("DOCKER_CONTEXT").or_else(|| {
        let entry = document?.entry("currentContext")?;
        reader.string(entry)
    })?;
    if matches!(context.value.as_str(), "" | "default") {
        return None;
    }
    for meta in reader.folder(&folder.join("contexts/meta")) {
        let path = folder
            .join("contexts/meta")
            .join(meta.file_name()?)
            .join("meta.json");
        let found = reader.text(&path);
        let Some(document) = reader.parse(found, json::parse) else {
            continue;
        };
        let name = document.get("Name").and_then(Node::text);
        if name == Some(&context.value) {
            let endpoint = document
                .get("Endpoints")
                .and_then(|node| node.get("docker"));
            let entry = endpoint?.entry("Host")?;
            return reader.string(entry);
        }
    }
    reader.warn(
        format!("the Docker context {}", context.value),
        "there is no such context",
        context.from,
    );
    None
}

fn step_proxies(document: &Node, host: Option<&str>, reader: &mut Reader<'_>) -> Proxies {
    let Some(entry) = document.entry("proxies") else {
        return Proxies::default();
    };
    let sets = reader.table(entry);
    let of_host = host.and_then(|host| sets.iter().find(|set| set.key == host));
    let default = sets.iter().find(|set| set.key == "default");
    let chosen = of_host.or(default);
    for set in sets {
        if chosen.is_none_or(|chosen| chosen.key != set.key) {
            let why = match host {
                Some(host) => format!("the daemon is {host}"),
                None => "no DOCKER_HOST and no context names that daemon".to_owned(),
            };
            reader.ignore(format!("proxies of {}", set.key), why, set.at.clone());
        }
    }
    let mut proxies = Proxies::default();
    for entry in chosen.map_or(&[][..], |set| reader.table(set)) {
        let slot = match entry.key.as_str() {
            "httpProxy" => &mut proxies.http,
            "httpsProxy" => &mut proxies.https,
            "ftpProxy" => &mut proxies.ftp,
            "allProxy" => &mut proxies.all,
            "noProxy" => {
                if let Some(text) = reader.string(entry) {
                    proxies.no_proxy = no_proxy_entries(&text);
                }
                continue;
            }
            _ => {
                let why = "Docker knows httpProxy, httpsProxy, ftpProxy, allProxy and noProxy";
                reader.warn(format!("proxies: {}", entry.key), why, entry.at.clone());
                continue;
            }
        };
        if let Some(text) = reader.string(entry) {
            *slot = ProxyUrl::read(reader, &entry.key, text);
        }
    }
    proxies
}

/// Reads accounts, by name alone, from a file in the format of config.json; auth.json has it too.
pub(super) fn accounts(document: &Node, reader: &mut Reader<'_>) -> Vec<Account> {
    let mut accounts = Vec::new();
    let store = document.entry("credsStore");
    let store = store.and_then(|entry| reader.string(entry));
    let store = store.filter(|store| !store.value.is_empty());
    for entry in document.entries() {
        match entry.key.as_str() {
            "auths" => {
                for entry in reader.table(entry) {
                    let helper = store.as_ref().map(|store| store.value.as_str());
                    accounts.extend(account(entry, helper, reader));
                }
            }
            "credHelpers" => {
                for entry in reader.table(entry) {
                    if let Some(helper) = reader.string(entry) {
                        accounts.push(Account {
                            key: entry.key.clone(),
                            name: None,
                            keeping: Keeping::Helper(helper.value),
                            from: helper.from,
                        });
                    }
                }
            }
            _ => {}
        }
    }
    accounts.extend(store.map(|store| Account {
        key: "*".to_owned(),
        name: None,
        keeping: Keeping::Helper(store.value),
        from: store.from,
    }));
    accounts
}

fn account(entry: &Entry, store: Option<&str>, reader: &mut Reader<'_>) -> Option<Account> {
    let at = entry.at.clone();
    let mut name = None;
    let mut stored = false;
    for field in reader.table(entry) {
        match field.key.as_str() {
            "username" => name = reader.string(field).map(|text| text.value).or(name),
            "auth" => {
                let Some(text) = reader.string(field) else {
                    continue;
                };
                if text.value.is_empty() {
                    continue;
                }
                let Some(user) = user_of(&text.value) else {
                    let reason = "auth: expected the base64 form of NAME:PASSWORD";
                    reader.problem(text.from, reason);
                    return None;
                };
                stored = true;
                name.get_or_insert(user);
            }
            "password" | "identitytoken" | "registrytoken" => {
                stored |= reader
                    .string(field)
                    .is_some_and(|text| !text.value.is_empty());
            }
            _ => {}
        }
    }
    let keeping = match store {
        _ if stored => Keeping::Stored,
        Some(helper) => Keeping::Helper(helper.to_owned()),
        None => Keeping::Empty,
    };
    Some(Account {
        key: entry.key.clone(),
        name,
        keeping,
        from: at,
    })
}

fn user_of(auth: &str) -> Option<String> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(user, _)| user.to_owned())
}

/// Returns Docker's configuration folder.
#[must_use]
pub fn folder(environment: &BTreeMap<String, String>, home: Option<&Path>) -> Option<PathBuf> {
    let explicit = environment
        .get("DOCKER_CONFIG")
        .filter(|folder| !folder.is_empty());
    explicit
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".docker")))
}
