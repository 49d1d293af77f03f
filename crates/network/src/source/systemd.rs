//! `Environment=` of docker.service and its drop-ins, where many machines set dockerd's proxies, and
//! the options of dockerd in its `ExecStart=`, where older ones set its mirrors.
//!
//! Rules of systemd.unit(5) and systemd.syntax(7): the unit file of the first folder that has it,
//! then `docker.service.d/*.conf` of all folders by file name, a name in an earlier folder hiding
//! the same name in a later one. `EnvironmentFile=` is not read, and said so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealift_config::unit::{self, specifiers, words};
use sealift_config::{Reader, Sourced};

use crate::findings::Findings;
use crate::proxy::{ProxyUrl, no_proxy_entries};

use super::{daemon, environment};

/// The folders of system units, the first counts most.
const SYSTEM: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Returns the folders of units: those of the system, or of a rootless dockerd's user.
#[must_use]
pub fn folders(config_home: Option<&Path>, rootless: bool) -> Vec<PathBuf> {
    if rootless {
        let user = config_home.map(|folder| folder.join("systemd/user"));
        let shared = ["/etc/systemd/user", "/usr/lib/systemd/user"].map(PathBuf::from);
        user.into_iter().chain(shared).collect()
    } else {
        SYSTEM.map(PathBuf::from).to_vec()
    }
}

/// Reads docker.service and its drop-ins from these folders.
pub fn read(folders: &[PathBuf], reader: &mut Reader<'_>) -> Findings {
    let mut service = Service::default();
    for path in unit_files(folders, reader) {
        let Some((path, text)) = reader.text(&path) else {
            continue;
        };
        for setting in unit::parse(&path, &text) {
            if setting.section == "Service" {
                service.set(&setting.key, setting.value, reader);
            }
        }
    }
    let lookup = |name: &str| service.variables.get(name).cloned();
    let mut findings = Findings {
        proxies: environment::proxies(lookup, reader),
        ..Findings::default()
    };
    if let Some(command) = &service.command {
        options(command, &mut findings, reader);
    }
    findings
}

fn unit_files(folders: &[PathBuf], reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let unit = folders.iter().map(|folder| folder.join("docker.service"));
    let unit = unit.into_iter().find(|path| reader.locate(path).exists());
    let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
    for folder in folders {
        let folder = folder.join("docker.service.d");
        for (name, path) in reader.entries(&folder) {
            if name.ends_with(".conf") {
                drop_ins.entry(name).or_insert(path);
            }
        }
    }
    unit.into_iter().chain(drop_ins.into_values()).collect()
}

type Variables = BTreeMap<String, Sourced<String>>;

/// What a unit says after all of its files.
#[derive(Default)]
struct Service {
    variables: Variables,
    /// The command that starts dockerd.
    command: Option<Sourced<String>>,
}

impl Service {
    fn set(&mut self, key: &str, value: Sourced<String>, reader: &mut Reader<'_>) {
        let empty = value.value.is_empty();
        match key {
            "Environment" if empty => self.variables.clear(),
            "Environment" => assignments(&value, &mut self.variables, reader),
            "EnvironmentFile" if !empty => {
                let why = "sealift reads Environment= alone";
                reader.ignore("EnvironmentFile", why, value.from);
            }
            "ExecStart" => self.command = Some(value).filter(|_| !empty),
            _ => {}
        }
    }
}

/// Reads the options of dockerd that concern the network: `--name=value` or `--name value`.
fn options(command: &Sourced<String>, findings: &mut Findings, reader: &mut Reader<'_>) {
    let Some(words) = words(&command.value) else {
        reader.problem(command.from.clone(), "ExecStart=: a quote is not closed");
        return;
    };
    let mut words = words.into_iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            continue;
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, words.next_if(|next| !next.starts_with('-'))),
        };
        let known = [
            "registry-mirror",
            "insecure-registry",
            "dns",
            "http-proxy",
            "https-proxy",
            "no-proxy",
        ];
        let Some(value) = value.filter(|_| known.contains(&name)) else {
            continue;
        };
        let Some(value) = specifiers(&value).filter(|value| !value.contains('$')) else {
            let why = "sealift does not expand systemd's specifiers and variables";
            reader.warn(format!("--{name}"), why, command.from.clone());
            continue;
        };
        let text = Sourced::new(value, command.from.clone());
        match name {
            "registry-mirror" => daemon::add_mirror(text, reader, findings),
            "insecure-registry" => daemon::add_insecure(text, reader, findings),
            "dns" => daemon::add_name_server(text, reader, findings),
            // dockerd's own options count before its environment.
            "http-proxy" => findings.proxies.http = ProxyUrl::read(reader, "--http-proxy", text),
            "https-proxy" => findings.proxies.https = ProxyUrl::read(reader, "--https-proxy", text),
            _ => findings.proxies.no_proxy = no_proxy_entries(&text),
        }
    }
}

fn assignments(value: &Sourced<String>, variables: &mut Variables, reader: &mut Reader<'_>) {
    let place = &value.from;
    let Some(words) = words(&value.value) else {
        reader.problem(place.clone(), "Environment=: a quote is not closed");
        return;
    };
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            reader.problem(place.clone(), "Environment=: expected NAME=VALUE");
            continue;
        };
        match specifiers(value) {
            Some(value) => {
                variables.insert(name.to_owned(), Sourced::new(value, place.clone()));
            }
            None => {
                let why = "sealift does not expand systemd's specifiers; write % as %%";
                reader.warn(name, why, place.clone());
            }
        }
    }
}
