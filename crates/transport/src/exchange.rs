//! One attempt's way over the wire: a request, its redirects, a response's head.
//!
//! Redirects are followed by hand: a limited number, no loops, never from https to http, never to
//! this machine from elsewhere, without credentials as soon as scheme, host or port change, and with
//! the proxy that the new host calls for.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderValue, LOCATION, PROXY_AUTHORIZATION, RANGE,
    USER_AGENT,
};
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::connection::{Body, Connection};
use crate::dial::{Manner, Peer, basic, dial, local};
use crate::endpoint::{Endpoint, Scheme, masked};
use crate::error::{Cause, Stage};
use crate::host::Host;
use crate::observe::{Event, Reason, Subject, millis};
use crate::pace;
use crate::payload::{Outgoing, Payload};
use crate::proxy::ProxyChoice;
use crate::request::{Request, Target};
use crate::settings::Tls;
use crate::transport::Inner;

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
    /// Where an earlier redirect of the same request ended.
    pub(crate) known: Option<&'a Url>,
    /// Whether a large body is expected.
    pub(crate) bulk: bool,
    /// Whether an idle connection must not be used.
    pub(crate) fresh: bool,
    /// Whether the endpoint failed before, so that little time is spent on reaching it.
    pub(crate) probe: bool,
}

/// A response's head, with its body still to come.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) url: Url,
    pub(crate) host: Arc<Host>,
    peer: Peer,
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
        let mut seen: Vec<Url> = Vec::new();
        let mut url = first;
        loop {
            let host = inner.hosts.get(&authority(&url));
            let broken = |cause| Broken {
                cause,
                host: Arc::clone(&host),
            };
            let home = self.is_home(&url);
            let hop = Hop {
                url: &url,
                host: &host,
                peer: self.peer(&url, home).map_err(broken)?,
                home,
                outside_only: !home && !is_local(&start) && url.host_str() != Some(start.as_str()),
            };
            let reply = self.hop(hop).await.map_err(broken)?;
            let Some(next) = self.redirect(&reply, &url).map_err(broken)? else {
                return Ok(reply);
            };
            seen.push(url);
            if seen.len() > inner.settings.limits.redirects {
                return Err(broken(refused(&next, "too many redirects")));
            }
            if seen.contains(&next) {
                return Err(broken(refused(&next, "it leads in a circle")));
            }
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
        let named = settings
            .hosts
            .get(&format!("{host}:{port}"))
            .or_else(|| settings.hosts.get(host));
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
            outside_only: hop.outside_only,
        };
        let dialed = dial(&hop.peer, manner, &self.inner.configurations).await?;
        let connection = Connection::open(dialed, hop.peer.bulk).await;
        connection.map_err(Cause::Http)
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

    async fn send(
        &self,
        hop: &Hop<'_>,
        connection: Connection,
        taken: &Arc<AtomicU64>,
    ) -> Result<Reply, Cause> {
        let shared = match &connection {
            Connection::Http2(http2) => Some(Connection::Http2(http2.clone())),
            Connection::Http1(_) => None,
        };
        let request = self.head(hop, connection.is_http2(), taken)?;
        hop.host.count(|totals| totals.requests += 1);
        let response = self.watch(connection.send(request), taken).await;
        let sent = taken.load(Ordering::Relaxed);
        hop.host.count(|totals| totals.sent += sent);
        let (head, body) = response?.into_parts();
        if let Some(shared) = shared {
            self.inner.pool.put(hop.peer.clone(), shared);
        }
        if let Some(limit) = pace::rate_limit(&head.headers) {
            hop.host.note(limit);
            self.inner.emit(&Event::RateLimit {
                host: Arc::clone(&hop.host.name),
                limit: limit.limit,
                remaining: limit.remaining,
                window: limit.window,
            });
        }
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
            url: hop.url.clone(),
            host: Arc::clone(hop.host),
            peer: hop.peer.clone(),
        })
    }

    /// Waits for a response's head: while the body goes out, some of it must go out in each window;
    /// after that, the response has its own time.
    async fn watch(
        &self,
        response: impl Future<Output = hyper::Result<http::Response<Body>>>,
        taken: &AtomicU64,
    ) -> Result<http::Response<Body>, Cause> {
        let timeouts = &self.inner.settings.timeouts;
        let mut response = std::pin::pin!(response);
        let mut before = 0;
        let mut answer_by: Option<Instant> = None;
        loop {
            let sending = before < self.payload.len();
            let window = if sending {
                timeouts.stall
            } else {
                let by = *answer_by.get_or_insert_with(|| Instant::now() + timeouts.first_byte);
                by.saturating_duration_since(Instant::now())
            };
            let window = window.min(Duration::from_millis(500).max(window / 30));
            match timeout(window, response.as_mut()).await {
                Ok(done) => return done.map_err(Cause::Http),
                Err(_) => {
                    let now = taken.load(Ordering::Relaxed);
                    let moved = now > before;
                    if moved {
                        self.report_sent(now - before);
                    }
                    before = now;
                    self.overdue(sending, moved, &mut answer_by)?;
                }
            }
        }
    }

    /// Fails when a window of sending or waiting is over.
    fn overdue(
        &self,
        sending: bool,
        moved: bool,
        deadline: &mut Option<Instant>,
    ) -> Result<(), Cause> {
        let timeouts = &self.inner.settings.timeouts;
        if sending && moved {
            *deadline = None;
            return Ok(());
        }
        let (stage, after) = if sending {
            (Stage::Send, timeouts.stall)
        } else {
            (Stage::FirstByte, timeouts.first_byte)
        };
        let by = *deadline.get_or_insert_with(|| Instant::now() + after);
        if Instant::now() < by {
            return Ok(());
        }
        Err(Cause::Timeout { stage, after })
    }

    fn report_sent(&self, bytes: u64) {
        self.inner.emit(&Event::Sent {
            label: Arc::clone(&self.request.label),
            host: Arc::from(self.endpoint.authority()),
            bytes,
        });
    }

    fn head(
        &self,
        hop: &Hop<'_>,
        http2: bool,
        taken: &Arc<AtomicU64>,
    ) -> Result<http::Request<Outgoing>, Cause> {
        let wrong = || Cause::Url {
            text: masked(hop.url),
        };
        let mut wire = hop.url.clone();
        wire.set_fragment(None);
        let _ = wire.set_username("");
        let _ = wire.set_password(None);
        let target = if http2 || hop.peer.absolute() {
            wire.to_string()
        } else {
            wire[url::Position::BeforePath..].to_owned()
        };
        let body = Outgoing::new(self.payload.clone(), Arc::clone(taken));
        let mut request = http::Request::new(body);
        *request.method_mut() = self.request.method.clone();
        *request.uri_mut() = target.parse().map_err(|_| wrong())?;
        let mut headers = self.request.headers.clone();
        let text = |text: &str| HeaderValue::from_str(text).map_err(|_| wrong());
        if !http2 {
            headers.insert(HOST, text(&authority(hop.url))?);
        }
        headers.insert(USER_AGENT, text(&self.inner.settings.user_agent)?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(AUTHORIZATION);
        if let Some(value) = self.authorization.filter(|_| hop.home) {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        for (name, value) in self.endpoint.headers().iter().filter(|_| hop.home) {
            headers.append(name, value.clone());
        }
        if let Some(range) = self.range {
            headers.insert(RANGE, range.clone());
        }
        let login = hop
            .peer
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.login.as_ref());
        if let Some(login) = login.filter(|_| hop.peer.absolute()) {
            headers.insert(PROXY_AUTHORIZATION, text(&basic(login))?);
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Returns where a response redirects to, `None` where it is final.
    fn redirect(&self, reply: &Reply, from: &Url) -> Result<Option<Url>, Cause> {
        let reading = matches!(self.request.method, Method::GET | Method::HEAD);
        let follow = match reply.status.as_u16() {
            301..=303 => reading,
            307 | 308 => true,
            _ => false,
        };
        let Some(location) = reply.headers.get(LOCATION).filter(|_| follow) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(location.as_bytes());
        let next = from.join(&text).map_err(|_| Cause::Url {
            text: "the redirect's Location".to_owned(),
        })?;
        allowed(from, &next)?;
        Ok(Some(next))
    }
}

fn refused(target: &Url, reason: &'static str) -> Cause {
    Cause::Redirect {
        target: masked(target),
        reason,
    }
}

fn allowed(from: &Url, next: &Url) -> Result<(), Cause> {
    if !matches!(next.scheme(), "http" | "https") {
        return Err(refused(next, "it leaves HTTP"));
    }
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(refused(next, "it leads from https to http"));
    }
    let local_now = from.host_str().is_some_and(is_local);
    let local_next = next.host_str().is_some_and(is_local);
    if local_next && !local_now {
        return Err(refused(next, "it leads to this machine"));
    }
    Ok(())
}

/// Whether a host's text, as in a URL, means this machine or link.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = bare.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost") || bare.parse::<IpAddr>().is_ok_and(local)
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
