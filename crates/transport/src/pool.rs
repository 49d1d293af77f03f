//! Idle connections, by peer. HTTP/1 connections are here while nobody uses them; an HTTP/2
//! connection is here as long as it lives.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Http1, Http2};
use crate::dial::Peer;

/// The pool of one transport.
pub(crate) struct Pool {
    idle_per_peer: usize,
    idle_time: Duration,
    peers: Mutex<HashMap<Peer, Idle>>,
}

#[derive(Default)]
struct Idle {
    http1: Vec<Http1>,
    http2: Option<Http2>,
}

impl Pool {
    pub(crate) fn new(idle_per_peer: usize, idle_time: Duration) -> Self {
        Self {
            idle_per_peer,
            idle_time,
            peers: Mutex::default(),
        }
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<Peer, Idle>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection that still works, the one used last first.
    pub(crate) async fn take(&self, peer: &Peer) -> Option<Connection> {
        loop {
            let mut candidate = self.candidate(peer)?;
            match &mut candidate {
                Connection::Http1(http1) => {
                    if http1.usable().await {
                        return Some(candidate);
                    }
                }
                Connection::Http2(_) => return Some(candidate),
            }
        }
    }

    fn candidate(&self, peer: &Peer) -> Option<Connection> {
        let mut peers = self.peers();
        let idle = peers.get_mut(peer)?;
        if let Some(http2) = &idle.http2 {
            if http2.usable() {
                return Some(Connection::Http2(http2.clone()));
            }
            idle.http2 = None;
        }
        while let Some(http1) = idle.http1.pop() {
            if http1.since.elapsed() < self.idle_time {
                return Some(Connection::Http1(Box::new(http1)));
            }
        }
        peers.remove(peer);
        None
    }

    /// Keeps a connection for the next request.
    pub(crate) fn put(&self, peer: Peer, connection: Connection) {
        let mut peers = self.peers();
        let idle_time = self.idle_time;
        peers.retain(|_, idle| {
            idle.http1.retain(|http1| http1.since.elapsed() < idle_time);
            let kept = idle.http2.as_ref().is_some_and(Http2::usable);
            kept || !idle.http1.is_empty()
        });
        let idle = peers.entry(peer).or_default();
        match connection {
            Connection::Http1(mut http1) if idle.http1.len() < self.idle_per_peer => {
                http1.since = Instant::now();
                idle.http1.push(*http1);
            }
            Connection::Http1(_) => {}
            Connection::Http2(http2) => {
                if !idle.http2.as_ref().is_some_and(Http2::usable) {
                    idle.http2 = Some(http2);
                }
            }
        }
    }

    /// Forgets a peer's HTTP/2 connection after it failed.
    pub(crate) fn forget(&self, peer: &Peer) {
        if let Some(idle) = self.peers().get_mut(peer) {
            idle.http2 = None;
        }
    }
}
