//! Forward proxies, as companies put them between a machine and the world: HTTP with CONNECT, and
//! SOCKS5. Both may demand a password, and both tell what went through them.

mod http;
mod socks;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

pub use http::HttpProxy;
pub use socks::SocksProxy;

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
struct Rules {
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
    async fn connect(&self, destination: &str) -> std::io::Result<TcpStream> {
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
