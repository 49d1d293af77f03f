//! Sending to one hop, and waiting for its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, timeout};

use super::hop::Hop;
use super::{Attempt, Reply};
use crate::connection::{Body, Connection};
use crate::error::{Cause, Stage};
use crate::observe::Event;
use crate::pace;
use crate::payload::Sending;

impl Attempt<'_> {
    /// Sends the request on a connection and returns the response's head.
    pub(super) async fn exchange(
        &self,
        hop: &Hop<'_>,
        connection: Connection,
        sending: &Arc<Sending>,
    ) -> Result<Reply, Cause> {
        let shared = match &connection {
            Connection::Http2(http2) => Some(Connection::Http2(http2.clone())),
            Connection::Http1(_) => None,
        };
        let request = self.head(hop, connection.is_http2(), sending)?;
        self.choice.reached.store(true, Ordering::Relaxed);
        hop.host.count(|totals| totals.requests += 1);
        let mut told = 0;
        let response = self
            .watch(connection.send(request), sending, &mut told)
            .await;
        if matches!(response, Err(Cause::Timeout { .. })) {
            self.call.shared.pool.forget(&hop.peer);
        }
        let sent = sending.bytes();
        self.report_sent(told, sent);
        hop.host.count(|totals| totals.sent += sent);
        let (head, body) = response?.into_parts();
        if let Some(shared) = shared {
            // Whoever asked for a fresh connection did so because the old one was silent.
            if self.options.fresh {
                self.call.shared.pool.forget(&hop.peer);
            }
            self.call.shared.pool.put(hop.peer.clone(), shared);
        }
        if let Some(limit) = pace::rate_limit(&head.headers) {
            hop.host.note(limit);
            self.call.shared.emit(&Event::RateLimit {
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
            home: hop.home,
            _permit: hop.permit.clone(),
            peer: hop.peer.clone(),
        })
    }

    /// Waits for a response's head: while the body goes out, some of it must go out in each window;
    /// after that, the response has its own time.
    async fn watch(
        &self,
        response: impl Future<Output = hyper::Result<http::Response<Body>>>,
        sending: &Sending,
        told: &mut u64,
    ) -> Result<http::Response<Body>, Cause> {
        let timeouts = &self.call.shared.settings.timeouts;
        let mut response = std::pin::pin!(response);
        let mut deadline = None;
        let step = (timeouts.stall.min(timeouts.first_byte) / 20).max(Duration::from_millis(5));
        loop {
            if let Ok(done) = timeout(step, response.as_mut()).await {
                return done.map_err(unsent);
            }
            let now = sending.bytes();
            if now > *told {
                self.report_sent(*told, now);
                *told = now;
                deadline = None;
            }
            if sending.is_starved() {
                deadline = None;
                continue;
            }
            let stage = match sending.is_complete() {
                true => Stage::FirstByte,
                false => Stage::Send,
            };
            self.overdue(stage, &mut deadline)?;
        }
    }

    /// Fails when the time for sending or for the answer is over.
    fn overdue(&self, stage: Stage, deadline: &mut Option<Instant>) -> Result<(), Cause> {
        let timeouts = &self.call.shared.settings.timeouts;
        let after = match stage {
            Stage::Send => timeouts.stall,
            _ => self.answer_within(),
        };
        let by = *deadline.get_or_insert_with(|| Instant::now() + after);
        if Instant::now() < by {
            return Ok(());
        }
        Err(Cause::Timeout { stage, after })
    }

    /// How long the answer may take.
    fn answer_within(&self) -> Duration {
        let reading = matches!(
            self.call.request.method,
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        let factor = if reading { 1 } else { 6 };
        let doubled = 1 << self.choice.failures.min(3);
        self.call.shared.settings.timeouts.first_byte * factor * doubled
    }

    fn report_sent(&self, told: u64, now: u64) {
        if now <= told {
            return;
        }
        if let Some(tell) = &self.call.request.sending {
            tell(now);
        }
        self.call.shared.emit(&Event::Sent {
            label: Arc::clone(&self.call.request.label),
            host: Arc::from(self.choice.endpoint.authority()),
            bytes: now - told,
        });
    }
}

/// Tells an upload that cannot be read from a connection that broke.
fn unsent(error: hyper::Error) -> Cause {
    if error.is_user() {
        return Cause::Source(std::io::Error::other(error));
    }
    Cause::Http(error)
}
