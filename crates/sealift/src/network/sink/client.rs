//! sealift's own registry client: proxies, transport security by host, and the route of endpoints
//! that each image is asked from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sealift_oci::Reference;
use sealift_transport::proxy::{NoProxy, Proxies, Proxy};
use sealift_transport::settings::{HostSettings, Identity};
use sealift_transport::{self as transport, Route, Tls};

use crate::network::endpoint::{Endpoint, HostRule, Scheme};
use crate::network::host::Host;
use crate::network::provenance::Place;
use crate::network::{Error as NetworkError, Network};

/// Why the client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate or key that cannot be read.
    #[error("{from}: cannot read {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The entry that names it.
        from: Place,
        /// What the system says.
        source: std::io::Error,
    },
    /// An endpoint that the transport does not take.
    #[error("{from}: {endpoint} is no address")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// Where it was found.
        from: Place,
        /// What the transport says.
        source: transport::Cause,
    },
    /// A proxy that the transport does not take.
    #[error("{from}: the proxy {proxy} cannot be used")]
    Proxy {
        /// The proxy, masked.
        proxy: String,
        /// Where it was found.
        from: Place,
        /// What the transport says.
        source: transport::Cause,
    },
    /// An image that a configuration forbids.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Puts proxies and transport security into the transport's settings.
///
/// # Errors
/// [`Error::File`] and [`Error::Proxy`].
pub fn apply(network: &Network, settings: &mut transport::Settings) -> Result<(), Error> {
    settings.proxies = proxies(network)?;
    settings.hosts = hosts(network)?;
    Ok(())
}

fn proxies(network: &Network) -> Result<Proxies, Error> {
    let one = |scheme: &str| {
        let Some(proxy) = network.proxies.of_scheme(scheme) else {
            return Ok(None);
        };
        let parsed = Proxy::parse(proxy.value.expose());
        parsed.map(Some).map_err(|source| Error::Proxy {
            proxy: proxy.value.to_string(),
            from: proxy.from.clone(),
            source,
        })
    };
    let mut no_proxy = NoProxy::parse(&network.proxies.no_proxy_text());
    for entry in &network.direct {
        no_proxy.extend(&NoProxy::parse(&entry.value));
    }
    Ok(Proxies {
        http: one("http")?,
        https: one("https")?,
        no_proxy,
    })
}

/// The settings of every host that has rules, token services on it included. A name without a port
/// means the port of HTTPS, and no other.
fn hosts(network: &Network) -> Result<HashMap<String, HostSettings>, Error> {
    let mut settings = HashMap::new();
    for host in network.hosts.keys() {
        let rule = network.host_rule(host);
        let server = host.server();
        let key = match server.port() {
            Some(_) => server.to_string(),
            None => format!("{server}:443"),
        };
        settings.insert(
            key,
            HostSettings {
                tls: tls(&rule)?,
                proxy: None,
            },
        );
    }
    Ok(settings)
}

fn tls(rule: &HostRule) -> Result<Tls, Error> {
    let mut authorities = Vec::new();
    for ca in &rule.ca {
        authorities.push(read(&ca.value, &ca.from)?);
    }
    // A server that asks for a certificate is shown the first pair; the transport holds one.
    let identity = match rule.client.first() {
        Some(pair) => Some(Identity {
            certificates: read(&pair.value.cert, &pair.from)?,
            key: read(&pair.value.key, &pair.from)?,
        }),
        None => None,
    };
    let skip_verify = rule.verify.as_ref().is_some_and(|verify| !verify.value);
    Ok(Tls {
        authorities,
        identity,
        skip_verify,
    })
}

fn read(path: &Path, from: &Place) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        from: from.clone(),
        source,
    })
}

/// Makes the route of an image: its mirrors in order, and the registry itself.
///
/// # Errors
/// [`Error::Network`] for an image that is forbidden, [`Error::Endpoint`], [`Error::File`].
pub fn route(network: &Network, reference: &Reference) -> Result<Route, Error> {
    let hops = network.hops(reference)?;
    let mut endpoints = Vec::new();
    for endpoint in &hops.endpoints {
        endpoints.push(convert(network, endpoint, reference.registry())?);
    }
    let origin = match endpoints.pop() {
        Some(origin) => origin,
        None => convert(
            network,
            &network.default_origin(&hub()),
            reference.registry(),
        )?,
    };
    Ok(Route::new(endpoints, origin))
}

/// Makes the routes of all registries that these images are of, by the registries' names.
///
/// # Errors
/// As [`route`].
pub fn routes<'a>(
    network: &Network,
    references: impl IntoIterator<Item = &'a Reference>,
) -> Result<HashMap<String, Route>, Error> {
    let mut routes = HashMap::new();
    for reference in references {
        let made = route(network, reference)?;
        routes
            .entry(reference.registry().to_owned())
            .or_insert(made);
    }
    Ok(routes)
}

fn hub() -> Host {
    Host::parse(crate::network::host::HUB).expect("the name of Docker Hub is a host")
}

fn convert(
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
    let made = made.map_err(|source| Error::Endpoint {
        endpoint: endpoint.to_string(),
        from: endpoint.from.clone(),
        source,
    })?;
    let base = format!("{}/{}", endpoint.api, endpoint.prefix);
    let made = made.with_base(&base);
    // As containerd does: one mirror may serve several registries and tells them apart by this.
    let made = if endpoint.is_for(registry) {
        made
    } else {
        made.with_query(&format!("ns={registry}"))
    };
    Ok(made.with_tls(tls(&network.host_rule(&endpoint.host))?))
}
