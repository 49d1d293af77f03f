//! Large content: resumed, continued elsewhere after a failure, fetched in ranges side by side.
//!
//! One loop owns all decisions: which range is asked for next, of whom, and what follows a failure.
//! The connections are futures that it polls; none of them is a task, so dropping the download ends
//! all of them. Bytes go from a connection's buffer straight into the sink.
//!
//! Ranges have connections of their own: HTTP/2 would put all of them on one, which is what slow
//! links punish. They are requests of a bounded size rather than halves of a running response, so
//! that no byte is sent that nobody takes.

mod answer;
mod fetch;
mod lane;
mod pieces;
mod portion;
mod provenance;
mod reports;
mod trickle;

pub use provenance::Provenance;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::header::HeaderValue;
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::attempt::{Call, Choice, Failure};
use crate::endpoint::{Endpoint, authority};
use crate::error::{Cause, Error, Result};
use crate::host::Host;
use crate::retry::{Next, RetryState};
use crate::route::Route;
use crate::sink::Sink;
use crate::slot::Slot;
use fetch::{Ended, Fetch, Outcome, Whole, validator};
use lane::{LOOK, Lane, relieve};
use pieces::Pieces;
use reports::{Head, Reports};
use sealift_failure::Class;

/// One download.
pub(crate) struct Download<'a> {
    call: Call<'a>,
    sink: &'a dyn Sink,
    state: RetryState<'a>,
    places: Vec<Place>,
    pieces: Pieces,
    size: Option<u64>,
    /// Whether the content is large enough for ranges side by side.
    large: bool,
    paused: Option<Instant>,
    /// The ranges that run side by side.
    lanes: Vec<Arc<Lane>>,
    next_look: Instant,
    /// Whether something was there before.
    resumed: bool,
    /// Which content the download has begun with, where its size and digest are not known before.
    validator: Option<HeaderValue>,
    provenance: Provenance,
    reports: Arc<Reports>,
}

/// What was learned about one endpoint in this download.
#[derive(Debug, Clone, Default)]
struct Place {
    ranges: Option<bool>,
    /// Where its redirect led.
    known: Option<Url>,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, Outcome>>;
type Waiting = Pin<Box<dyn Future<Output = Slot> + Send>>;

impl<'a> Download<'a> {
    pub(crate) fn new(call: Call<'a>, route: &'a Route, sink: &'a dyn Sink) -> Self {
        let Call {
            shared, request, ..
        } = call;
        let places = route.endpoints().iter().map(|endpoint| Place {
            ranges: shared.health.serves_ranges(endpoint),
            known: None,
        });
        let mut pieces = Pieces::new(sink.missing());
        if let Some(size) = request.size {
            pieces.clip(size);
        }
        let large =
            request.size.is_some() && pieces.total() >= shared.settings.limits.parallel_from;
        Self {
            resumed: pieces.first().is_some_and(|start| start > 0),
            call,
            sink,
            state: RetryState::new(call, route),
            places: places.collect(),
            pieces,
            size: request.size,
            large,
            paused: None,
            lanes: Vec::new(),
            next_look: Instant::now(),
            validator: None,
            provenance: Provenance::default(),
            reports: Arc::default(),
        }
    }

    pub(crate) async fn run(mut self) -> Result<Provenance> {
        let reports = Arc::clone(&self.reports);
        let mut running = Running::new();
        let mut waiting: Option<Waiting> = None;
        while !(self.pieces.is_empty() && running.is_empty()) {
            let ready = self.may_start(running.len());
            if !ready {
                // A place in the queue that nobody polls would keep others from their slots.
                waiting = None;
            } else if waiting.is_none() {
                let (index, endpoint) = self.state.peek()?;
                waiting = Some(Box::pin(Slot::take(self.server(index, endpoint))));
            }
            let pause = self.paused.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                Some(outcome) = running.next() => {
                    if let Some(whole) = self.ended(outcome, running.is_empty())? {
                        running.push(whole);
                    }
                }
                () = reports.bell.notified() => self.learn(),
                slot = next(&mut waiting), if ready => {
                    waiting = None;
                    running.push(self.start(slot)?);
                }
                () = sleep_until(pause), if self.paused.is_some() => self.paused = None,
                () = sleep_until(self.next_look), if self.may_share() => self.share(),
            }
        }
        self.provenance.set_size(self.size);
        Ok(self.provenance)
    }

    /// Returns the host that an endpoint's bytes come from, as far as that is known.
    fn server(&self, index: usize, endpoint: &Endpoint) -> Arc<Host> {
        let known = self.places[index].known.as_ref();
        let name = known.map_or_else(|| endpoint.authority(), authority);
        self.call.shared.hosts.get(&name)
    }

    /// Whether another range may be asked for now.
    fn may_start(&self, running: usize) -> bool {
        if self.pieces.is_empty() || self.paused.is_some() {
            return false;
        }
        let Ok((index, endpoint)) = self.state.peek() else {
            return true;
        };
        let divisible = self.large && self.places[index].ranges == Some(true);
        let rate = self.call.shared.health.throughput(endpoint);
        running == 0 || (divisible && !portion::is_soon_done(rate, self.pieces.total()))
    }

    /// Whether a connection is free for the half of a range that another one works on.
    fn may_share(&self) -> bool {
        let Ok((index, endpoint)) = self.state.peek() else {
            return false;
        };
        let host = self.server(index, endpoint);
        let idle = self.pieces.is_empty() && self.paused.is_none();
        self.large && idle && self.lanes.len() < host.width.goal()
    }

    /// Shares the range that would end last with a free connection.
    fn share(&mut self) {
        let now = Instant::now();
        self.next_look = now + LOOK;
        if let Some(half) = relieve(&self.lanes, now.into_std()) {
            self.pieces.put(half);
        }
    }

    /// Starts a request for the next range, or for all where ranges are not served.
    fn start(&mut self, slot: Slot) -> Result<BoxFuture<'a, Outcome>> {
        let choice = self.state.choose()?;
        let place = self.places[choice.index].clone();
        let job = match place.ranges {
            Some(false) => self.pieces.take_all(),
            _ => self
                .pieces
                .take(self.range_size(&choice, &slot))
                .into_iter()
                .collect(),
        };
        let fetch = Fetch {
            floor: trickle::floor(self.state.other_rates(choice.index)),
            ..self.fetch(place, &job)
        };
        if self.large && !fetch.whole_only {
            self.lanes.push(Arc::clone(&fetch.lane));
        }
        Ok(Box::pin(fetch.begin(choice, job, slot)))
    }

    fn fetch(&self, place: Place, job: &[std::ops::Range<u64>]) -> Fetch<'a> {
        let start = job.first().map_or(0, |range| range.start);
        let end = job.last().map_or(u64::MAX, |range| range.end);
        Fetch {
            lane: Lane::new(start, end),
            call: self.call,
            sink: self.sink,
            reports: Arc::clone(&self.reports),
            size: self.size,
            floor: None,
            whole_only: place.ranges == Some(false),
            known: place.known,
            validator: self.validator.clone(),
        }
    }

    fn range_size(&self, choice: &Choice, slot: &Slot) -> u64 {
        if !self.large {
            return u64::MAX;
        }
        let rate = self.call.shared.health.throughput(&choice.endpoint);
        let width = slot.host().width.goal();
        let limits = &self.call.shared.settings.limits;
        portion::size(rate, self.pieces.total(), width, limits)
    }

    /// Records what responses' heads said.
    fn learn(&mut self) {
        for head in self.reports.heads() {
            let Head {
                index,
                answer,
                url,
                latency,
                host,
                validator,
            } = head;
            host.width.began(latency);
            self.places[index].known = url;
            // Only an answer to a request for a range says whether ranges are served.
            if let Some(served) = answer.partial.then_some(true) {
                self.places[index].ranges = Some(served);
            }
            if self.call.request.size.is_none() && self.provenance.bytes() == 0 {
                self.validator = validator;
            }
            if self.size.is_none()
                && let Some(size) = answer.size
            {
                self.size = Some(size);
                self.pieces.clip(size);
            }
        }
    }

    /// Records how a request ended; returns the continuation of a response that brings the
    /// whole although a range was asked for.
    fn ended(&mut self, outcome: Outcome, alone: bool) -> Result<Option<BoxFuture<'a, Outcome>>> {
        self.learn();
        // A lane that only this list still knows has ended.
        self.lanes.retain(|lane| Arc::strong_count(lane) > 1);
        let Outcome {
            choice,
            job,
            written,
            ended,
            host,
            latency,
        } = outcome;
        let bytes = written.iter().map(|range| range.end - range.start).sum();
        for range in written {
            self.provenance.add(range, &choice.endpoint);
        }
        for range in job {
            self.pieces.put(range);
        }
        if self.reports.took_progress() {
            self.state.progressed();
        }
        match ended {
            Ended::Done { size } => {
                if let Some(size) = self.size.or(size) {
                    self.size = Some(size);
                    self.pieces.clip(size);
                }
                self.state.succeeded(&choice, bytes, latency);
                Ok(None)
            }
            Ended::Whole(whole) => {
                // Of an unknown size, the whole is the right answer where it has changed.
                if self.call.request.size.is_some() {
                    self.places[choice.index].ranges = Some(false);
                    self.call
                        .shared
                        .health
                        .set_serves_ranges(&choice.endpoint, false);
                }
                if !alone {
                    return Ok(None);
                }
                self.restart_if_changed(&choice, &whole)?;
                let job = self.pieces.take_all();
                let fetch = self.fetch(self.places[choice.index].clone(), &job);
                Ok(Some(Box::pin(fetch.go_on(choice, job, whole))))
            }
            Ended::Failed(failure) => {
                self.narrow(&failure, &host, choice.index);
                if failure.bytes == 0 {
                    // Where the redirect led may be gone, or the wrong one of several by now.
                    self.places[choice.index].known = None;
                }
                self.decide(&choice, failure)?;
                Ok(None)
            }
        }
    }

    /// Begins anew where a whole answer shows that the content is not the one that was begun with:
    /// without a digest, two halves of different content would pass for one.
    fn restart_if_changed(&mut self, choice: &Choice, whole: &Whole) -> Result<()> {
        let Whole { reply, answer, .. } = whole;
        let begun = self.resumed || self.provenance.bytes() > 0;
        let same = self.validator.is_some() && self.validator == validator(&reply.headers);
        if self.call.request.size.is_some() || !begun || same {
            return Ok(());
        }
        let end = self.size.unwrap_or(u64::MAX);
        self.sink.discard(0..end).map_err(|error| {
            let cause = Cause::Sink(error);
            let host = choice.endpoint.authority();
            Error::new(
                cause,
                self.call.request.phase,
                &host,
                &self.call.request.label,
            )
        })?;
        self.resumed = false;
        self.provenance = Provenance::default();
        self.validator = validator(&reply.headers);
        self.size = answer.size;
        self.pieces = Pieces::default();
        self.pieces.put(0..answer.size.unwrap_or(u64::MAX));
        Ok(())
    }

    /// Adapts the width, and the belief in ranges, to a failure.
    fn narrow(&mut self, failure: &Failure, host: &Host, index: usize) {
        match failure.error.class() {
            Class::Rate => host.width.halve(),
            Class::Network if self.large => host.width.lose_one(),
            Class::Corrupt if failure.error.status() == Some(416) => {
                self.places[index].ranges = Some(false);
            }
            Class::Corrupt if failure.error.is_wrong_range() => {
                self.places[index].ranges = Some(false);
            }
            _ => {}
        }
    }

    fn decide(&mut self, choice: &Choice, failure: Failure) -> Result<()> {
        match self.state.failed(choice, failure) {
            Next::End(error) => Err(error),
            Next::Again(None) => Ok(()),
            Next::Again(Some(pause)) => {
                self.state.announce(&pause);
                let until = Instant::now() + pause.time.max(Duration::from_millis(1));
                self.paused = Some(self.paused.map_or(until, |old| old.max(until)));
                Ok(())
            }
        }
    }
}

/// Waits for a slot that may be asked for already.
async fn next(waiting: &mut Option<Waiting>) -> Slot {
    match waiting {
        Some(slot) => slot.await,
        None => std::future::pending().await,
    }
}

/// Judges the headers of an answer to a request for a range, for fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn judge(headers: &http::HeaderMap) {
    for status in [http::StatusCode::OK, http::StatusCode::PARTIAL_CONTENT] {
        if let Ok(answer) = answer::Answer::of(status, headers, Some(&(10..20))) {
            let _ = answer.judged(headers, Some(10), Some(100));
        }
    }
}
