//! sealift's own registry client: proxies, transport security by host, and the route of endpoints
//! that each image is asked from.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue};
use sealift_config::{Place, Sourced};
use sealift_oci::{Reference, Repository};
use sealift_registry::{RouteAnswer, Routes};
use sealift_transport::proxy::{NoProxy, Proxies};
use sealift_transport::settings::{HostSettings, Identity};
use sealift_transport::{self as transport, Route, Tls};

use crate::endpoint::{Endpoint, HostRule, Scheme};
use crate::host::Host;
use crate::pem::Pem;
use crate::{Error as NetworkError, Network};

/// Why the client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An endpoint that the transport does not take.
    #[error("{from}: {endpoint} is not an address")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// Where it was found.
        from: Place,
        /// What the transport says.
        source: transport::Cause,
    },
    /// A header that HTTP does not know.
    #[error("{from}: the header {name} is malformed")]
    Header {
        /// Its name.
        name: String,
        /// The endpoint's place.
        from: Place,
    },
    /// An image that a configuration forbids.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl Error {
    pub(crate) fn of(endpoint: &Endpoint, source: transport::Cause) -> Self {
        Self::Endpoint {
            endpoint: endpoint.to_string(),
            from: endpoint.from.clone(),
            source,
        }
    }
}

/// Puts proxies and transport security into the transport's settings.
pub fn apply(network: &Network, settings: &mut transport::Settings) {
    settings.proxies = proxies(network);
    settings.hosts = hosts(network);
}

/// Returns the proxies of the registry client.
pub(crate) fn proxies(network: &Network) -> Proxies {
    let one = |scheme: &str| {
        let proxy = network.proxies.of_scheme(scheme)?;
        Some(proxy.value.proxy().clone().set_by(proxy.from.to_string()))
    };
    let mut no_proxy = NoProxy::parse(&network.proxies.no_proxy_text());
    for entry in &network.direct {
        no_proxy.extend(&NoProxy::parse(&entry.value));
    }
    Proxies {
        http: one("http"),
        https: one("https"),
        no_proxy,
    }
}

/// The settings of every host that has rules, token services on it included. A name without a port
/// means the port of HTTPS, and no other.
fn hosts(network: &Network) -> HashMap<String, HostSettings> {
    let of = |host: &Host| {
        let server = host.server();
        let key = match server.port() {
            Some(_) => server.to_string(),
            None => format!("{server}:443"),
        };
        let tls = tls(&network.host_rule(host));
        (key, HostSettings { tls, proxy: None })
    };
    network.hosts.keys().map(of).collect()
}

fn tls(rule: &HostRule) -> Tls {
    let content = |pem: &Pem| pem.content().to_vec();
    Tls {
        authorities: rule.ca.iter().map(|ca| content(&ca.value)).collect(),
        // A server that asks for a certificate is shown the first pair; the transport holds one.
        identity: rule.client.first().map(|pair| Identity {
            certificates: content(&pair.value.cert),
            key: content(&pair.value.key),
        }),
        skip_verify: rule.verify.as_ref().is_some_and(|verify| !verify.value),
    }
}

/// Says why stored accounts are not shown to a host.
#[must_use]
pub fn withheld(host: &Sourced<Host>) -> String {
    let Sourced { value, from } = host;
    format!(
        "your account at {value} was not shown: only the project ({from}) says that the connection \
         need not be secure. If that is right, say it in your own sealift.toml or daemon.json"
    )
}

/// Resolves a name to its addresses; none where it has none.
#[must_use]
pub fn lookup(name: &str) -> Vec<IpAddr> {
    let found = (name, 443).to_socket_addrs();
    let addresses = found.into_iter().flatten();
    addresses.map(|address| address.ip()).collect()
}

/// Finds the routes of images in a model. Registries that lie in a network of insecure ones are
/// looked up when their first image is asked for.
#[derive(Debug)]
pub struct Router {
    network: Mutex<Arc<Network>>,
    settled: Mutex<Vec<Host>>,
}

impl Router {
    /// Takes a model.
    #[must_use]
    pub const fn new(network: Arc<Network>) -> Self {
        Self {
            network: Mutex::new(network),
            settled: Mutex::new(Vec::new()),
        }
    }

    fn network(&self, registry: &str) -> Arc<Network> {
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Host::parse(registry).filter(|host| !settled.contains(host));
        if let Some(host) = new.filter(|_| !network.insecure.is_empty()) {
            let known = Arc::unwrap_or_clone(Arc::clone(&network));
            *network = Arc::new(known.settle(std::slice::from_ref(&host), lookup));
            settled.push(host);
        }
        Arc::clone(&network)
    }

    /// Returns the route on which a reference is resolved.
    ///
    /// # Errors
    /// [`Error::Network`] for an image that is forbidden, [`Error::Endpoint`].
    pub fn resolving(&self, reference: &Reference) -> Result<Route, Error> {
        let network = self.network(reference.registry());
        let hops = network.hops(reference)?;
        route(&network, hops.resolving(), &hops.origin, reference)
    }

    /// Returns the route on which an image's content comes.
    ///
    /// # Errors
    /// As [`Router::resolving`].
    pub fn serving(&self, reference: &Reference) -> Result<Route, Error> {
        let network = self.network(reference.registry());
        let hops = network.hops(reference)?;
        route(&network, hops.serving(), &hops.origin, reference)
    }
}

fn route<'a>(
    network: &Network,
    mirrors: impl Iterator<Item = &'a Endpoint>,
    origin: &'a Endpoint,
    reference: &Reference,
) -> Result<Route, Error> {
    let convert = |one| endpoint(network, one, reference.registry());
    let mirrors = mirrors.map(convert).collect::<Result<Vec<_>, _>>()?;
    Ok(Route::new(mirrors, convert(origin)?))
}

impl Routes for Router {
    fn resolve(&self, reference: &Reference) -> RouteAnswer {
        answer(self.resolving(reference))
    }

    fn content(&self, reference: &Reference) -> RouteAnswer {
        answer(self.serving(reference))
    }

    fn push(&self, repository: &Repository) -> RouteAnswer {
        let registry = repository.registry();
        let network = self.network(registry);
        let origin = network.push_endpoint(registry).map_err(Error::from);
        let made = origin.and_then(|origin| endpoint(&network, &origin, registry));
        answer(made.map(Route::direct))
    }
}

fn answer(made: Result<Route, Error>) -> RouteAnswer {
    match made {
        Ok(route) => Ok(Some(route)),
        Err(error) => Err(Arc::new(error)),
    }
}

/// Makes the endpoint that the client asks.
pub(crate) fn endpoint(
    network: &Network,
    endpoint: &Endpoint,
    registry: &str,
) -> Result<transport::Endpoint, Error> {
    let scheme = match endpoint.scheme {
        Scheme::Http => transport::Scheme::Http,
        Scheme::Https => transport::Scheme::Https,
        Scheme::HttpsElseHttp => transport::Scheme::HttpsElseHttp,
    };
    let made = transport::Endpoint::new(scheme, endpoint.host.as_str());
    let mut made = made.map_err(|source| Error::of(endpoint, source))?;
    made = made.with_base(&endpoint.api).with_prefix(&endpoint.prefix);
    made = made.with_strip(&endpoint.strip);
    // As containerd does: one mirror may serve several registries and tells them apart by this.
    if !endpoint.is_for(registry) {
        made = made.with_query(&format!("ns={registry}"));
    }
    for (name, value) in &endpoint.headers {
        let parsed = (
            HeaderName::try_from(name),
            HeaderValue::try_from(value.expose()),
        );
        let (Ok(header), Ok(value)) = parsed else {
            return Err(Error::Header {
                name: name.clone(),
                from: endpoint.from.clone(),
            });
        };
        made = made.with_header(header, value);
    }
    Ok(made.with_tls(tls(&network.host_rule(&endpoint.host))))
}
