//! The state of one request between its attempts: who is asked next, and what follows a failure.
//!
//! A failure first leads to the next endpoint, without a delay. Only when every endpoint that is
//! left has failed once, a round is over and a delay follows. The budget of time starts anew with
//! every byte of progress.

mod decision;
mod report;
mod weight;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::attempt::{Call, Choice, Failure};
use crate::endpoint::Endpoint;
use crate::error::{Cause, Error};
use crate::health::Standing;
use crate::host::Host;
use crate::observe::{Event, Reason};
use crate::payload::Payload;
use crate::request::Request;
use crate::route::Route;
use crate::shared::Shared;
use crate::term::Spent;

/// The state of one request between its attempts.
pub(crate) struct RetryState<'a> {
    shared: &'a Shared,
    request: &'a Request,
    payload: &'a Payload,
    route: &'a Route,
    candidates: Vec<Candidate<'a>>,
    /// Rounds of failures that ask for growing delays.
    round: u32,
    /// Rounds of failures that came at once on a link that works.
    quick_round: u32,
    attempts: u32,
    fruitless: u32,
    progress: Instant,
    current: Option<usize>,
    last: Option<usize>,
    /// When a failure last counted. Attempts that began before it and fail after it belong to the
    /// same event, such as a server that went away under all connections of a download.
    counted: Option<Instant>,
    /// Whether the last failure counted.
    counts: bool,
    /// The budget that is used up.
    spent: Option<Spent>,
}

/// An endpoint of the route, with what this request has met there.
struct Candidate<'a> {
    endpoint: &'a Endpoint,
    host: Arc<Host>,
    /// Whether this request asks it no more.
    excluded: bool,
    /// Whether it failed in this round.
    failed: bool,
    /// Failures in a row.
    tries: u32,
    /// Its last failure.
    failure: Option<Error>,
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
    /// Whether it is too short to be worth a word.
    is_short: bool,
    reason: Reason,
    host: Arc<Host>,
}

impl<'a> RetryState<'a> {
    pub(crate) fn new(call: Call<'a>, route: &'a Route) -> Self {
        let Call {
            shared,
            request,
            payload,
            ..
        } = call;
        let candidates = route.endpoints().iter().map(|endpoint| Candidate {
            endpoint,
            host: shared.hosts.get(&endpoint.authority()),
            excluded: false,
            failed: false,
            tries: 0,
            failure: None,
        });
        Self {
            shared,
            request,
            payload,
            route,
            candidates: candidates.collect(),
            round: 0,
            quick_round: 0,
            attempts: 0,
            fruitless: 0,
            progress: Instant::now(),
            current: None,
            last: None,
            counted: None,
            counts: true,
            spent: None,
        }
    }

    /// Records how an attempt ended. Returns what it brought; after a failure, waits until the next
    /// attempt may begin and returns `None`.
    pub(crate) async fn settle<T>(
        &mut self,
        choice: &Choice,
        done: Result<T, Failure>,
    ) -> Result<Option<T>, Error> {
        let failure = match done {
            Ok(done) => {
                self.succeeded(choice, 0, choice.started.elapsed());
                return Ok(Some(done));
            }
            Err(failure) => failure,
        };
        match self.failed(choice, failure) {
            Next::End(error) => Err(error),
            Next::Again(pause) => {
                self.wait(pause).await;
                Ok(None)
            }
        }
    }

    /// Reports a pause and waits for its end.
    pub(crate) async fn wait(&self, pause: Option<Pause>) {
        if let Some(pause) = pause {
            self.announce(&pause);
            sleep(pause.time).await;
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
        Ok((index, self.candidates[index].endpoint))
    }

    fn best(&self, not: Option<usize>) -> Option<usize> {
        let health = &self.shared.health;
        let rank = |index: usize| {
            let candidate = &self.candidates[index];
            (
                candidate.failed,
                health.standing(candidate.endpoint) == Standing::Resting,
                candidate.host.is_exhausted() || candidate.host.wait().is_some(),
                health.is_poor(candidate.endpoint),
                index,
            )
        };
        (0..self.candidates.len())
            .filter(|index| Some(*index) != not && self.is_left(*index))
            .min_by_key(|index| rank(*index))
    }

    /// Returns whether an endpoint may still be asked by this request.
    fn is_left(&self, index: usize) -> bool {
        let candidate = &self.candidates[index];
        !candidate.excluded && !self.shared.health.is_quarantined(candidate.endpoint)
    }

    /// Chooses a second endpoint that is worth asking while `first` is slow, `None` where there is
    /// none.
    pub(crate) fn second(&mut self, first: usize) -> Option<Choice> {
        let index = self.best(Some(first))?;
        let candidate = &self.candidates[index];
        let good = self.shared.health.standing(candidate.endpoint) == Standing::Good;
        (good && !candidate.failed).then(|| self.chosen(index))
    }

    /// Returns the rates of the endpoints that could be asked for the rest of what `index` sends, where
    /// they are known.
    pub(crate) fn other_rates(&self, index: usize) -> impl Iterator<Item = Option<f64>> {
        let health = &self.shared.health;
        let others = (0..self.candidates.len()).filter(move |other| *other != index);
        others
            .map(|other| (other, &self.candidates[other]))
            .filter(|(other, candidate)| {
                let good = health.standing(candidate.endpoint) == Standing::Good;
                good && self.is_left(*other) && !candidate.failed
            })
            .map(|(_, candidate)| health.throughput(candidate.endpoint))
    }

    /// Begins another attempt at an endpoint.
    pub(crate) fn chosen(&mut self, index: usize) -> Choice {
        let health = &self.shared.health;
        let Candidate {
            endpoint,
            ref host,
            tries,
            ..
        } = self.candidates[index];
        let standing = health.standing(endpoint);
        let sole_probe = standing == Standing::Probe;
        if sole_probe {
            health.probing(endpoint);
        }
        self.attempts += 1;
        if self.current != Some(index) {
            self.current = Some(index);
            self.shared.emit(&Event::EndpointChosen {
                subject: self.request.subject(&host.name),
                mirror: endpoint.is_mirror(),
            });
        }
        self.shared.emit(&Event::AttemptStarted {
            subject: self.request.subject(&host.name),
            attempt: self.attempts,
        });
        Choice {
            index,
            // A sole endpoint gets its full time even when it failed before.
            probe: standing != Standing::Good && self.candidates.len() > 1,
            sole_probe,
            endpoint: endpoint.clone(),
            attempt: self.attempts,
            failures: tries,
            started: Instant::now(),
            reached: Arc::default(),
        }
    }

    fn exhausted(&self) -> Error {
        let last = self
            .last
            .and_then(|index| self.candidates[index].failure.clone());
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
        let others = self.candidates.iter().enumerate();
        others
            .filter(|(index, _)| Some(*index) != self.last)
            .filter_map(|(_, candidate)| candidate.failure.clone())
    }

    fn start_round(&mut self) {
        for candidate in &mut self.candidates {
            candidate.failed = false;
        }
    }

    /// Records progress: bytes of content, or a success.
    pub(crate) fn progressed(&mut self) {
        self.progress = Instant::now();
        self.fruitless = 0;
        self.round = 0;
        self.quick_round = 0;
        self.start_round();
    }

    /// Records an attempt that succeeded.
    pub(crate) fn succeeded(&mut self, choice: &Choice, bytes: u64, latency: Duration) {
        self.progressed();
        self.candidates[choice.index].tries = 0;
        let host = Arc::clone(&self.candidates[choice.index].host);
        if self.shared.health.succeeded(&choice.endpoint, latency) {
            self.shared.emit(&Event::BreakerClosed {
                host: Arc::clone(&host.name),
            });
        }
        self.ended(choice, bytes, &host);
    }

    /// Records a failed attempt and decides what follows.
    pub(crate) fn failed(&mut self, choice: &Choice, failure: Failure) -> Next {
        self.weigh(choice, &failure);
        if failure.bytes > 0 {
            self.progressed();
            self.candidates[choice.index].tries = 0;
        }
        self.counts = self.counted.is_none_or(|counted| choice.started >= counted);
        if self.counts {
            self.counted = Some(Instant::now());
            self.candidates[choice.index].tries += 1;
            self.fruitless += 1;
        }
        let candidate = &mut self.candidates[choice.index];
        candidate.failed = true;
        candidate.failure = Some(failure.error.clone());
        self.last = Some(choice.index);
        let pause = self.decide(choice, &failure);
        if !self.request.once {
            self.report(
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
}
