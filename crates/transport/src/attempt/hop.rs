//! An attempt's way over the wire: its hops.
//!
//! Redirects are followed by hand: a limited number, no loops, never from https to http, never to
//! this machine from elsewhere, without credentials as soon as scheme, host or port change, and with
//! the proxy that the new host calls for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;
use sealift_failure::Phase;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use url::Url;

use super::{Attempt, Failure, Reply};
use crate::address::is_local_host;
use crate::connection::{BULK_READ, Connection, FAST, FAST_READ};
use crate::dial::{Manner, Peer, Stream, dial, reach};
use crate::endpoint::{Endpoint, Scheme, authority};
use crate::error::{Cause, masked};
use crate::host::Host;
use crate::observe::{Event, Reason, millis};
use crate::proxy::ProxyChoice;
use crate::redirect::{Redirects, location, refused};
use crate::request::Target;
use crate::settings::Tls;
use crate::shared::Shared;

/// One hop of an attempt.
pub(super) struct Hop<'a> {
    pub(super) url: &'a Url,
    pub(super) host: &'a Arc<Host>,
    pub(super) peer: Peer,
    /// Whether the hop is the endpoint itself, so that its credentials go along.
    pub(super) home: bool,
    pub(super) authorization: Option<&'a HeaderValue>,
    pub(super) permit: Option<Arc<OwnedSemaphorePermit>>,
    outside_only: bool,
}

impl Attempt<'_> {
    /// Sends the request and follows redirects until a response comes that is none.
    pub(crate) async fn send(&self, authorization: Option<&HeaderValue>) -> Result<Reply, Failure> {
        let shared = self.call.shared;
        let endpoint_host = shared.hosts.get(&self.choice.endpoint.authority());
        let first = self.first_url();
        let mut url = first.map_err(|cause| self.call.failure(cause, &endpoint_host))?;
        let start = self.choice.endpoint.host();
        let permit = self.permit(&endpoint_host).await;
        let mut redirects =
            Redirects::new(shared.settings.limits.redirects, self.call.request.verified);
        loop {
            let host = shared.hosts.get(&authority(&url));
            let failed = |cause| self.call.failure(cause, &host);
            if let Some(slot) = self.options.slot {
                slot.move_to(&host).await;
            }
            let home = self.is_home(&url);
            let elsewhere = !home && url.host_str() != Some(start);
            let hop = Hop {
                url: &url,
                host: &host,
                peer: self.peer(&url, home).map_err(failed)?,
                home,
                authorization: authorization.filter(|_| home),
                permit: permit.clone(),
                outside_only: (elsewhere && !is_local_host(start)) || self.call.request.outside,
            };
            self.pause(&host).await;
            let started = Instant::now();
            let reply = self.hop(hop);
            let reply = self.saying_so(&host, reply).await.map_err(|cause| {
                let at_once = host.failed(&cause, started.elapsed());
                let mut failure = failed(cause);
                failure.error = failure.error.at_once(at_once);
                failure
            })?;
            host.set_answered();
            let request = self.call.request;
            let location = location(&request.method, reply.status, &reply.headers);
            let Some(location) = location.filter(|_| !request.verbatim) else {
                return Ok(reply);
            };
            let was_secure = url.scheme() == "https";
            let next = redirects.follow(url, &location).map_err(failed)?;
            if self.call.request.confidential && !self.is_home(&next) {
                let reason = "the request holds a secret of the host that was asked";
                return Err(failed(refused(&next, reason)));
            }
            drain(reply, shared).await;
            if was_secure && next.scheme() == "http" {
                self.warn_of_plain(&host, &next);
            }
            url = next;
        }
    }

    /// Waits for an answer, and says so where it takes long.
    async fn saying_so<T>(&self, host: &Host, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        let word = self.call.shared.settings.timeouts.word;
        if let Ok(answer) = timeout(word, answer.as_mut()).await {
            return answer;
        }
        self.call.shared.emit(&Event::Unanswered {
            subject: self.call.request.subject(&host.name),
            millis: millis(word),
        });
        answer.await
    }

    /// Reports, once a host, that content comes over plain HTTP although it was asked for over HTTPS.
    fn warn_of_plain(&self, from: &Host, next: &Url) {
        let host = self.call.shared.hosts.get(&authority(next));
        if host.is_first_downgrade() {
            self.call.shared.emit(&Event::Downgraded {
                from: Arc::clone(&from.name),
                host: Arc::clone(&host.name),
            });
        }
    }

    /// Waits for the right to a small request.
    async fn permit(&self, host: &Arc<Host>) -> Option<Arc<OwnedSemaphorePermit>> {
        // Credentials are there by now, so nothing that holds one waits for another. Nor for a slot:
        // whoever has one waits for no permit, or two could wait for what the other one holds.
        if self.options.bulk || self.options.slot.is_some() {
            return None;
        }
        let places = match self.call.request.phase {
            Phase::Token => &host.tokens,
            _ => &host.small,
        };
        let permit = Arc::clone(places).acquire_owned().await.ok();
        permit.map(Arc::new)
    }

    fn first_url(&self) -> Result<Url, Cause> {
        let mut url = match (self.options.known, &self.call.request.target) {
            (Some(known), _) => known.clone(),
            (None, Target::Path(path)) => self.choice.endpoint.url(path)?,
            (None, Target::Url(url)) => url.clone(),
        };
        let plain = self.choice.endpoint.scheme() == Scheme::HttpsElseHttp
            && self
                .call
                .shared
                .hosts
                .get(&self.choice.endpoint.authority())
                .is_plain();
        if plain && self.is_home(&url) {
            plainly(&mut url);
        }
        Ok(url)
    }

    /// Whether a URL is the endpoint's own scheme, host and port.
    fn is_home(&self, url: &Url) -> bool {
        let https = url.scheme() == "https";
        let port = self.choice.endpoint.port();
        let same_scheme = match self.choice.endpoint.scheme() {
            Scheme::Https => https,
            Scheme::Http => !https,
            Scheme::HttpsElseHttp => true,
        };
        let own = port.unwrap_or(if https { 443 } else { 80 });
        same_scheme
            && url.host_str() == Some(self.choice.endpoint.host())
            && url.port_or_known_default() == Some(own)
    }

    fn peer(&self, url: &Url, home: bool) -> Result<Peer, Cause> {
        let settings = &self.call.shared.settings;
        let wrong = || Cause::Url { text: masked(url) };
        let https = url.scheme() == "https";
        let host = url.host_str().ok_or_else(wrong)?;
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        let named = settings.of_host(host, port);
        let own = home.then_some(&self.choice.endpoint);
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
            bulk: self.options.bulk,
        })
    }

    /// Sends the request to one hop; an idle connection that turns out to be dead costs nothing.
    async fn hop(&self, hop: Hop<'_>) -> Result<Reply, Cause> {
        if !self.options.fresh
            && let Some(connection) = self.call.shared.pool.take(&hop.peer).await
        {
            let sending = Arc::default();
            match self.exchange(&hop, connection, &sending).await {
                Err(Cause::Http(error)) if self.again(&error) => {
                    self.call.shared.pool.forget(&hop.peer);
                }
                done => return done,
            }
        }
        let sending = Arc::default();
        match self.connect(&hop).await {
            Ok(connection) => self.exchange(&hop, connection, &sending).await,
            Err(cause) => self.plain_instead(hop, cause).await,
        }
    }

    /// Whether a request that died with an idle connection may be sent again.
    fn again(&self, error: &hyper::Error) -> bool {
        let unsent = error.is_canceled();
        let unanswered = self.call.request.repeatable && !error.is_parse();
        unsent || (unanswered && !self.call.payload.is_spent())
    }

    async fn pause(&self, host: &Arc<Host>) {
        while let Some(wait) = host.wait() {
            self.call.shared.emit(&Event::Waiting {
                subject: self.call.request.subject(&host.name),
                reason: Reason::Paced,
                millis: millis(wait),
            });
            host.count(|totals| totals.lost_ms += millis(wait));
            tokio::time::sleep(wait).await;
        }
    }

    async fn connect(&self, hop: &Hop<'_>) -> Result<Connection, Cause> {
        let configurations = &self.call.shared.configurations;
        let dialed = dial(&hop.peer, self.manner(hop), configurations).await?;
        let read = hop.peer.bulk.then(|| self.read_size());
        let connection = Connection::open(dialed, read).await;
        connection.map_err(Cause::Http)
    }

    /// Opens a connection to the endpoint, for bytes of any kind.
    pub(crate) async fn tunnel(&self) -> Result<Stream, Failure> {
        let shared = self.call.shared;
        let host = shared.hosts.get(&self.choice.endpoint.authority());
        let reached = async {
            let url = self.choice.endpoint.url("")?;
            let hop = Hop {
                url: &url,
                host: &host,
                peer: self.peer(&url, true)?,
                home: true,
                authorization: None,
                permit: None,
                outside_only: false,
            };
            reach(&hop.peer, self.manner(&hop), &shared.configurations).await
        };
        reached
            .await
            .map_err(|cause| self.call.failure(cause, &host))
    }

    fn manner<'a>(&'a self, hop: &Hop<'_>) -> Manner<'a> {
        let settings = &self.call.shared.settings;
        Manner {
            timeouts: &settings.timeouts,
            connect: if self.choice.probe {
                settings.timeouts.probe
            } else {
                settings.timeouts.connect
            },
            http2: settings.http2 && !hop.peer.absolute(),
            proxy_tls: self.proxy_tls(&hop.peer),
            outside_only: hop.outside_only,
        }
    }

    fn read_size(&self) -> usize {
        let rate = self.call.shared.health.throughput(&self.choice.endpoint);
        match rate.is_some_and(|rate| rate < FAST) {
            true => BULK_READ,
            false => FAST_READ,
        }
    }

    fn proxy_tls(&self, peer: &Peer) -> &Tls {
        let settings = &self.call.shared.settings;
        let proxy = peer.proxy.as_ref();
        let named = proxy.and_then(|proxy| settings.of_host(&proxy.host, proxy.port));
        named.map_or(&settings.tls, |named| &named.tls)
    }

    /// Falls back on plain HTTP where the endpoint allows it and TLS was not to be had.
    async fn plain_instead(&self, hop: Hop<'_>, cause: Cause) -> Result<Reply, Cause> {
        let allowed = hop.home
            && hop.peer.https
            && self.choice.endpoint.scheme() == Scheme::HttpsElseHttp
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
        let sending = Arc::default();
        let reply = self.exchange(&plain, connection, &sending).await?;
        plain.host.set_plain();
        Ok(reply)
    }
}

fn plainly(url: &mut Url) {
    let port = url.port();
    // Both are special schemes with a host, so neither call can fail.
    let _ = url.set_scheme("http");
    let _ = url.set_port(port);
}

/// Reads the rest of a redirect's small body, so that its connection can be used again.
async fn drain(mut reply: Reply, shared: &Shared) {
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
        reply.finish(shared).await;
    }
}
