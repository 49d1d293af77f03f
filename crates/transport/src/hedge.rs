//! Small requests over their course, with a second one where the first is slow.
//!
//! When a response has not come within the time in which 95 of 100 responses came before, the same
//! is asked of a second endpoint, or of the same one on a new connection. The first success counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use tokio::time::sleep;

use crate::authorizer::Authorizer;
use crate::course::{Choice, Course, Failure, Next};
use crate::document::{Attempt, Fetched};
use crate::error::{Error, Result};
use crate::health::ProbeGuard;
use crate::observe::{Event, Subject, millis};
use crate::payload::Payload;
use crate::request::{Document, Request};
use crate::route::Route;
use crate::transport::Inner;
use sealift_failure::Class;

/// When to ask a second time while too few responses were seen to tell what is slow.
const UNKNOWN: Duration = Duration::from_secs(2);
/// A second request never starts sooner than this.
const LEAST: Duration = Duration::from_millis(150);

/// A small request.
pub(crate) struct Small<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) request: &'a Request,
    pub(crate) limit: u64,
    pub(crate) payload: &'a Payload,
    pub(crate) authorizer: &'a dyn Authorizer,
}

impl Small<'_> {
    /// Repeats the request until it succeeds or its course ends.
    pub(crate) async fn run(&self, route: &Route) -> Result<Document> {
        let mut course = Course::new(self.inner, route, self.request);
        loop {
            let choice = course.choose()?;
            match self.round(&mut course, choice).await {
                Ok(document) => return Ok(document),
                Err(Next::End(error)) => return Err(error),
                Err(Next::Again(None)) => {}
                Err(Next::Again(Some(pause))) => {
                    course.announce(&pause);
                    sleep(pause.time).await;
                }
            }
        }
    }

    /// Makes one attempt, and a second one beside it where the first is slow.
    async fn round(
        &self,
        course: &mut Course<'_>,
        first: Choice,
    ) -> std::result::Result<Document, Next> {
        let mut one = std::pin::pin!(self.attempt(&first, false));
        let Some(delay) = self.slow_after(&first) else {
            let done = one.await;
            return settle(course, &first, done);
        };
        tokio::select! {
            done = &mut one => return settle(course, &first, done),
            () = sleep(delay) => {}
        }
        let second = course
            .second(first.index)
            .unwrap_or_else(|| course.chosen(first.index));
        self.tell(&second, delay);
        let fresh = second.index == first.index;
        let mut two = std::pin::pin!(self.attempt(&second, fresh));
        tokio::select! {
            done = &mut one => match settle(course, &first, done) {
                Err(next) if is_open(&next) => {
                    let done = two.await;
                    settle(course, &second, done)
                }
                settled => settled,
            },
            done = &mut two => match settle(course, &second, done) {
                Ok(document) => {
                    let reached = first.reached.load(Ordering::Relaxed);
                    course.outrun(&first, reached);
                    Ok(document)
                }
                Err(next) if is_open(&next) => {
                    let done = one.await;
                    settle(course, &first, done)
                }
                settled => settled,
            },
        }
    }

    async fn attempt(&self, choice: &Choice, fresh: bool) -> std::result::Result<Fetched, Failure> {
        let _probe = ProbeGuard::new(&self.inner.health, choice);
        let attempt = Attempt {
            inner: self.inner,
            choice,
            request: self.request,
            payload: self.payload,
            authorizer: self.authorizer,
            range: None,
            if_range: None,
            known: None,
            bulk: false,
            fresh,
            slot: None,
        };
        attempt.document(self.limit).await
    }

    /// When a second request starts; `None` where it must not.
    fn slow_after(&self, first: &Choice) -> Option<Duration> {
        let harmless = matches!(self.request.method, Method::GET | Method::HEAD);
        if !self.inner.settings.hedge || !harmless || !self.payload.is_empty() {
            return None;
        }
        let usual = self.inner.health.slowest_usual(&first.endpoint);
        Some(usual.map_or(UNKNOWN, |usual| (usual * 5 / 4).clamp(LEAST, UNKNOWN * 5)))
    }

    fn tell(&self, second: &Choice, delay: Duration) {
        self.inner.emit(&Event::Hedged {
            subject: Subject {
                phase: self.request.phase,
                label: Arc::clone(&self.request.label),
                host: Arc::from(second.endpoint.authority()),
            },
            millis: millis(delay),
        });
    }
}

/// Writes an attempt's end down.
fn settle(
    course: &mut Course<'_>,
    choice: &Choice,
    done: std::result::Result<Fetched, Failure>,
) -> std::result::Result<Document, Next> {
    match done {
        Ok(Fetched { document, latency }) => {
            course.succeeded(choice, document.body.len() as u64, latency);
            Ok(document)
        }
        Err(failure) => Err(course.failed(choice, failure)),
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
