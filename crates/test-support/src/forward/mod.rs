//! Forward proxies, as companies put them between a machine and the world: HTTP with CONNECT, and
//! SOCKS5. Both may demand a password, and both tell what went through them.

mod http;
mod socks;

use std::collections::HashMap;
use std::future::Future;
use std::io::Result;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::server::Server;

/// An HTTP proxy.
pub type HttpProxy = ForwardProxy<http::Http>;
/// A SOCKS5 proxy. Its URL leaves names to the proxy.
pub type SocksProxy = ForwardProxy<socks::Socks>;

/// How a forward proxy is spoken to.
pub trait Protocol {
    /// The scheme of its URL.
    const SCHEME: &'static str;

    /// Serves one connection.
    fn serve(rules: Arc<Rules>, stream: TcpStream) -> impl Future<Output = Result<()>> + Send;
}

/// A running forward proxy.
#[derive(Debug)]
pub struct ForwardProxy<P> {
    rules: Arc<Rules>,
    server: Server,
    protocol: PhantomData<P>,
}

impl<P: Protocol> ForwardProxy<P> {
    /// Starts a proxy that serves anyone.
    #[must_use]
    pub fn start() -> Self {
        Self::with(None, &[])
    }

    /// Starts a proxy that demands an account, and that alone can look up some `host:port`.
    #[must_use]
    pub fn with(account: Option<(&str, &str)>, hosts: &[(&str, SocketAddr)]) -> Self {
        let rules = Rules::new(account, hosts);
        let shared = Arc::clone(&rules);
        let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), move |stream| {
            let rules = Arc::clone(&shared);
            async move {
                let _ended = P::serve(rules, stream).await;
            }
        });
        Self {
            rules,
            server,
            protocol: PhantomData,
        }
    }

    /// Returns its address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns its URL, with the account where it demands one.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, address) = (P::SCHEME, self.address());
        match &self.rules.account {
            Some((name, password)) => format!("{scheme}://{name}:{password}@{address}"),
            None => format!("{scheme}://{address}"),
        }
    }

    /// Returns what went through it, or was refused.
    #[must_use]
    pub fn seen(&self) -> Vec<Tunnel> {
        self.rules.seen()
    }
}

/// One use of a forward proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The destination as the client named it, `host:port`: a name that the proxy is to look up
    /// stays a name.
    pub destination: String,
    /// How the client asked: `CONNECT`, `SOCKS5`, or the method of a plain request.
    pub method: String,
    /// Whether the client was let through.
    pub allowed: bool,
}

/// What a proxy demands, knows and has seen.
#[derive(Debug)]
pub struct Rules {
    account: Option<(String, String)>,
    /// Names that this proxy alone can look up.
    hosts: HashMap<String, SocketAddr>,
    seen: Mutex<Vec<Tunnel>>,
}

impl Rules {
    fn new(account: Option<(&str, &str)>, hosts: &[(&str, SocketAddr)]) -> Arc<Self> {
        let own = |(name, address): &(&str, SocketAddr)| ((*name).to_owned(), *address);
        Arc::new(Self {
            account: account.map(|(name, password)| (name.to_owned(), password.to_owned())),
            hosts: hosts.iter().map(own).collect(),
            seen: Mutex::new(Vec::new()),
        })
    }

    fn note(&self, destination: &str, method: &str, allowed: bool) {
        let tunnel = Tunnel {
            destination: destination.to_owned(),
            method: method.to_owned(),
            allowed,
        };
        self.seen.lock().expect("no holder panics").push(tunnel);
    }

    fn seen(&self) -> Vec<Tunnel> {
        self.seen.lock().expect("no holder panics").clone()
    }

    /// Connects to a destination. Only loopback addresses and this proxy's own names are served:
    /// tests never leave the machine.
    async fn connect(&self, destination: &str) -> Result<TcpStream> {
        let refused = || std::io::Error::from(std::io::ErrorKind::HostUnreachable);
        let named = self.hosts.get(destination).copied();
        let address = match named {
            Some(address) => address,
            None => destination
                .replace("localhost:", "127.0.0.1:")
                .parse()
                .map_err(|_| refused())?,
        };
        if !address.ip().is_loopback() {
            return Err(refused());
        }
        TcpStream::connect(address).await
    }
}

/// Joins two connections until both ends are closed.
async fn join(mut one: TcpStream, mut other: TcpStream) {
    let _ended = copy_bidirectional(&mut one, &mut other).await;
}
