//! Small requests with their retries, and with a second one where the first is slow.
//!
//! When a response has not come within the time in which 95 of 100 responses came before, the same
//! is asked of a second endpoint, or of the same one on a new connection. The first success counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use tokio::time::sleep;

use crate::attempt::{Attempt, Call, Choice, Failure, Options};
use crate::document::Fetched;
use crate::error::{Error, Result};
use crate::observe::{Event, millis};
use crate::request::Document;
use crate::retry::{Next, RetryState};
use crate::route::Route;
use sealift_failure::Class;

/// When to ask a second time while too few responses were seen to tell what is slow.
const UNKNOWN: Duration = Duration::from_secs(2);
/// A second request never starts sooner than this.
const LEAST: Duration = Duration::from_millis(150);

/// A small request whose response is read whole.
pub(crate) struct HedgedRequest<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) limit: u64,
}

impl HedgedRequest<'_> {
    /// Repeats the request until it succeeds or is given up.
    pub(crate) async fn run(&self, route: &Route) -> Result<Document> {
        let mut state = RetryState::new(self.call, route);
        loop {
            let choice = state.choose()?;
            match self.round(&mut state, choice).await {
                Ok(document) => return Ok(document),
                Err(Next::End(error)) => return Err(error),
                Err(Next::Again(pause)) => state.wait(pause).await,
            }
        }
    }

    /// Makes one attempt, and a second one beside it where the first is slow.
    async fn round(
        &self,
        state: &mut RetryState<'_>,
        first: Choice,
    ) -> std::result::Result<Document, Next> {
        let mut one = std::pin::pin!(self.attempt(&first, false));
        let Some(delay) = self.slow_after(&first) else {
            let done = one.await;
            return settle(state, &first, done);
        };
        tokio::select! {
            done = &mut one => return settle(state, &first, done),
            () = sleep(delay) => {}
        }
        let second = state
            .second(first.index)
            .unwrap_or_else(|| state.chosen(first.index));
        if !delay.is_zero() {
            self.report(&second, delay);
        }
        let fresh = second.index == first.index;
        let mut two = std::pin::pin!(self.attempt(&second, fresh));
        tokio::select! {
            done = &mut one => match settle(state, &first, done) {
                Err(next) if is_open(&next) => {
                    let done = two.await;
                    settle(state, &second, done)
                }
                settled => settled,
            },
            done = &mut two => match settle(state, &second, done) {
                Ok(document) => {
                    if !delay.is_zero() {
                        let reached = first.reached.load(Ordering::Relaxed);
                        state.outrun(&first, reached);
                    }
                    Ok(document)
                }
                Err(next) if is_open(&next) => {
                    let done = one.await;
                    settle(state, &first, done)
                }
                settled => settled,
            },
        }
    }

    async fn attempt(&self, choice: &Choice, fresh: bool) -> std::result::Result<Fetched, Failure> {
        let _probe = choice.probe_guard(self.call.shared);
        let attempt = Attempt {
            call: self.call,
            choice,
            options: Options {
                fresh,
                ..Options::default()
            },
        };
        attempt.document(self.limit).await
    }

    /// When a second request starts; `None` where it must not.
    fn slow_after(&self, first: &Choice) -> Option<Duration> {
        let harmless = matches!(self.call.request.method, Method::GET | Method::HEAD);
        if !self.call.shared.settings.hedge || !harmless || !self.call.payload.is_empty() {
            return None;
        }
        let host = self.call.shared.hosts.get(&first.endpoint.authority());
        if host.is_flaky() {
            return Some(Duration::ZERO);
        }
        let usual = self.call.shared.health.slowest_usual(&first.endpoint);
        Some(usual.map_or(UNKNOWN, |usual| (usual * 5 / 4).clamp(LEAST, UNKNOWN * 5)))
    }

    fn report(&self, second: &Choice, delay: Duration) {
        self.call.shared.emit(&Event::Hedged {
            subject: self
                .call
                .request
                .subject(&Arc::from(second.endpoint.authority())),
            millis: millis(delay),
        });
    }
}

/// Records how an attempt ended.
fn settle(
    state: &mut RetryState<'_>,
    choice: &Choice,
    done: std::result::Result<Fetched, Failure>,
) -> std::result::Result<Document, Next> {
    match done {
        Ok(Fetched { document, latency }) => {
            state.succeeded(choice, document.body.len() as u64, latency);
            Ok(document)
        }
        Err(failure) => Err(state.failed(choice, failure)),
    }
}

/// Whether the other of two attempts may still bring what one did not.
fn is_open(next: &Next) -> bool {
    match next {
        Next::Again(_) => true,
        Next::End(error) => !is_final(error),
    }
}

fn is_final(error: &Error) -> bool {
    matches!(
        error.class(),
        Class::Absent | Class::Auth | Class::Disk | Class::Build
    )
}
