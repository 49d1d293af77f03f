//! Which endpoints an image is asked from, and how each of them is reached.

use sealift_oci::Reference;
use sealift_registry::credentials::Candidate;

use super::endpoint::{Endpoint, HostRule, Scheme, Serves};
use super::error::Error;
use super::host::Host;
use super::merge::Known;
use super::proxy::ProxyUrl;
use super::sink::client;
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

    /// Returns the proxy that the registry client takes for an endpoint, and the reason in words.
    #[must_use]
    pub fn proxy_for(&self, endpoint: &Endpoint) -> (Option<&Sourced<ProxyUrl>>, String) {
        let https = endpoint.scheme != Scheme::Http;
        let host = &endpoint.host;
        let port = host.port().unwrap_or(if https { 443 } else { 80 });
        let proxies = client::proxies(self);
        let (chosen, reason) = proxies.choose(https, host.name(), port);
        let proxy = self.proxies.of_scheme(if https { "https" } else { "http" });
        let direct = self.direct.iter().find(|entry| entry.value == host.name());
        match (proxy, chosen, direct) {
            (Some(proxy), Some(_), _) => (Some(proxy), format!("{reason}, {}", proxy.from)),
            (Some(_), None, Some(entry)) => {
                let from = &entry.from;
                (None, format!("a mirror that is reached directly ({from})"))
            }
            _ => (None, reason),
        }
    }

    /// Returns where the account for a repository at a host (`host[:port]`, as contacted) is looked
    /// for first, by the order that the registry client has.
    #[must_use]
    pub fn account(&self, authority: &str, repository: &str) -> Option<Candidate<'_>> {
        let files = self.account_files.iter();
        files
            .flat_map(|file| file.candidates(authority, repository))
            .next()
    }
}

fn host_of(registry: &str) -> Result<Host, Error> {
    Host::parse(registry).ok_or_else(|| Error::Host {
        registry: registry.to_owned(),
    })
}
