//! Docker's config.json: proxies for build steps, accounts by name, and the daemon's address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealift_config::{Entry, Node, Place, Reader, Sourced, json};
use sealift_registry::{CredentialFile, Secret, credentials};

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
        accounts(document, &mut findings, reader);
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

/// Reads the accounts of a file in the format of config.json; auth.json has it too.
pub(super) fn accounts(document: &Node, findings: &mut Findings, reader: &mut Reader<'_>) {
    let mut file = CredentialFile::default();
    let store = document.entry("credsStore");
    let store = store.and_then(|entry| reader.string(entry));
    let store = store.filter(|store| !store.value.is_empty());
    for entry in document.entries() {
        match entry.key.as_str() {
            "auths" => {
                for entry in reader.table(entry) {
                    if let Some(mut account) = account(entry, &mut file, reader) {
                        if let (Keeping::Empty, Some(store)) = (&account.keeping, &store) {
                            account.keeping = Keeping::Helper(store.value.clone());
                        }
                        findings.accounts.push(account);
                    }
                }
            }
            "credHelpers" => {
                for entry in reader.table(entry) {
                    if let Some(helper) = reader.string(entry) {
                        file.add_helper(&entry.key, &helper.value, &helper.from.to_string());
                        findings
                            .accounts
                            .push(Account::of_helper(&entry.key, helper));
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(store) = store {
        file.set_store(&store.value, &store.from.to_string());
        findings.accounts.push(Account::of_helper("*", store));
    }
    findings.account_files.push(file);
}

/// Reads one entry of `auths`. One that is malformed concerns its own host alone.
fn account(entry: &Entry, file: &mut CredentialFile, reader: &mut Reader<'_>) -> Option<Account> {
    let mut fields = credentials::Entry::default();
    for field in reader.table(entry) {
        let slot = match field.key.as_str() {
            "username" => {
                fields.username = reader.string(field)?.value;
                continue;
            }
            "auth" => &mut fields.auth,
            "password" => &mut fields.password,
            "identitytoken" => &mut fields.identity_token,
            "registrytoken" => &mut fields.registry_token,
            _ => continue,
        };
        *slot = Secret::new(reader.string(field)?.value);
    }
    let name = fields.name();
    let secrets = [
        &fields.auth,
        &fields.password,
        &fields.identity_token,
        &fields.registry_token,
    ];
    let keeping = if secrets.iter().all(|secret| secret.is_empty()) {
        Keeping::Empty
    } else {
        Keeping::Stored
    };
    let from = entry.at.clone();
    if let Err(error) = file.add_entry(&entry.key, fields, &from.to_string()) {
        let what = format!("the account of {}", entry.key);
        reader.warn(what, error.to_string(), from);
        return None;
    }
    Some(Account {
        key: entry.key.clone(),
        name,
        keeping,
        from,
    })
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
