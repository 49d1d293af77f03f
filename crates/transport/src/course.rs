//! The course of one request over its endpoints: who is asked next, and what follows a failure.
//!
//! A failure first leads to the next endpoint, without a delay. Only when every endpoint that is
//! left has failed once, a round is over and a delay follows. The budget of time starts anew with
//! every byte of progress.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;

use crate::class::{Class, Decision, Remedy};
use crate::endpoint::{Endpoint, Route};
use crate::error::{Cause, Error, Stage};
use crate::health::{Standing, Weight};
use crate::host::Host;
use crate::observe::{Event, Reason, Subject, millis};
use crate::pace;
use crate::request::Request;
use crate::transport::Inner;

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
    chosen: Option<usize>,
    last: Option<Error>,
}

/// The endpoint for the next attempt.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) index: usize,
    pub(crate) endpoint: Endpoint,
    /// Whether the endpoint failed before and this attempt finds out whether it is back.
    pub(crate) probe: bool,
    /// The attempt's number, from 1.
    pub(crate) attempt: u32,
    pub(crate) started: Instant,
}

/// An attempt that failed, with what the decision needs.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The host that failed; another than the endpoint's after a redirect.
    pub(crate) host: Arc<Host>,
    /// The response's headers, where one came.
    pub(crate) headers: Option<HeaderMap>,
    /// Bytes of progress that the attempt had made.
    pub(crate) bytes: u64,
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
            chosen: None,
            last: None,
        }
    }

    fn subject(&self, host: &Host) -> Subject {
        Subject {
            phase: self.request.phase,
            label: Arc::clone(&self.request.label),
            host: Arc::clone(&host.name),
        }
    }

    /// Chooses the endpoint for the next attempt.
    pub(crate) fn choose(&mut self) -> Result<Choice, Error> {
        self.choose_but(None).ok_or_else(|| self.exhausted())
    }

    /// Chooses an endpoint other than `not`, `None` where there is none.
    pub(crate) fn choose_but(&mut self, not: Option<usize>) -> Option<Choice> {
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
        let index = (0..endpoints.len())
            .filter(|index| Some(*index) != not && !self.out[*index])
            .filter(|index| !health.is_quarantined(&endpoints[*index]))
            .min_by_key(|index| rank(*index))?;
        let endpoint = endpoints[index].clone();
        let probe = health.standing(&endpoint) != Standing::Good;
        if health.standing(&endpoint) == Standing::Probe {
            health.probing(&endpoint);
        }
        self.attempts += 1;
        let host = self.inner.hosts.get(&endpoint.authority());
        if self.chosen != Some(index) {
            self.chosen = Some(index);
            self.inner.emit(&Event::EndpointChosen {
                subject: self.subject(&host),
                mirror: endpoint.is_mirror(),
            });
        }
        self.inner.emit(&Event::AttemptStarted {
            subject: self.subject(&host),
            attempt: self.attempts,
        });
        Some(Choice {
            index,
            // A sole endpoint gets its full time even when it failed before.
            probe: probe && endpoints.len() > 1,
            endpoint,
            attempt: self.attempts,
            started: Instant::now(),
        })
    }

    fn exhausted(&self) -> Error {
        match &self.last {
            Some(error) => error.clone(),
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
        self.inner.emit(&Event::AttemptEnded {
            subject: self.subject(&host),
            attempt: choice.attempt,
            bytes,
            millis: millis(choice.started.elapsed()),
        });
    }

    /// Takes note of a failed attempt and decides what follows.
    pub(crate) fn failed(&mut self, choice: &Choice, failure: Failure) -> Next {
        self.weigh(choice, &failure);
        if failure.bytes > 0 {
            self.progressed();
            self.tries[choice.index] = 0;
        }
        self.tries[choice.index] += 1;
        self.fruitless += 1;
        self.failed[choice.index] = true;
        self.last = Some(failure.error.clone());
        let pause = self.decide(choice, &failure);
        let decision = match &pause {
            None => Decision::GiveUp,
            Some(pause) if pause.time.is_zero() => Decision::OtherEndpoint,
            Some(pause) => Decision::RetryHere {
                after_ms: millis(pause.time),
            },
        };
        let error = failure.error;
        self.inner.emit(&Event::AttemptFailed {
            subject: Subject {
                phase: error.phase(),
                label: Arc::clone(&self.request.label),
                host: Arc::from(error.host()),
            },
            attempt: choice.attempt,
            class: error.class(),
            status: error.status(),
            text: error.text(),
            decision,
            bytes: failure.bytes,
        });
        match pause {
            None => Next::End(error.with_attempts(self.attempts)),
            Some(pause) => Next::Again((!pause.time.is_zero()).then_some(pause)),
        }
    }

    /// Writes the failure down against the endpoint and its host.
    fn weigh(&self, choice: &Choice, failure: &Failure) {
        let error = &failure.error;
        let lost = millis(choice.started.elapsed());
        failure.host.count(|totals| {
            *totals.failures.entry(error.class()).or_default() += 1;
            totals.lost_ms += lost;
        });
        if locks_logins(error) {
            failure.host.lock_logins(error.text());
            let own = self.inner.hosts.get(&choice.endpoint.authority());
            own.lock_logins(error.text());
        }
        if is_wrong_content(error) && self.inner.health.quarantine(&choice.endpoint) {
            self.inner.emit(&Event::Quarantined {
                host: Arc::from(choice.endpoint.authority()),
                text: error.text(),
            });
        }
        let weight = match error.class() {
            Class::Net if is_unreachable(error.cause()) => Weight::Unreachable,
            Class::Net | Class::Config => Weight::Failed,
            _ => {
                self.inner.health.abandoned(&choice.endpoint);
                return;
            }
        };
        if let Some(rest) = self.inner.health.failed(&choice.endpoint, weight) {
            self.inner.emit(&Event::BreakerOpened {
                host: Arc::from(choice.endpoint.authority()),
                millis: millis(rest),
            });
        }
    }

    /// Returns the pause before the next attempt, of no length where another endpoint is asked at
    /// once; `None` gives up.
    fn decide(&mut self, choice: &Choice, failure: &Failure) -> Option<Pause> {
        let error = &failure.error;
        if self.request.once || error.class() == Class::Disk {
            return None;
        }
        let remedy = error.verdict().remedy;
        let asked = failure.headers.as_ref().and_then(|headers| {
            pace::retry_after(headers, SystemTime::now()).map(|after| after.asked)
        });
        let spent = remedy
            .tries()
            .is_some_and(|tries| self.tries[choice.index] >= tries);
        if spent {
            self.out[choice.index] = true;
            let last = choice.index + 1 == self.route.endpoints().len();
            if last && matches!(error.class(), Class::Absent | Class::Auth | Class::User) {
                return None;
            }
        }
        let retry = &self.inner.settings.retry;
        if retry.attempts.is_some_and(|cap| self.fruitless > cap) {
            return None;
        }
        if remedy == Remedy::Pace {
            let time = asked.unwrap_or_else(|| self.inner.backoff.delay(self.round + 3));
            failure.host.leave_alone(time.min(retry.retry_after_cap));
        }
        if !self.repeat_is_safe(error.cause()) {
            return None;
        }
        self.pause(failure, asked)
    }

    /// Whether sending the request again can do harm: a POST that may have been carried out.
    fn repeat_is_safe(&self, cause: &Cause) -> bool {
        self.request.repeatable || is_unreachable(cause) || cause.status().is_some()
    }

    fn pause(&mut self, failure: &Failure, asked: Option<Duration>) -> Option<Pause> {
        let left: Vec<usize> = (0..self.out.len())
            .filter(|index| !self.out[*index])
            .filter(|index| {
                !self
                    .inner
                    .health
                    .is_quarantined(&self.route.endpoints()[*index])
            })
            .collect();
        if left.is_empty() {
            return None;
        }
        let at_once = |time| {
            Some(Pause {
                time,
                reason: Reason::Paced,
                host: Arc::clone(&failure.host),
            })
        };
        if left.iter().any(|index| !self.failed[*index]) {
            return at_once(Duration::ZERO);
        }
        self.failed.fill(false);
        self.round += 1;
        let retry = &self.inner.settings.retry;
        let (time, reason) = match asked {
            Some(asked) => (
                asked.min(retry.retry_after_cap),
                Reason::RetryAfter {
                    asked: asked.as_secs(),
                },
            ),
            None => (
                self.inner.backoff.delay(self.round),
                Reason::Backoff {
                    class: failure.error.class(),
                },
            ),
        };
        let time = time.max(Duration::from_millis(1));
        if self.progress.elapsed() + time > retry.budget {
            return None;
        }
        Some(Pause {
            time,
            reason,
            host: Arc::clone(&failure.host),
        })
    }

    /// Tells people about a pause.
    pub(crate) fn announce(&self, pause: &Pause) {
        pause
            .host
            .count(|totals| totals.lost_ms += millis(pause.time));
        self.inner.emit(&Event::Waiting {
            subject: self.subject(&pause.host),
            reason: pause.reason.clone(),
            millis: millis(pause.time),
        });
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
    error.class() == Class::Corrupt && !matches!(error.cause(), Cause::Encoded { .. })
}
