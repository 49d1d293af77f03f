//! What one source says, before the sources are merged.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use sealift_config::{Place, Reader, Sourced};
use sealift_registry::CredentialFile;
use serde::Serialize;

use super::endpoint::{Endpoint, HostRule, KeyPair, Scheme, Scope};
use super::host::Host;
use super::pem::Pem;
use super::proxy::Proxies;

/// A mirror before its host's rules are known: the scheme may still be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The endpoint; its scheme counts only where `explicit`.
    pub endpoint: Endpoint,
    /// Whether the source wrote the scheme.
    pub explicit: bool,
}

/// What a source says of the images of one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The images.
    pub scope: Scope,
    /// Where they are looked for first, in order.
    pub mirrors: Vec<Candidate>,
    /// Where they really are, where that is not their own host.
    pub origin: Option<Candidate>,
    /// The entry that forbids them.
    pub blocked: Option<Place>,
}

impl Rule {
    /// Makes a rule with mirrors alone.
    #[must_use]
    pub const fn mirrors(scope: Scope, mirrors: Vec<Candidate>) -> Self {
        Self {
            scope,
            mirrors,
            origin: None,
            blocked: None,
        }
    }
}

/// How an account's secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeping {
    /// In the file itself.
    Stored,
    /// By a credential helper of this name (`docker-credential-NAME`).
    Helper(String),
    /// The file knows the host, and no secret for it.
    Empty,
}

/// An account by name; its secret is not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The key: a host, a host with a path, Docker Hub's historical URL, or `*` for a helper that
    /// is asked about every host.
    pub key: String,
    /// The account's name, where the file tells it.
    pub name: Option<String>,
    /// How its secret is kept.
    pub keeping: Keeping,
    /// Where it was found.
    pub from: Place,
}

impl Account {
    /// Names what a helper keeps: the account of one host, or with `*` of all others.
    pub(crate) fn of_helper(key: &str, helper: Sourced<String>) -> Self {
        Self {
            key: key.to_owned(),
            name: None,
            keeping: Keeping::Helper(helper.value),
            from: helper.from,
        }
    }
}

/// The families of sources, which the `[network]` table can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Options and sealift.toml.
    Sealift,
    /// Variables.
    Environment,
    /// Docker's files.
    Docker,
    /// containerd's files.
    Containerd,
    /// The files of podman, skopeo and buildah.
    Containers,
}

impl Family {
    /// Parses the name that `[network] sources` uses.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "environment" => Self::Environment,
            "docker" => Self::Docker,
            "containerd" => Self::Containerd,
            "containers" => Self::Containers,
            _ => return None,
        })
    }
}

/// Everything that one source says.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Mirrors and origins.
    pub rules: Vec<Rule>,
    /// Hosts.
    pub hosts: BTreeMap<Host, HostRule>,
    /// Networks whose hosts are insecure.
    pub insecure: Vec<Sourced<IpNet>>,
    /// Proxies for those who dial: sealift and buildkitd.
    pub proxies: Proxies,
    /// The value that forbids all proxies of lower precedence.
    pub direct: Option<Place>,
    /// Proxies for build steps, where a source has its own.
    pub step_proxies: Proxies,
    /// Name servers.
    pub dns: Vec<Sourced<IpAddr>>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// The same accounts with their secrets, file by file.
    pub account_files: Vec<CredentialFile>,
    /// The address of Docker's daemon.
    pub docker_host: Option<Sourced<String>>,
    /// Whether a project says this, not the user or the machine.
    pub by_project: bool,
}

impl Findings {
    /// Returns what is known of a host, to be filled.
    pub fn host(&mut self, host: &Host) -> &mut HostRule {
        self.hosts.entry(host.clone()).or_default()
    }

    /// Marks a host as insecure: HTTPS unverified, else HTTP.
    pub fn mark_insecure(&mut self, host: &Host, from: &Place) {
        let rule = self.host(host);
        rule.scheme = Some(Sourced::new(Scheme::HttpsElseHttp, from.clone()));
        rule.verify = Some(Sourced::new(false, from.clone()));
    }

    /// Adds an authority of a host, where its file can be read.
    pub fn add_ca(&mut self, host: &Host, file: Sourced<&Path>, reader: &mut Reader<'_>) {
        if let Some(pem) = Pem::read(reader, file.value, &file.from) {
            self.host(host).ca.push(Sourced::new(pem, file.from));
        }
    }

    /// Adds a client certificate of a host, where its files could be read.
    pub fn add_client(&mut self, host: &Host, pair: Option<KeyPair>, from: Place) {
        if let Some(pair) = pair {
            self.host(host).client.push(Sourced::new(pair, from));
        }
    }
}
