//! The one way to the outside: what all requests of a run share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::Method;
use sealift_failure::Phase;

use crate::attempt::{Attempt, Call};
use crate::authorizer::{Anonymous, Authorizer};
use crate::dial::Stream;
use crate::download::{Download, Provenance};
use crate::endpoint::{Endpoint, Scheme};
use crate::error::{Error, Result};
use crate::health::Snapshot;
use crate::hedge::HedgedRequest;
use crate::host::Totals;
use crate::observe::{Event, Observer};
use crate::patience::Patience;
use crate::payload::{NOTHING, Payload};
use crate::request::{Document, Request};
use crate::response::Response;
use crate::retry::RetryState;
use crate::route::Route;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::sink::Sink;
use crate::term::Term;

/// The largest answer to an upload that is read, in bytes.
const UPLOAD_ANSWER: u64 = 1 << 20;

/// HTTP over bad networks. Clones share connections, health and totals.
///
/// Every future may be dropped at any time: its connections are closed and nothing goes on behind
/// its back.
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// Makes a transport. Nothing is opened or read before the first request.
    #[must_use]
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Self {
        Self {
            shared: Arc::new(Shared::new(settings, observer)),
        }
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Makes a small request and reads its response whole, up to `limit` bytes.
    ///
    /// # Errors
    /// The last failure, once no endpoint is left, the budget is spent, or the catalogue says that
    /// nothing can help.
    pub async fn document(
        &self,
        route: &Route,
        request: &Request,
        limit: u64,
        authorizer: &dyn Authorizer,
    ) -> Result<Document> {
        let call = self.call(request, &NOTHING, authorizer);
        HedgedRequest { call, limit }.run(route).await
    }

    /// Sends a body and reads the response whole, up to 1 MiB. Where the request is not
    /// [repeatable](Request::repeatable), only failures before the request was sent, and answers
    /// that say so, are repeated.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub async fn upload(
        &self,
        route: &Route,
        request: &Request,
        payload: &Payload,
        authorizer: &dyn Authorizer,
    ) -> Result<Document> {
        let call = self.call(request, payload, authorizer);
        let limit = UPLOAD_ANSWER;
        HedgedRequest { call, limit }.run(route).await
    }

    /// Brings what a sink is missing, from any endpoint of the route, in ranges side by side where
    /// that is faster, continuing at the byte reached after every failure.
    ///
    /// The content is not verified: the caller knows its digest. Where it turns out wrong, see
    /// [`Provenance`] and [`Self::quarantine`].
    ///
    /// # Errors
    /// As [`Self::document`]; what was written to the sink stays there.
    pub async fn download(
        &self,
        route: &Route,
        request: &Request,
        sink: &dyn Sink,
        authorizer: &dyn Authorizer,
    ) -> Result<Provenance> {
        let call = self.call(request, &NOTHING, authorizer);
        Download::new(call, route, sink).run().await
    }

    /// Sends a request as it is and returns the first response, whatever its status: redirects are
    /// not followed, challenges not answered. Failures before a response are repeated; where the
    /// payload is a stream that an attempt has begun to send, they are not.
    ///
    /// # Errors
    /// As [`Self::document`], but for statuses.
    pub async fn open(
        &self,
        route: &Route,
        request: &Request,
        payload: &Payload,
    ) -> Result<Response> {
        let request = Request {
            verbatim: true,
            ..request.clone()
        };
        let call = self.call(&request, payload, &Anonymous);
        let mut state = RetryState::new(call, route);
        loop {
            let choice = state.choose()?;
            let probe = choice.probe_guard(&self.shared);
            let done = Attempt::new(call, &choice).send(None).await;
            drop(probe);
            if let Some(reply) = state.settle(&choice, done).await? {
                return Ok(Response::new(&self.shared, request, reply));
            }
        }
    }

    /// Opens a connection to `host:port` for bytes of any kind, through the proxy that is set for
    /// https there.
    ///
    /// # Errors
    /// [`Cause::Url`](crate::Cause::Url) for an authority that is none, else as [`Self::document`].
    pub async fn connect(&self, authority: &str, term: Option<Term>) -> Result<Stream> {
        let request = Request::new(Method::CONNECT, "");
        let request = request.of(Phase::Exec, authority).within(term);
        let endpoint = Endpoint::new(Scheme::Https, authority)
            .map_err(|cause| Error::new(cause, Phase::Exec, authority, authority))?;
        let route = Route::direct(endpoint);
        let call = self.call(&request, &NOTHING, &Anonymous);
        let mut state = RetryState::new(call, &route);
        loop {
            let choice = state.choose()?;
            let probe = choice.probe_guard(&self.shared);
            let done = Attempt::new(call, &choice).tunnel().await;
            drop(probe);
            if let Some(stream) = state.settle(&choice, done).await? {
                return Ok(stream);
            }
        }
    }

    fn call<'a>(
        &'a self,
        request: &'a Request,
        payload: &'a Payload,
        authorizer: &'a dyn Authorizer,
    ) -> Call<'a> {
        Call {
            shared: &self.shared,
            request,
            payload,
            authorizer,
        }
    }

    /// Waits before work of several requests is taken up again after a failure: as long as a
    /// repeated request would, reported and counted like it.
    ///
    /// # Errors
    /// The failure itself, once a budget leaves no time for another try.
    pub async fn wait_after(&self, error: Error, patience: &mut Patience) -> Result<()> {
        patience.wait(&self.shared, error).await
    }

    /// Returns whether an endpoint has to prove by its certificate who it is, so that what it says is
    /// its own word.
    #[must_use]
    pub fn verifies(&self, endpoint: &Endpoint) -> bool {
        let settings = self.settings();
        let named = settings.of_host(endpoint.host(), endpoint.port().unwrap_or(443));
        let own = endpoint.tls().or(named.map(|named| &named.tls));
        let tls = own.unwrap_or(&settings.tls);
        endpoint.scheme() == Scheme::Https && !tls.skip_verify
    }

    /// Leaves an endpoint alone for the run, because what it delivered was wrong.
    pub fn quarantine(&self, endpoint: &Endpoint, reason: &str) {
        if self.shared.health.quarantine(endpoint) {
            self.shared.emit(&Event::Quarantined {
                host: Arc::from(endpoint.authority()),
                text: reason.to_owned(),
            });
        }
    }

    /// Returns whether an endpoint is left alone for the run.
    #[must_use]
    pub fn is_quarantined(&self, endpoint: &Endpoint) -> bool {
        self.shared.health.is_quarantined(endpoint)
    }

    /// Returns what was exchanged with each host so far.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        self.shared.hosts.totals()
    }

    /// Returns what is known about the endpoints' health, to be kept for the next run.
    #[must_use]
    pub fn health(&self) -> Snapshot {
        self.shared.health.snapshot()
    }

    /// Takes over what an earlier run knew. Entries expire by themselves.
    pub fn remember(&self, snapshot: &Snapshot) {
        self.shared.health.remember(snapshot);
    }
}
