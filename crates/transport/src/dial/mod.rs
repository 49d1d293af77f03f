//! Opening connections: DNS, TCP over all of a host's addresses, proxies, TLS. Each step has its own
//! time-out and its own typed failure.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

mod socks;
mod tunnel;

pub(crate) use tunnel::basic;

use crate::address::is_local;
use crate::error::{Cause, Stage};
use crate::proxy::{Proxy, ProxyScheme};
use crate::settings::{Timeouts, Tls};
use crate::tls::Configurations;

/// A byte stream to a server, through whatever lies between.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A boxed byte stream.
pub type Stream = Box<dyn Io>;

/// The other side of a connection, and the way there. Connections to equal peers are exchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) https: bool,
    /// The host, IPv6 without brackets.
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    pub(crate) proxy: Option<Proxy>,
    /// Whether large bodies travel on it: HTTP/1.1 only, large reads.
    pub(crate) bulk: bool,
}

impl Peer {
    /// Whether requests are sent in absolute form to a proxy.
    pub(crate) fn absolute(&self) -> bool {
        !self.https
            && self
                .proxy
                .as_ref()
                .is_some_and(|proxy| proxy.scheme != ProxyScheme::Socks5)
    }
}

/// How one dial is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) connect: Duration,
    pub(crate) http2: bool,
    /// TLS with a proxy that wants it.
    pub(crate) proxy_tls: &'a Tls,
    /// Refuses loopback and link-local addresses: set for redirects from elsewhere.
    pub(crate) outside_only: bool,
}

/// An open connection, before HTTP.
pub(crate) struct Dialed {
    pub(crate) stream: Stream,
    pub(crate) http2: bool,
}

/// Opens a byte stream to a peer, before any TLS with it.
pub(crate) async fn reach(
    peer: &Peer,
    manner: Manner<'_>,
    configurations: &Configurations,
) -> Result<Stream, Cause> {
    match &peer.proxy {
        None => Ok(Box::new(tcp(&peer.host, peer.port, manner).await?)),
        Some(proxy) => through(peer, proxy, manner, configurations).await,
    }
}

/// Opens a connection to a peer.
pub(crate) async fn dial(
    peer: &Peer,
    manner: Manner<'_>,
    configurations: &Configurations,
) -> Result<Dialed, Cause> {
    let stream = reach(peer, manner, configurations).await?;
    if !peer.https {
        return Ok(Dialed {
            stream,
            http2: false,
        });
    }
    let http2 = manner.http2 && !peer.bulk;
    let config = configurations.get(&peer.tls, http2, &peer.host)?;
    secure(stream, &peer.host, config, manner.timeouts.tls).await
}

/// Reaches a peer's other side of a proxy.
async fn through(
    peer: &Peer,
    proxy: &Proxy,
    manner: Manner<'_>,
    configurations: &Configurations,
) -> Result<Stream, Cause> {
    let unreachable = |source: Cause| Cause::ProxyUnreachable {
        proxy: proxy.described(),
        source: Box::new(source),
    };
    let host = proxy.host.trim_start_matches('[').trim_end_matches(']');
    // The user chose the proxy, so it may be on loopback whatever the target is.
    let direct = Manner {
        outside_only: false,
        ..manner
    };
    let tcp = tcp(host, proxy.port, direct).await.map_err(unreachable)?;
    let mut stream: Stream = Box::new(tcp);
    if proxy.scheme == ProxyScheme::Https {
        let config = configurations.get(manner.proxy_tls, false, host)?;
        let secured = secure(stream, host, config, manner.timeouts.tls).await;
        stream = secured.map_err(unreachable)?.stream;
    }
    let patience = manner.timeouts.proxy;
    let opened = async {
        match proxy.scheme {
            ProxyScheme::Socks5 => socks::open(&mut stream, proxy, &peer.host, peer.port).await,
            ProxyScheme::Http | ProxyScheme::Https if peer.https => {
                tunnel::open(&mut stream, proxy, &peer.host, peer.port).await
            }
            ProxyScheme::Http | ProxyScheme::Https => Ok(()),
        }
    };
    match timeout(patience, opened).await {
        Ok(opened) => opened?,
        Err(_) => {
            return Err(Cause::Timeout {
                stage: Stage::Proxy,
                after: patience,
            });
        }
    }
    Ok(stream)
}

async fn secure(
    stream: Stream,
    host: &str,
    config: Arc<rustls::ClientConfig>,
    patience: Duration,
) -> Result<Dialed, Cause> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Cause::Url {
        text: host.to_owned(),
    })?;
    let handshake = TlsConnector::from(config).connect(name, stream);
    match timeout(patience, handshake).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok(Dialed {
                stream: Box::new(stream),
                http2,
            })
        }
        Ok(Err(source)) => Err(Cause::Tls {
            host: host.to_owned(),
            source,
        }),
        Err(_) => Err(Cause::Timeout {
            stage: Stage::Tls,
            after: patience,
        }),
    }
}

/// Opens a TCP connection to the first of a host's addresses that takes one, starting a new try
/// every 250 ms or as soon as one fails, IPv6 and IPv4 in turns (RFC 8305).
async fn tcp(host: &str, port: u16, manner: Manner<'_>) -> Result<TcpStream, Cause> {
    let addresses = lookup(host, port, manner).await?;
    let race = race(interleave(addresses));
    match timeout(manner.connect, race).await {
        Ok(Ok(stream)) => {
            // Requests are small and wait for nothing; a failure only costs some delay.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(cause)) => Err(cause),
        Err(_) => Err(Cause::Timeout {
            stage: Stage::Connect,
            after: manner.connect,
        }),
    }
}

async fn lookup(host: &str, port: u16, manner: Manner<'_>) -> Result<Vec<SocketAddr>, Cause> {
    let failed = |source| Cause::Lookup {
        host: host.to_owned(),
        source,
    };
    let mut addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => match timeout(
            manner.timeouts.lookup,
            tokio::net::lookup_host((host, port)),
        )
        .await
        {
            Ok(found) => found.map_err(failed)?.collect(),
            Err(_) => {
                return Err(Cause::Timeout {
                    stage: Stage::Lookup,
                    after: manner.timeouts.lookup,
                });
            }
        },
    };
    if manner.outside_only {
        addresses.retain(|address| !is_local(address.ip()));
        if addresses.is_empty() {
            return Err(Cause::Redirect {
                target: host.to_owned(),
                reason: "it points to a loopback or link-local address",
            });
        }
    }
    if addresses.is_empty() {
        let none = io::Error::new(
            io::ErrorKind::NotFound,
            "no address associated with hostname",
        );
        return Err(failed(none));
    }
    Ok(addresses)
}

fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    first.reverse();
    second.reverse();
    let mut order = Vec::with_capacity(first.len() + second.len());
    while !first.is_empty() || !second.is_empty() {
        order.extend(first.pop());
        order.extend(second.pop());
    }
    order
}

async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, Cause> {
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let connect = |address: SocketAddr| async move { (address, TcpStream::connect(address).await) };
    let mut last = None;
    running.extend(waiting.next().map(connect));
    while !running.is_empty() {
        let more = waiting.len() > 0;
        tokio::select! {
            Some((address, done)) = running.next() => match done {
                Ok(stream) => return Ok(stream),
                Err(source) => {
                    last = Some(Cause::Connect { address, source });
                    running.extend(waiting.next().map(connect));
                }
            },
            () = sleep(Duration::from_millis(250)), if more => {
                running.extend(waiting.next().map(connect));
            }
        }
    }
    Err(last.expect("the race runs over at least one address, so one failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let order = interleave(vec![
            address("[2001:db8::1]:1"),
            address("[2001:db8::2]:1"),
            address("192.0.2.1:1"),
        ]);
        assert_eq!(
            order,
            [
                address("[2001:db8::1]:1"),
                address("192.0.2.1:1"),
                address("[2001:db8::2]:1")
            ]
        );
    }
}
