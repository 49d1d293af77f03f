//! Which endpoints an image is asked from, and how each of them is reached.

use std::path::Path;

use sealift_oci::Reference;
use sealift_transport::proxy::NoProxy;

use super::endpoint::{Endpoint, HostRule, Scheme, Serves};
use super::error::Error;
use super::findings::{Account, Keeping};
use super::host::{HUB, HUB_SERVER, Host};
use super::merge::Known;
use super::proxy::ProxyUrl;
use super::{Network, Registry};
use sealift_config::Sourced;

/// The endpoints of an image in the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hops {
    /// The mirrors.
    pub mirrors: Vec<Endpoint>,
    /// The registry itself, asked last.
    pub origin: Endpoint,
    /// Whether the image is named by digest.
    by_digest: bool,
}

impl Hops {
    /// Returns the mirrors that may be asked for the reference itself.
    pub fn resolving(&self) -> impl Iterator<Item = &Endpoint> {
        self.mirrors
            .iter()
            .filter(|mirror| self.resolves(mirror.serves))
    }

    /// Returns the mirrors that may be asked for what the image consists of.
    pub fn serving(&self) -> impl Iterator<Item = &Endpoint> {
        self.mirrors
            .iter()
            .filter(|mirror| self.has_content(mirror.serves))
    }

    pub(super) const fn resolves(&self, serves: Serves) -> bool {
        if self.by_digest {
            serves.digests
        } else {
            serves.tags
        }
    }

    pub(super) const fn has_content(&self, serves: Serves) -> bool {
        serves.content && (serves.digests || !self.by_digest)
    }
}

impl Network {
    fn known(&self) -> Known<'_> {
        Known {
            hosts: &self.hosts,
            insecure: &self.insecure,
        }
    }

    /// Returns all that is configured for the transport security of a host.
    #[must_use]
    pub fn host_rule(&self, host: &Host) -> HostRule {
        self.known().rule(host)
    }

    /// Returns the endpoint of a registry that is asked under its own name.
    #[must_use]
    pub fn default_origin(&self, host: &Host) -> Endpoint {
        self.known().origin(host)
    }

    /// Returns how a host is spoken to where no URL says it.
    #[must_use]
    pub fn scheme(&self, host: &Host) -> Scheme {
        self.known().scheme(host)
    }

    /// Returns the rule of the most specific scope that an image falls under.
    #[must_use]
    pub fn registry(&self, host: &Host, repository: &str) -> Option<&Registry> {
        let fitting = self
            .registries
            .iter()
            .filter_map(|registry| Some((registry.scope.fit(host, repository)?, registry)));
        fitting
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, registry)| registry)
    }

    /// Returns the endpoints that a pull of an image asks.
    ///
    /// # Errors
    /// [`Error::Blocked`] where registries.conf forbids the image, [`Error::Host`].
    pub fn hops(&self, reference: &Reference) -> Result<Hops, Error> {
        let host = host_of(reference.registry())?;
        let registry = self.registry(&host, reference.repository().path());
        if let Some(at) = registry.and_then(|registry| registry.blocked.clone()) {
            let reference = reference.to_string();
            return Err(Error::Blocked { reference, at });
        }
        let origin = registry.and_then(|registry| registry.origin.clone());
        Ok(Hops {
            mirrors: registry
                .map(|registry| registry.mirrors.clone())
                .unwrap_or_default(),
            origin: origin.unwrap_or_else(|| self.known().origin(&host)),
            by_digest: reference.digest().is_some(),
        })
    }

    /// Returns the endpoint that a registry's images are pushed to: the registry itself.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn push_endpoint(&self, registry: &str) -> Result<Endpoint, Error> {
        Ok(self.known().origin(&host_of(registry)?))
    }

    /// Returns the proxy for an endpoint, where it takes one, and the reason in words.
    #[must_use]
    pub fn proxy_for(&self, endpoint: &Endpoint) -> (Option<&Sourced<ProxyUrl>>, String) {
        let https = endpoint.scheme != Scheme::Http;
        let scheme = if https { "https" } else { "http" };
        let host = &endpoint.host;
        let Some(proxy) = self.proxies.of_scheme(scheme) else {
            return (None, format!("no proxy is set for {scheme}"));
        };
        let port = host.port().unwrap_or(if https { 443 } else { 80 });
        if let Some(entry) = self.direct.iter().find(|entry| entry.value == host.name()) {
            return (
                None,
                format!("a mirror that is reached directly ({})", entry.from),
            );
        }
        match NoProxy::parse(&self.proxies.no_proxy_text()).exempts(host.name(), port) {
            Some(reason) => (None, reason),
            None => (
                Some(proxy),
                format!("the proxy for {scheme}, {}", proxy.from),
            ),
        }
    }

    /// Returns the account that is asked for first at a host for a repository, by the first file
    /// that has one: its helper for the host, its helper for all hosts, its own entry with the
    /// longest path, Docker Hub's historical key.
    #[must_use]
    pub fn account(&self, host: &Host, repository: &str) -> Option<&Account> {
        let hub = matches!(host.as_str(), HUB | HUB_SERVER | "index.docker.io");
        let rank = |account: &Account| {
            let key = bare(&account.key);
            let (key_host, path) = key.split_once('/').unwrap_or((key, ""));
            let named = key_host == host.as_str();
            let historical = hub && matches!(key_host, "index.docker.io" | HUB | HUB_SERVER);
            let below = repository.strip_prefix(path);
            let inside = below
                .is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/'));
            let helper = matches!(account.keeping, Keeping::Helper(_));
            match (key, helper) {
                ("*", _) => Some(10_000),
                _ if !(inside && (named || historical)) => None,
                (_, true) => Some(20_000),
                _ if named => Some(5_000 + path.len()),
                _ => Some(path.len()),
            }
        };
        for file in &self.account_files {
            let own = self.accounts.iter().filter(|account| is_in(account, file));
            let usable = own.filter(|account| account.keeping != Keeping::Empty);
            let mut best: Option<(usize, &Account)> = None;
            for account in usable {
                if let Some(rank) = rank(account)
                    && best.is_none_or(|(known, _)| rank > known)
                {
                    best = Some((rank, account));
                }
            }
            if let Some((_, account)) = best {
                return Some(account);
            }
        }
        None
    }
}

fn host_of(registry: &str) -> Result<Host, Error> {
    Host::parse(registry).ok_or_else(|| Error::Host {
        registry: registry.to_owned(),
    })
}

fn is_in(account: &Account, file: &Path) -> bool {
    account.from.path() == Some(file)
}

/// Takes the scheme and the API's version off a key: `https://index.docker.io/v1/`.
fn bare(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1")
        .or_else(|| key.strip_suffix("/v2"))
        .unwrap_or(key)
}
