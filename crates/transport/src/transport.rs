//! The one way to the outside: what all requests of a run share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::authorizer::Authorizer;
use crate::backoff::Backoff;
use crate::budget::{Spent, Term};
use crate::download::{Download, Provenance};
use crate::endpoint::{Endpoint, Scheme};
use crate::error::Result;
use crate::health::{Health, Snapshot};
use crate::hedge::Small;
use crate::host::{Hosts, Totals};
use crate::observe::{Event, Observer};
use crate::payload::{NOTHING, Payload};
use crate::pool::Pool;
use crate::request::{Document, Request};
use crate::route::Route;
use crate::settings::Settings;
use crate::sink::Sink;
use crate::tls::Configurations;

/// The largest answer to an upload that is read, in bytes.
const UPLOAD_ANSWER: u64 = 1 << 20;

/// HTTP over bad networks. Clones share connections, health and totals.
///
/// Every future may be dropped at any time: its connections are closed and nothing goes on behind
/// its back.
#[derive(Clone)]
pub struct Transport {
    inner: Arc<Inner>,
}

/// What all requests of a run share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) configurations: Configurations,
    pub(crate) pool: Pool,
    pub(crate) hosts: Hosts,
    pub(crate) health: Health,
    pub(crate) backoff: Backoff,
    /// The budget of the whole run.
    pub(crate) run: Option<Term>,
}

impl Inner {
    pub(crate) fn emit(&self, event: &Event) {
        self.observer.event(event);
    }
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
            inner: Arc::new(Inner {
                pool: Pool::new(settings.limits.idle_per_host, settings.limits.idle_time),
                hosts: Hosts::new(&settings.limits),
                backoff: Backoff::new(&settings.retry),
                run: settings.retry.run.map(|run| Term::begin(Spent::RUN, run)),
                configurations: Configurations::default(),
                health: Health::default(),
                observer,
                settings,
            }),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
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
        let small = Small {
            inner: &self.inner,
            request,
            limit,
            payload: &NOTHING,
            authorizer,
        };
        small.run(route).await
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
        let small = Small {
            inner: &self.inner,
            request,
            limit: UPLOAD_ANSWER,
            payload,
            authorizer,
        };
        small.run(route).await
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
        Download::new(&self.inner, route, request, sink, authorizer)
            .run()
            .await
    }

    /// Says whether an endpoint has to prove by its certificate who it is, so that what it says is
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
        if self.inner.health.quarantine(endpoint) {
            self.inner.emit(&Event::Quarantined {
                host: Arc::from(endpoint.authority()),
                text: reason.to_owned(),
            });
        }
    }

    /// Says whether an endpoint is left alone for the run.
    #[must_use]
    pub fn is_quarantined(&self, endpoint: &Endpoint) -> bool {
        self.inner.health.is_quarantined(endpoint)
    }

    /// Returns what was exchanged with each host so far.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        self.inner.hosts.totals()
    }

    /// Returns what is known about the endpoints' health, to be kept for the next run.
    #[must_use]
    pub fn health(&self) -> Snapshot {
        self.inner.health.snapshot()
    }

    /// Takes over what an earlier run knew. Entries expire by themselves.
    pub fn remember(&self, snapshot: &Snapshot) {
        self.inner.health.remember(snapshot);
    }
}
