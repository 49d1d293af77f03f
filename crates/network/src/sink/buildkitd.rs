//! buildkitd.toml, in BuildKit's own grammar: mirrors in order, without a scheme and with their
//! paths; `http` and `insecure`; authorities and key pairs; name servers. What BuildKit cannot
//! express is left out and named.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::endpoint::{Endpoint, Scheme, Scope, Serves};
use crate::host::{HUB, HUB_SERVER, Host};
use crate::{Network, Registry};
use sealift_config::{Place, Sourced};

use super::{Caveat, NetworkView};

/// Where buildkitd will find authorities and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// Where they are: buildkitd sees this machine's files.
    InPlace,
    /// In a folder of buildkitd's own, to which [`Configuration::files`] must be copied.
    Folder(PathBuf),
}

/// A buildkitd.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The text of the file, each entry with a comment that says where it came from.
    pub text: String,
    /// What it could not say.
    pub caveats: Vec<Caveat>,
    /// The authorities, certificates and keys that it names: the file here, its path there.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// Makes the file of a buildkitd that sees the network as `view` says.
#[must_use]
pub fn of(network: &Network, files: &Files, view: NetworkView) -> Configuration {
    let mut writer = Writer {
        network,
        layout: files,
        view,
        text: String::from("# Made by sealift from the network configuration of this machine.\n"),
        caveats: Vec::new(),
        files: Vec::new(),
    };
    writer.name_servers();
    for host in hosts(network) {
        writer.registry(&host);
    }
    for registry in &network.registries {
        writer.without_table(registry);
    }
    Configuration {
        text: writer.text,
        caveats: writer.caveats,
        files: writer.files,
    }
}

/// All hosts that get a table: registries with rules, their mirrors, and hosts with rules of their
/// own. BuildKit looks Docker Hub's server up under Docker Hub's name.
fn hosts(network: &Network) -> BTreeSet<Host> {
    let mut hosts = BTreeSet::new();
    for registry in &network.registries {
        if let Scope::Host(host) = &registry.scope {
            hosts.insert(host.clone());
            hosts.extend(registry.mirrors.iter().map(|mirror| mirror.host.clone()));
            hosts.extend(registry.origin.iter().map(|origin| origin.host.clone()));
        }
    }
    hosts.extend(network.hosts.keys().cloned());
    hosts.into_iter().map(|host| canonical(&host)).collect()
}

fn canonical(host: &Host) -> Host {
    let hub = if host.as_str() == HUB_SERVER {
        Host::parse(HUB)
    } else {
        None
    };
    hub.unwrap_or_else(|| host.clone())
}

struct Writer<'a> {
    network: &'a Network,
    layout: &'a Files,
    view: NetworkView,
    text: String,
    caveats: Vec<Caveat>,
    files: Vec<(PathBuf, PathBuf)>,
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}");
    }

    fn caveat(&mut self, what: String, why: &str, at: &Place) {
        self.caveats.push(Caveat {
            what,
            why: why.to_owned(),
            at: at.clone(),
        });
    }

    fn name_servers(&mut self) {
        let dns = &self.network.dns;
        if dns.is_empty() {
            return;
        }
        let items = dns
            .iter()
            .map(|server| (quoted(&server.value.to_string()), &server.from));
        let list = list("nameservers", items);
        self.line("\n[dns]");
        self.text.push_str(&list);
    }

    fn registry(&mut self, host: &Host) {
        let mut body = self.mirrors(host);
        body.push_str(&self.security(host));
        if !body.is_empty() {
            self.line(&format!("\n[registry.{}]", quoted(host.as_str())));
            self.text.push_str(&body);
        }
    }

    fn mirrors(&mut self, host: &Host) -> String {
        let scope = Scope::Host(host.clone());
        let network = self.network;
        let Some(registry) = network.registries.iter().find(|r| r.scope == scope) else {
            return String::new();
        };
        if let Some(at) = &registry.blocked {
            let why = "BuildKit cannot forbid a registry; sealed builds keep to it all the same";
            self.caveat(format!("blocked = true of {host}"), why, at);
        }
        let mut items: Vec<(String, Place)> = Vec::new();
        for mirror in &registry.mirrors {
            if let Some(text) = self.mirror(host, mirror) {
                items.push((quoted(&text), mirror.from.clone()));
            }
        }
        if let Some(origin) = registry
            .origin
            .as_ref()
            .filter(|o| canonical(&o.host) != *host)
        {
            // BuildKit always asks the registry's own name last; the real place comes before it.
            if let Some(text) = self.mirror(host, origin) {
                items.push((quoted(&text), origin.from.clone()));
            }
        }
        if items.is_empty() {
            return String::new();
        }
        list(
            "mirrors",
            items.iter().map(|(text, from)| (text.clone(), from)),
        )
    }

    /// Returns a mirror as BuildKit writes it: the host, and the path that it puts after `/v2`.
    fn mirror(&mut self, host: &Host, mirror: &Endpoint) -> Option<String> {
        let what = format!("the mirror {mirror} of {host}");
        if self.view == NetworkView::Isolated && mirror.host.is_loopback() {
            let why = "it is on this machine's loopback, which a builder on a network of its own \
                       cannot reach: put the builder on the host's network; sealed builds use it";
            self.caveat(what, why, &mirror.from);
            return None;
        }
        let Serves { tags, digests, .. } = mirror.serves;
        if !(tags && digests) {
            let only = if tags { "tags" } else { "digests" };
            let why = format!(
                "it serves {only} alone, and BuildKit would ask it for both; sealed builds use it"
            );
            self.caveat(what, &why, &mirror.from);
            return None;
        }
        let Some(path) = mirror.api.strip_prefix("/v2").filter(|rest| is_path(rest)) else {
            let why = "BuildKit asks every mirror below /v2; sealed builds use it";
            self.caveat(what, why, &mirror.from);
            return None;
        };
        if !mirror.headers.is_empty() {
            let why = "BuildKit sends no headers of a configuration; sealed builds do";
            self.caveat(format!("the headers for {mirror}"), why, &mirror.from);
        }
        let mut text = format!("{}{path}", mirror.host);
        if !mirror.prefix.is_empty() {
            text.push('/');
            text.push_str(&mirror.prefix);
        }
        Some(text)
    }

    /// Returns the lines on transport security of a host.
    fn security(&mut self, host: &Host) -> String {
        let rule = self.network.host_rule(host);
        let (scheme, from) = self.scheme(host);
        let verify = rule.verify.as_ref().is_none_or(|verify| verify.value);
        let mut out = String::new();
        let mut flag = |name: &str, value: bool, from: &Place| {
            let _ = write!(out, "# {}\n{name} = {value}\n", comment(from));
        };
        match scheme {
            Scheme::Http => flag("http", true, &from),
            Scheme::HttpsElseHttp => flag("http", true, &from),
            // BuildKit takes plain HTTP for loopback unless it is told not to.
            Scheme::Https if host.is_loopback() => flag("http", false, &from),
            Scheme::Https => {}
        }
        if let Some(verify_rule) = rule
            .verify
            .as_ref()
            .filter(|_| !verify && scheme != Scheme::Http)
        {
            flag("insecure", true, &verify_rule.from);
        }
        if scheme == Scheme::Http {
            return out;
        }
        if !rule.ca.is_empty() {
            let items: Vec<_> = rule
                .ca
                .iter()
                .map(|ca| (self.file(host, ca.value.path()), &ca.from))
                .collect();
            out.push_str(&list("ca", items));
        }
        for pair in &rule.client {
            let Sourced { value, from } = pair;
            let cert = self.file(host, value.cert.path());
            let key = self.file(host, value.key.path());
            let table = quoted(host.as_str());
            let from = comment(from);
            let _ = write!(
                out,
                "# {from}\n[[registry.{table}.keypair]]\ncert = {cert}\nkey = {key}\n"
            );
        }
        out
    }

    /// Returns how a host is spoken to: as its endpoints say, else as its rules say.
    fn scheme(&mut self, host: &Host) -> (Scheme, Place) {
        let network = self.network;
        let endpoints = network
            .registries
            .iter()
            .flat_map(|registry| registry.mirrors.iter().chain(&registry.origin));
        let mut own = endpoints.filter(|endpoint| canonical(&endpoint.host) == *host);
        let rule = network.host_rule(host);
        let Some(first) = own.next() else {
            let from = rule.scheme.map(|scheme| scheme.from);
            let from = from.or_else(|| rule.ca.first().map(|ca| ca.from.clone()));
            let from = from.or_else(|| rule.client.first().map(|pair| pair.from.clone()));
            let from = from.unwrap_or_else(|| Place::Rule("loopback".to_owned()));
            return (network.scheme(host), from);
        };
        let others: Vec<_> = own
            .filter(|next| next.scheme != first.scheme)
            .cloned()
            .collect();
        for next in others {
            let why = format!(
                "BuildKit knows one scheme a host, and {} ({}) has another",
                first, first.from
            );
            self.caveat(format!("the scheme of {next}"), &why, &next.from);
        }
        let from = rule
            .scheme
            .filter(|rule| rule.value == first.scheme)
            .map(|rule| rule.from);
        (first.scheme, from.unwrap_or_else(|| first.from.clone()))
    }

    /// Returns the path of a file as buildkitd will find it, quoted.
    fn file(&mut self, host: &Host, file: &Path) -> String {
        let there = match self.layout {
            Files::InPlace => file.to_owned(),
            Files::Folder(folder) => {
                let name = file.file_name().unwrap_or_default();
                let folder = folder.join(host.as_str().replace([':', '[', ']'], "_"));
                let taken = |path: &Path| {
                    self.files
                        .iter()
                        .any(|(here, there)| there == path && here != file)
                };
                let mut there = folder.join(name);
                let mut number = 1;
                while taken(&there) {
                    number += 1;
                    there = folder.join(format!("{number}-{}", name.to_string_lossy()));
                }
                there
            }
        };
        let pair = (file.to_owned(), there.clone());
        if !self.files.contains(&pair) {
            self.files.push(pair);
        }
        quoted(&there.to_string_lossy())
    }

    fn without_table(&mut self, registry: &Registry) {
        let why = match &registry.scope {
            Scope::Host(_) => return,
            Scope::Path(..) => "BuildKit has mirrors of whole hosts only; sealed builds use them",
            Scope::Domain(_) => "BuildKit has no wildcards; sealed builds use them",
            Scope::Any => "BuildKit has no default for all hosts; sealed builds use it",
        };
        let endpoints = registry.mirrors.iter().chain(&registry.origin);
        let at = registry
            .blocked
            .clone()
            .or_else(|| endpoints.map(|e| e.from.clone()).next());
        if let Some(at) = at {
            self.caveat(format!("the rule for {}", registry.scope), why, &at);
        }
    }
}

fn is_path(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// Writes a list with one item a line, each below the comment that says where it came from.
fn list<'a>(key: &str, items: impl IntoIterator<Item = (String, &'a Place)>) -> String {
    let mut out = format!("{key} = [\n");
    for (item, from) in items {
        let _ = write!(out, "  # {}\n  {item},\n", comment(from));
    }
    out.push_str("]\n");
    out
}

/// A path may hold a line feed, which would end the comment.
fn comment(place: &Place) -> String {
    place
        .to_string()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
