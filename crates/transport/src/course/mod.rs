//! The course of one request over its endpoints: who is asked next, and what follows a failure.
//!
//! A failure first leads to the next endpoint, without a delay. Only when every endpoint that is
//! left has failed once, a round is over and a delay follows. The budget of time starts anew with
//! every byte of progress.

mod decision;
mod report;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::budget::Spent;
use crate::endpoint::Endpoint;
use crate::error::{Cause, Error, Stage};
use crate::health::{Standing, Weight};
use crate::host::Host;
use crate::observe::{Event, Reason, millis};
use crate::request::Request;
use crate::route::Route;
use crate::transport::Inner;
use sealift_failure::Class;

/// The state of one request between its attempts.
pub(crate) struct Course<'a> {
    inner: &'a Inner,
    route: &'a Route,
    request: &'a Request,
    /// Per endpoint: whether it is out for this request.
    out: Vec<bool>,
    /// Per endpoint: whether it failed in this round.
    failed: Vec<bool>,
    /// Per endpoint: failures in a row.
    tries: Vec<u32>,
    round: u32,
    attempts: u32,
    fruitless: u32,
    progress: Instant,
    current: Option<usize>,
    last: Option<usize>,
    /// Per endpoint: its last failure.
    failures: Vec<Option<Error>>,
    /// When a failure last counted. Attempts that began before it and fail after it belong to the
    /// same event, such as a server that went away under all connections of a download.
    counted: Option<Instant>,
    /// Whether the last failure counted.
    counts: bool,
    /// The budget that is used up.
    spent: Option<Spent>,
}

/// The endpoint for the next attempt.
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

impl Failure {
    pub(crate) fn new(cause: Cause, request: &Request, host: &Arc<Host>) -> Self {
        Self {
            error: Error::new(cause, request.phase, &host.name, &request.label),
            host: Arc::clone(host),
            headers: None,
            bytes: 0,
        }
    }
}

/// What follows a failure.
pub(crate) enum Next {
    /// Another attempt, after a pause.
    Again(Option<Pause>),
    /// The end.
    End(Error),
}

/// A pause before the next attempt.
pub(crate) struct Pause {
    pub(crate) time: Duration,
    reason: Reason,
    host: Arc<Host>,
}

impl<'a> Course<'a> {
    pub(crate) fn new(inner: &'a Inner, route: &'a Route, request: &'a Request) -> Self {
        let count = route.endpoints().len();
        Self {
            inner,
            route,
            request,
            out: vec![false; count],
            failed: vec![false; count],
            tries: vec![0; count],
            round: 0,
            attempts: 0,
            fruitless: 0,
            progress: Instant::now(),
            current: None,
            last: None,
            failures: vec![None; count],
            counted: None,
            counts: true,
            spent: None,
        }
    }

    /// Chooses the endpoint for the next attempt.
    pub(crate) fn choose(&mut self) -> Result<Choice, Error> {
        let (index, _) = self.peek()?;
        Ok(self.chosen(index))
    }

    /// Returns the endpoint that [`Self::choose`] would choose now.
    pub(crate) fn peek(&self) -> Result<(usize, &'a Endpoint), Error> {
        let index = self.best(None).ok_or_else(|| self.exhausted())?;
        Ok((index, &self.route.endpoints()[index]))
    }

    fn best(&self, not: Option<usize>) -> Option<usize> {
        let health = &self.inner.health;
        let endpoints = self.route.endpoints();
        let rank = |index: usize| {
            let endpoint = &endpoints[index];
            let host = self.inner.hosts.get(&endpoint.authority());
            (
                self.failed[index],
                health.standing(endpoint) == Standing::Resting,
                host.is_exhausted() || host.wait().is_some(),
                health.is_poor(endpoint),
                index,
            )
        };
        (0..endpoints.len())
            .filter(|index| Some(*index) != not && !self.out[*index])
            .filter(|index| !health.is_quarantined(&endpoints[*index]))
            .min_by_key(|index| rank(*index))
    }

    /// Chooses a second endpoint that is worth asking while `first` is slow, `None` where there is
    /// none.
    pub(crate) fn second(&mut self, first: usize) -> Option<Choice> {
        let index = self.best(Some(first))?;
        let endpoint = &self.route.endpoints()[index];
        let good = self.inner.health.standing(endpoint) == Standing::Good;
        (good && !self.failed[index]).then(|| self.chosen(index))
    }

    /// Begins another attempt at an endpoint.
    pub(crate) fn chosen(&mut self, index: usize) -> Choice {
        let health = &self.inner.health;
        let endpoints = self.route.endpoints();
        let endpoint = endpoints[index].clone();
        let probe = health.standing(&endpoint) != Standing::Good;
        let sole_probe = health.standing(&endpoint) == Standing::Probe;
        if sole_probe {
            health.probing(&endpoint);
        }
        self.attempts += 1;
        let host = self.inner.hosts.get(&endpoint.authority());
        if self.current != Some(index) {
            self.current = Some(index);
            self.inner.emit(&Event::EndpointChosen {
                subject: self.subject(&host),
                mirror: endpoint.is_mirror(),
            });
        }
        self.inner.emit(&Event::AttemptStarted {
            subject: self.subject(&host),
            attempt: self.attempts,
        });
        Choice {
            index,
            // A sole endpoint gets its full time even when it failed before.
            probe: probe && endpoints.len() > 1,
            sole_probe,
            endpoint,
            attempt: self.attempts,
            failures: self.tries[index],
            started: Instant::now(),
            reached: Arc::default(),
        }
    }

    fn exhausted(&self) -> Error {
        let last = self.last.and_then(|index| self.failures[index].clone());
        match last {
            Some(error) => error.beside(self.elsewhere()),
            None => Error::new(
                Cause::Exhausted {
                    reason: "all of them delivered wrong bytes in this run".to_owned(),
                },
                self.request.phase,
                &self.route.origin().authority(),
                &self.request.label,
            ),
        }
    }

    /// Returns the last failures of the endpoints other than the one that failed last.
    fn elsewhere(&self) -> impl Iterator<Item = Error> {
        let failures = self.failures.iter().enumerate();
        failures
            .filter(|(index, _)| Some(*index) != self.last)
            .filter_map(|(_, error)| error.clone())
    }

    /// Takes note of progress: bytes of content, or a success.
    pub(crate) fn progressed(&mut self) {
        self.progress = Instant::now();
        self.fruitless = 0;
        self.round = 0;
        self.failed.fill(false);
    }

    /// Takes note of an attempt that ended well.
    pub(crate) fn succeeded(&mut self, choice: &Choice, bytes: u64, latency: Duration) {
        self.progressed();
        self.tries[choice.index] = 0;
        let host = self.inner.hosts.get(&choice.endpoint.authority());
        if self.inner.health.succeeded(&choice.endpoint, latency) {
            self.inner.emit(&Event::BreakerClosed {
                host: Arc::clone(&host.name),
            });
        }
        self.ended(choice, bytes, &host);
    }

    /// Takes note of an attempt that was dropped because a later one was faster. One that had not
    /// even been connected counts as a dead endpoint: it must not cost every request its time.
    pub(crate) fn outrun(&self, choice: &Choice, reached: bool) {
        let weight = if reached {
            Weight::Failed
        } else {
            Weight::Unreachable
        };
        let lost = millis(choice.started.elapsed());
        let host = self.inner.hosts.get(&choice.endpoint.authority());
        host.count(|totals| totals.lost_ms += lost);
        self.count_failure(&choice.endpoint, weight);
    }

    fn count_failure(&self, endpoint: &Endpoint, weight: Weight) {
        if let Some(rest) = self.inner.health.failed(endpoint, weight) {
            self.inner.emit(&Event::BreakerOpened {
                host: Arc::from(endpoint.authority()),
                millis: millis(rest),
            });
        }
    }

    /// Takes note of a failed attempt and decides what follows.
    pub(crate) fn failed(&mut self, choice: &Choice, failure: Failure) -> Next {
        self.weigh(choice, &failure);
        if failure.bytes > 0 {
            self.progressed();
            self.tries[choice.index] = 0;
        }
        self.counts = self.counted.is_none_or(|counted| choice.started >= counted);
        if self.counts {
            self.counted = Some(Instant::now());
            self.tries[choice.index] += 1;
            self.fruitless += 1;
        }
        self.failed[choice.index] = true;
        self.last = Some(choice.index);
        self.failures[choice.index] = Some(failure.error.clone());
        let pause = self.decide(choice, &failure);
        if !self.request.once {
            self.tell(
                choice,
                &failure,
                self.decision(&failure.error, pause.as_ref()),
            );
        }
        let error = failure.error;
        match pause {
            None if self.request.once => Next::End(error),
            None => {
                let error = error.given_up(self.attempts).over(self.spent);
                Next::End(error.beside(self.elsewhere()))
            }
            Some(pause) => Next::Again((!pause.time.is_zero()).then_some(pause)),
        }
    }

    /// Writes the failure down against the endpoint and its host.
    fn weigh(&self, choice: &Choice, failure: &Failure) {
        let error = &failure.error;
        let lost = millis(choice.started.elapsed());
        if !self.request.once && !self.is_answer(error) {
            failure.host.count(|totals| {
                *totals.failures.entry(error.class()).or_default() += 1;
                totals.lost_ms += lost;
            });
        }
        if locks_logins(error) {
            failure.host.lock_logins(error.text());
            let own = self.inner.hosts.get(&choice.endpoint.authority());
            own.lock_logins(error.text());
        }
        // The last one that is left stays: another image of it may be right.
        let spared = (0..self.out.len()).all(|index| index == choice.index || !self.is_left(index));
        if is_wrong_content(error) && !spared && self.inner.health.quarantine(&choice.endpoint) {
            self.inner.emit(&Event::Quarantined {
                host: Arc::from(choice.endpoint.authority()),
                text: error.text(),
            });
        }
        let weight = match error.class() {
            Class::Network if is_unreachable(error.cause()) => Weight::Unreachable,
            Class::Network | Class::Config => Weight::Failed,
            _ => {
                self.inner.health.abandoned(&choice.endpoint);
                return;
            }
        };
        self.count_failure(&choice.endpoint, weight);
    }
}

/// Whether the connection was never made: nothing can have been carried out.
fn is_unreachable(cause: &Cause) -> bool {
    match cause {
        Cause::Lookup { .. } | Cause::Connect { .. } | Cause::ProxyUnreachable { .. } => true,
        Cause::Timeout { stage, .. } => matches!(stage, Stage::Lookup | Stage::Connect),
        _ => false,
    }
}

fn locks_logins(error: &Error) -> bool {
    error.body().is_some_and(|body| {
        body.to_lowercase()
            .contains("too many failed login attempts")
    })
}

/// Whether an endpoint answered with bytes that cannot be right, as opposed to an answer that says
/// no.
fn is_wrong_content(error: &Error) -> bool {
    let content = matches!(
        error.cause(),
        Cause::Long { .. } | Cause::TooLarge { .. } | Cause::Refused { .. }
    );
    content && error.class() == Class::Corrupt
}
