//! Addresses that answer nothing.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::address;

/// Returns an address where nothing listens.
///
/// # Panics
/// If no port is free.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    address(&listener).to_string()
}

/// A listener whose queue is full: connecting to it hangs, as to a host behind a silent firewall.
#[derive(Debug)]
pub struct Silent {
    /// Its address.
    pub authority: String,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    /// Fills the queue of a new listener.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("sockets can be made");
        socket
            .bind(([127, 0, 0, 1], 0).into())
            .expect("a port is free");
        let listener = socket.listen(1).expect("a bound socket listens");
        let address = address(&listener);
        let mut queued = Vec::new();
        loop {
            let connect = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(200), connect).await {
                Ok(stream) => queued.push(stream.expect("loopback connects")),
                Err(_) => break,
            }
        }
        Self {
            authority: address.to_string(),
            _listener: listener,
            _queued: queued,
        }
    }
}
