//! One attempt's way over the wire: a request, its redirects, a response's head.
//!
//! Redirects are followed by hand: a limited number, no loops, never from https to http, never to
//! this machine from elsewhere, without credentials as soon as scheme, host or port change, and with
//! the proxy that the new host calls for.

mod head;
mod redirect;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::header::HeaderValue;
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use url::Url;

use crate::connection::{BULK_READ, Body, Connection, FAST_READ};
use crate::dial::{Manner, Peer, dial};
use crate::download::{FAST, Slot};
use crate::endpoint::{Endpoint, Scheme, masked};
use crate::error::Cause;
use crate::host::Host;
use crate::observe::{Event, Reason, Subject, millis};
use crate::payload::Payload;
use crate::proxy::ProxyChoice;
use crate::request::{Request, Target};
use crate::settings::Tls;
use crate::transport::Inner;
pub(crate) use redirect::onward;
use redirect::{Redirects, is_local};

/// One attempt's request, ready to go.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) request: &'a Request,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) payload: &'a Payload,
    /// The `Range` header.
    pub(crate) range: Option<&'a HeaderValue>,
    /// The `If-Range` header: the content that the range continues.
    pub(crate) if_range: Option<&'a HeaderValue>,
    /// Where an earlier redirect of the same request ended.
    pub(crate) known: Option<&'a Url>,
    /// Whether a large body is expected.
    pub(crate) bulk: bool,
    /// Whether an idle connection must not be used.
    pub(crate) fresh: bool,
    /// Whether the endpoint failed before, so that little time is spent on reaching it.
    pub(crate) probe: bool,
    /// How often the endpoint failed in a row before.
    pub(crate) failures: u32,
    /// Set once a connection is there.
    pub(crate) reached: &'a AtomicBool,
    /// The right to a connection for a large body, which goes along with redirects.
    pub(crate) slot: Option<&'a Slot>,
}

/// A response's head, with its body still to come.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) url: Url,
    pub(crate) host: Arc<Host>,
    /// Whether it came from the endpoint itself, not from where a redirect led.
    pub(crate) home: bool,
    peer: Peer,
    /// The right to a small request, until its response is read.
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Reply {
    /// Gives the connection back to the pool, where the body was read to its end.
    pub(crate) async fn finish(self, inner: &Inner) {
        if let Some(connection) = self.body.finish().await {
            inner.pool.put(self.peer, connection);
        }
    }
}

/// A failed exchange: the cause, and the host that was being asked.
pub(crate) struct Broken {
    pub(crate) cause: Cause,
    pub(crate) host: Arc<Host>,
}

/// One hop of an exchange.
struct Hop<'a> {
    url: &'a Url,
    host: &'a Arc<Host>,
    peer: Peer,
    /// Whether the hop is the endpoint itself, so that its credentials go along.
    home: bool,
    permit: Option<Arc<OwnedSemaphorePermit>>,
    outside_only: bool,
}

impl Exchange<'_> {
    /// Sends the request and follows redirects until a response comes that is none.
    pub(crate) async fn run(self) -> Result<Reply, Broken> {
        let inner = self.inner;
        let endpoint_host = inner.hosts.get(&self.endpoint.authority());
        let first = self.first_url().map_err(|cause| Broken {
            cause,
            host: Arc::clone(&endpoint_host),
        })?;
        let start = self.endpoint.host().to_owned();
        // Credentials are there by now, so nothing that holds one waits for another. Nor for a slot:
        // whoever has one waits for no permit, or two could wait for what the other one holds.
        let permit = match self.bulk || self.slot.is_some() {
            true => None,
            false => Arc::clone(&endpoint_host.small).acquire_owned().await.ok(),
        };
        let permit = permit.map(Arc::new);
        let mut redirects = Redirects::new(inner.settings.limits.redirects);
        let mut url = first;
        loop {
            let host = inner.hosts.get(&authority(&url));
            let broken = |cause| Broken {
                cause,
                host: Arc::clone(&host),
            };
            if let Some(slot) = self.slot {
                slot.move_to(&host).await;
            }
            let home = self.is_home(&url);
            let elsewhere = !home && url.host_str() != Some(start.as_str());
            let hop = Hop {
                url: &url,
                host: &host,
                peer: self.peer(&url, home).map_err(broken)?,
                home,
                permit: permit.clone(),
                outside_only: elsewhere && !is_local(&start),
            };
            let reply = self.hop(hop).await.map_err(broken)?;
            let next = redirects.next(&self.request.method, &reply, url);
            let Some(next) = next.map_err(broken)? else {
                return Ok(reply);
            };
            drain(reply, inner).await;
            url = next;
        }
    }

    fn first_url(&self) -> Result<Url, Cause> {
        let mut url = match (self.known, &self.request.target) {
            (Some(known), _) => known.clone(),
            (None, Target::Path(path)) => self.endpoint.url(path)?,
            (None, Target::Url(url)) => url.clone(),
        };
        let plain = self.endpoint.scheme() == Scheme::HttpsElseHttp
            && self.inner.hosts.get(&self.endpoint.authority()).is_plain();
        if plain && self.is_home(&url) {
            plainly(&mut url);
        }
        Ok(url)
    }

    /// Whether a URL is the endpoint's own scheme, host and port.
    fn is_home(&self, url: &Url) -> bool {
        let https = url.scheme() == "https";
        let port = self.endpoint.port();
        let same_scheme = match self.endpoint.scheme() {
            Scheme::Https => https,
            Scheme::Http => !https,
            Scheme::HttpsElseHttp => true,
        };
        let own = port.unwrap_or(if https { 443 } else { 80 });
        same_scheme
            && url.host_str() == Some(self.endpoint.host())
            && url.port_or_known_default() == Some(own)
    }

    fn peer(&self, url: &Url, home: bool) -> Result<Peer, Cause> {
        let settings = &self.inner.settings;
        let wrong = || Cause::Url { text: masked(url) };
        let https = url.scheme() == "https";
        let host = url.host_str().ok_or_else(wrong)?;
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        let named = settings.of_host(host, port);
        let own = home.then_some(self.endpoint);
        let tls = own
            .and_then(Endpoint::tls)
            .or(named.map(|named| &named.tls))
            .unwrap_or(&settings.tls);
        let choice = own
            .and_then(Endpoint::proxy)
            .or(named.and_then(|named| named.proxy.as_ref()));
        let proxy = match choice {
            Some(ProxyChoice::Direct) => None,
            Some(ProxyChoice::Via(proxy)) => Some(proxy),
            None => settings.proxies.choose(https, host, port).0,
        };
        Ok(Peer {
            https,
            host: Arc::from(host.trim_start_matches('[').trim_end_matches(']')),
            port,
            tls: if https { tls.clone() } else { Tls::default() },
            proxy: proxy.cloned(),
            bulk: self.bulk,
        })
    }

    /// Sends the request to one hop; an idle connection that turns out to be dead costs nothing.
    async fn hop(&self, hop: Hop<'_>) -> Result<Reply, Cause> {
        self.pause(hop.host).await;
        if !self.fresh
            && let Some(connection) = self.inner.pool.take(&hop.peer).await
        {
            let taken = Arc::new(AtomicU64::new(0));
            match self.send(&hop, connection, &taken).await {
                Err(Cause::Http(error)) if self.again(&error, &taken) => {
                    self.inner.pool.forget(&hop.peer);
                }
                done => return done,
            }
        }
        let taken = Arc::new(AtomicU64::new(0));
        match self.connect(&hop).await {
            Ok(connection) => self.send(&hop, connection, &taken).await,
            Err(cause) => self.plain_instead(hop, cause).await,
        }
    }

    /// Whether a request that died with an idle connection may be sent again.
    fn again(&self, error: &hyper::Error, taken: &AtomicU64) -> bool {
        let unsent = error.is_canceled();
        let unanswered = self.request.repeatable && !error.is_parse();
        unsent || (unanswered && taken.load(Ordering::Relaxed) <= self.payload.len())
    }

    async fn pause(&self, host: &Arc<Host>) {
        while let Some(wait) = host.wait() {
            self.inner.emit(&Event::Waiting {
                subject: self.subject(host),
                reason: Reason::Paced,
                millis: millis(wait),
            });
            host.count(|totals| totals.lost_ms += millis(wait));
            tokio::time::sleep(wait).await;
        }
    }

    fn subject(&self, host: &Host) -> Subject {
        Subject {
            phase: self.request.phase,
            label: Arc::clone(&self.request.label),
            host: Arc::clone(&host.name),
        }
    }

    async fn connect(&self, hop: &Hop<'_>) -> Result<Connection, Cause> {
        let settings = &self.inner.settings;
        let manner = Manner {
            timeouts: &settings.timeouts,
            connect: if self.probe {
                settings.timeouts.probe
            } else {
                settings.timeouts.connect
            },
            http2: settings.http2 && !hop.peer.absolute(),
            proxy_tls: self.proxy_tls(&hop.peer),
            outside_only: hop.outside_only,
        };
        let dialed = dial(&hop.peer, manner, &self.inner.configurations).await?;
        let read = hop.peer.bulk.then(|| self.read_size());
        let connection = Connection::open(dialed, read).await;
        connection.map_err(Cause::Http)
    }

    fn read_size(&self) -> usize {
        let rate = self.inner.health.throughput(self.endpoint);
        match rate.is_some_and(|rate| rate < FAST) {
            true => BULK_READ,
            false => FAST_READ,
        }
    }

    fn proxy_tls(&self, peer: &Peer) -> &Tls {
        let settings = &self.inner.settings;
        let proxy = peer.proxy.as_ref();
        let named = proxy.and_then(|proxy| settings.of_host(&proxy.host, proxy.port));
        named.map_or(&settings.tls, |named| &named.tls)
    }

    /// Falls back on plain HTTP where the endpoint allows it and TLS was not to be had.
    async fn plain_instead(&self, hop: Hop<'_>, cause: Cause) -> Result<Reply, Cause> {
        let allowed = hop.home
            && hop.peer.https
            && self.endpoint.scheme() == Scheme::HttpsElseHttp
            && matches!(
                cause,
                Cause::Tls { .. } | Cause::Connect { .. } | Cause::Timeout { .. } | Cause::Io(_)
            );
        if !allowed {
            return Err(cause);
        }
        let mut url = hop.url.clone();
        plainly(&mut url);
        let plain = Hop {
            url: &url,
            peer: self.peer(&url, true)?,
            ..hop
        };
        // The first failure tells more than the second one.
        let Ok(connection) = self.connect(&plain).await else {
            return Err(cause);
        };
        let taken = Arc::new(AtomicU64::new(0));
        let reply = self.send(&plain, connection, &taken).await?;
        plain.host.set_plain();
        Ok(reply)
    }
}

/// `host` or `host:port` of a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn plainly(url: &mut Url) {
    let port = url.port();
    // Both are special schemes with a host, so neither call can fail.
    let _ = url.set_scheme("http");
    let _ = url.set_port(port);
}

/// Reads the rest of a redirect's small body, so that its connection can be used again.
async fn drain(mut reply: Reply, inner: &Inner) {
    let mut left = 16_usize << 10;
    let read = async {
        while let Some(Ok(piece)) = reply.body.next().await {
            match left.checked_sub(piece.len()) {
                Some(rest) => left = rest,
                None => return None,
            }
        }
        Some(())
    };
    if timeout(Duration::from_secs(2), read).await == Ok(Some(())) {
        reply.finish(inner).await;
    }
}
