//! registries.conf, version 2, of podman, skopeo and buildah, with its drop-ins.
//!
//! `$CONTAINERS_REGISTRIES_CONF`, else `~/.config/containers/registries.conf`, else
//! `/etc/containers/registries.conf`; then `*.conf` of `/etc/containers/registries.conf.d` and of
//! the user's, in the order of their names. A later entry with the same prefix replaces an earlier
//! one as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealift_config::{Node, Place, Reader, Sourced, toml};

use crate::endpoint::{Scope, Serves};
use crate::findings::{Candidate, Findings, Rule};
use crate::host::Host;
use crate::location::Location;

/// Reads the files.
pub fn read(
    environment: &BTreeMap<String, String>,
    config_home: Option<&Path>,
    reader: &mut Reader<'_>,
) -> Findings {
    let mut entries: Vec<Read> = Vec::new();
    let mut documents: Vec<Node> = main_file(environment, config_home, reader)
        .into_iter()
        .collect();
    for path in drop_ins(config_home, reader) {
        let found = reader.text(&path);
        documents.extend(reader.parse(found, toml::parse));
    }
    for document in &documents {
        for read in entries_of(document, reader) {
            if let Some(earlier) = entries.iter_mut().find(|e| e.rule.scope == read.rule.scope) {
                let why = format!("{} replaces it", read.from);
                let what = format!("the entry for {}", earlier.rule.scope);
                reader.ignore(what, why, earlier.from.clone());
                *earlier = read;
            } else {
                entries.push(read);
            }
        }
    }
    let mut findings = Findings::default();
    for read in entries {
        for (candidate, from) in &read.insecure {
            findings.mark_insecure(&candidate.endpoint.host, from);
        }
        findings.rules.push(read.rule);
    }
    findings
}

/// One `[[registry]]`.
struct Read {
    rule: Rule,
    insecure: Vec<(Candidate, Place)>,
    from: Place,
}

fn main_file(
    environment: &BTreeMap<String, String>,
    config_home: Option<&Path>,
    reader: &mut Reader<'_>,
) -> Option<Node> {
    const VARIABLE: &str = "CONTAINERS_REGISTRIES_CONF";
    if let Some(path) = environment.get(VARIABLE).filter(|path| !path.is_empty()) {
        let found = reader.named_text(Path::new(path), &Place::Variable(VARIABLE.to_owned()));
        return reader.parse(found, toml::parse);
    }
    let user = config_home.map(|folder| folder.join("containers/registries.conf"));
    let found = user.and_then(|path| reader.text(&path));
    let found = found.or_else(|| reader.text(Path::new("/etc/containers/registries.conf")));
    reader.parse(found, toml::parse)
}

fn drop_ins(config_home: Option<&Path>, reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let user = config_home.map(|folder| folder.join("containers/registries.conf.d"));
    let system = PathBuf::from("/etc/containers/registries.conf.d");
    let mut files = Vec::new();
    for folder in [Some(system), user].into_iter().flatten() {
        let entries = reader.entries(&folder).into_iter();
        files.extend(entries.filter_map(|(name, path)| name.ends_with(".conf").then_some(path)));
    }
    files
}

fn entries_of(document: &Node, reader: &mut Reader<'_>) -> Vec<Read> {
    let mut entries = Vec::new();
    for entry in document.entries() {
        let at = entry.at.clone();
        match entry.key.as_str() {
            "registry" => {
                for table in reader.list(entry, "a list of tables") {
                    entries.extend(registry(table, reader));
                }
            }
            "registries" => {
                let why = "this is version 1 of the format, which its own tools no longer read";
                reader.warn("[registries]", why, at);
            }
            "unqualified-search-registries" => {
                let why = "a name without a host is Docker Hub's, as in every Dockerfile";
                reader.ignore("unqualified-search-registries", why, at);
            }
            "aliases" | "short-name-mode" => {
                let why = "short names are resolved as Docker does";
                reader.ignore(&entry.key, why, at);
            }
            "credential-helpers" | "additional-layer-store-auth-helper" => {
                let why = "helpers are taken from auth.json and config.json";
                reader.ignore(&entry.key, why, at);
            }
            _ => reader.foreign("registries.conf", entry, &KEYS),
        }
    }
    entries
}

/// The keys of the file that concern where images come from.
const KEYS: [&str; 2] = ["registry", "unqualified-search-registries"];

/// The keys of `[[registry]]` and of its mirrors.
const REGISTRY_KEYS: [&str; 7] = [
    "prefix",
    "location",
    "insecure",
    "blocked",
    "mirror-by-digest-only",
    "pull-from-mirror",
    "mirror",
];

#[derive(Default)]
struct Fields {
    prefix: Option<Sourced<String>>,
    location: Option<Sourced<String>>,
    insecure: Option<Sourced<bool>>,
    blocked: Option<Sourced<bool>>,
    digest_only: Option<Sourced<bool>>,
    from_mirror: Option<Sourced<String>>,
}

fn fields(table: &Node, reader: &mut Reader<'_>) -> Fields {
    let mut fields = Fields::default();
    for entry in table.entries() {
        match entry.key.as_str() {
            "prefix" => fields.prefix = reader.string(entry),
            "location" => fields.location = reader.string(entry),
            "insecure" => fields.insecure = reader.boolean(entry),
            "blocked" => fields.blocked = reader.boolean(entry),
            "mirror-by-digest-only" => fields.digest_only = reader.boolean(entry),
            "pull-from-mirror" => fields.from_mirror = reader.string(entry),
            "mirror" => {}
            _ => reader.foreign("registries.conf", entry, &REGISTRY_KEYS),
        }
    }
    let filled = |text: &Sourced<String>| !text.value.is_empty();
    fields.prefix = fields.prefix.filter(filled);
    fields.location = fields.location.filter(filled);
    fields
}

fn registry(table: &Node, reader: &mut Reader<'_>) -> Option<Read> {
    let fields = fields(table, reader);
    let from = table.at.clone();
    let Some(name) = fields.prefix.as_ref().or(fields.location.as_ref()) else {
        reader.problem(from, "[[registry]] needs a prefix or a location");
        return None;
    };
    let scope = scope(name, reader)?;
    let mut read = Read {
        rule: Rule::mirrors(scope, Vec::new()),
        insecure: Vec::new(),
        from,
    };
    match (&fields.location, &read.rule.scope) {
        (Some(text), _) => {
            let mut origin = place(text, &read.rule.scope, reader)?;
            origin.endpoint.serves = Serves::ALL;
            if let Some(insecure) = fields.insecure.as_ref().filter(|flag| flag.value) {
                read.insecure.push((origin.clone(), insecure.from.clone()));
            }
            read.rule.origin = fields.prefix.as_ref().map(|_| origin);
        }
        (None, Scope::Domain(_)) => {}
        (None, _) => {
            reader.problem(
                name.from.clone(),
                "a prefix without a location must be *.DOMAIN",
            );
            return None;
        }
    }
    read.rule.blocked = fields
        .blocked
        .filter(|flag| flag.value)
        .map(|flag| flag.from);
    let digest_only = fields.digest_only.is_some_and(|flag| flag.value);
    for entry in table.entries().iter().filter(|entry| entry.key == "mirror") {
        for table in reader.list(entry, "a list of tables") {
            mirror(table, digest_only, &mut read, reader);
        }
    }
    Some(read)
}

fn mirror(table: &Node, digest_only: bool, read: &mut Read, reader: &mut Reader<'_>) {
    let fields = fields(table, reader);
    let Some(text) = fields.location else {
        reader.problem(table.at.clone(), "[[registry.mirror]] needs a location");
        return;
    };
    let Some(mut candidate) = place(&text, &read.rule.scope, reader) else {
        return;
    };
    let wanted = fields.from_mirror.as_ref().map(|text| text.value.as_str());
    let all = Serves::READS;
    candidate.endpoint.serves = match wanted {
        None | Some("" | "all") if digest_only => Serves { tags: false, ..all },
        None | Some("" | "all") => all,
        Some("digest-only") => Serves { tags: false, ..all },
        Some("tag-only") => Serves {
            digests: false,
            ..all
        },
        Some(_) => {
            let at = fields.from_mirror.map_or(text.from, |text| text.from);
            reader.problem(at, "pull-from-mirror is all, digest-only or tag-only");
            return;
        }
    };
    if let Some(insecure) = fields.insecure.filter(|flag| flag.value) {
        read.insecure.push((candidate.clone(), insecure.from));
    }
    read.rule.mirrors.push(candidate);
}

fn scope(text: &Sourced<String>, reader: &mut Reader<'_>) -> Option<Scope> {
    if let Some(domain) = text.value.strip_prefix("*.") {
        let valid = Host::parse(domain).is_some();
        if !valid {
            reader.problem(text.from.clone(), "expected *.DOMAIN");
        }
        return valid.then(|| Scope::Domain(domain.to_ascii_lowercase()));
    }
    let location = parse(text, reader)?;
    let path = location.path;
    Some(if path.is_empty() {
        Scope::Host(location.host)
    } else {
        Scope::Path(location.host, path)
    })
}

fn place(text: &Sourced<String>, scope: &Scope, reader: &mut Reader<'_>) -> Option<Candidate> {
    let mut candidate = parse(text, reader)?.mirror(text.from.clone());
    if let Scope::Path(_, path) = scope {
        candidate.endpoint.strip.clone_from(path);
    }
    Some(candidate)
}

fn parse(text: &Sourced<String>, reader: &mut Reader<'_>) -> Option<Location> {
    let reason = match Location::parse(&text.value) {
        Ok(location) if location.scheme.is_none() => return Some(location),
        Ok(_) => "a location is written without a scheme".to_owned(),
        Err(error) => error.to_string(),
    };
    reader.problem(text.from.clone(), reason);
    None
}
