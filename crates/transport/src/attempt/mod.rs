//! One attempt at one endpoint: credentials, the request on the wire, redirects, a response's head.

mod credentials;
mod head;
mod hop;
mod send;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use crate::authorizer::Authorizer;
use crate::connection::Body;
use crate::dial::Peer;
use crate::endpoint::Endpoint;
use crate::error::{Cause, Error};
use crate::health::ProbeGuard;
use crate::host::Host;
use crate::payload::Payload;
use crate::proxy::Proxy;
use crate::request::Request;
use crate::shared::Shared;
use crate::slot::Slot;

/// A request with its body and its credentials: the same for all of its attempts.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) request: &'a Request,
    pub(crate) payload: &'a Payload,
    pub(crate) authorizer: &'a dyn Authorizer,
}

impl Call<'_> {
    /// Makes the failure of a body that a response had begun.
    pub(crate) fn broken_body(&self, cause: Cause, host: &Arc<Host>) -> Failure {
        let at_once = host.failed(&cause, Duration::ZERO);
        let mut failure = self.failure(cause, host);
        failure.error = failure.error.at_once(at_once);
        failure
    }

    pub(crate) fn failure(&self, cause: Cause, host: &Arc<Host>) -> Failure {
        let request = self.request;
        Failure {
            error: Error::new(cause, request.phase, &host.name, &request.label),
            host: Arc::clone(host),
            headers: None,
            bytes: 0,
        }
    }
}

/// The endpoint of an attempt, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) index: usize,
    pub(crate) endpoint: Endpoint,
    /// Whether the endpoint failed before and this attempt finds out whether it is back.
    pub(crate) probe: bool,
    /// Whether no other attempt may find that out before this one has ended.
    pub(crate) sole_probe: bool,
    /// The attempt's number, from 1.
    pub(crate) attempt: u32,
    /// How often the endpoint failed in a row before.
    pub(crate) failures: u32,
    pub(crate) started: Instant,
    /// Whether a connection was there, so that a dropped attempt tells a dead endpoint from a slow
    /// one.
    pub(crate) reached: Arc<AtomicBool>,
}

impl Choice {
    /// Keeps the place of a probe until the attempt ends or is dropped.
    pub(crate) fn probe_guard<'a>(&self, shared: &'a Shared) -> ProbeGuard<'a> {
        ProbeGuard::new(&shared.health, self.sole_probe.then_some(&self.endpoint))
    }
}

/// How one attempt differs from others of its request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options<'a> {
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
    /// The right to a connection for a large body, which goes along with redirects.
    pub(crate) slot: Option<&'a Slot>,
}

/// One attempt at an endpoint.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) choice: &'a Choice,
    pub(crate) options: Options<'a>,
}

impl<'a> Attempt<'a> {
    /// Makes a plain attempt.
    pub(crate) fn new(call: Call<'a>, choice: &'a Choice) -> Self {
        let options = Options::default();
        Self {
            call,
            choice,
            options,
        }
    }
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
    /// Returns the proxy that may have answered in the server's place.
    fn proxy(&self) -> Option<&Proxy> {
        self.peer.proxy.as_ref().filter(|_| self.peer.absolute())
    }

    /// Returns the cause of an answer that is the proxy's own, not the server's.
    fn proxy_refusal(&self) -> Option<Cause> {
        let proxy = self.proxy()?;
        let marks = ["proxy-authenticate", "x-squid-error", "proxy-status"];
        let own = self.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            || marks.iter().any(|name| self.headers.contains_key(*name));
        own.then(|| proxy.refusal(self.status, &self.headers))
    }

    /// Returns the cause of a web page that came instead of the answer through a proxy.
    pub(crate) fn page_of_proxy(&self) -> Option<Cause> {
        let proxy = self.proxy()?;
        is_html(&self.headers).then(|| Cause::ProxyRefused {
            proxy: proxy.described(),
            reason: "a web page was returned instead of the answer".to_owned(),
            status: Some(self.status),
        })
    }

    /// Gives the connection back to the pool, where the body was read to its end.
    pub(crate) async fn finish(self, shared: &Shared) {
        if let Some(connection) = self.body.finish().await {
            shared.pool.put(self.peer, connection);
        }
    }
}

/// Returns whether a response is a web page.
pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|text| text.to_lowercase().starts_with("text/html"))
}

/// An attempt that failed, with what the decision needs.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The host that failed; another than the endpoint's after a redirect.
    pub(crate) host: Arc<Host>,
    /// The response's headers, where one came.
    pub(crate) headers: Option<Box<HeaderMap>>,
    /// Bytes of progress that the attempt had made.
    pub(crate) bytes: u64,
}
