//! What people and logs are told while transfers run: typed events, handed to one observer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sealift_failure::{Class, Phase};
use serde::Serialize;

/// Receives every event of a transport.
///
/// It is called from the tasks that move bytes, so it must return fast and never fail.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// What an attempt was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The part of the work.
    pub phase: Phase,
    /// What it is for: an image, as a rule.
    pub label: Arc<str>,
    /// The host asked.
    pub host: Arc<str>,
}

/// Why a request waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reason {
    /// The delay that grows with each failure.
    Backoff {
        /// The class of the failure before.
        class: Class,
    },
    /// The server said how long (`Retry-After`).
    RetryAfter {
        /// What it asked for, in seconds, before the cap.
        asked: u64,
    },
    /// The whole host is paced after a 429.
    Paced,
}

/// What was decided after one failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Decision {
    /// The same endpoint is asked again.
    RetryHere {
        /// The delay before, in milliseconds.
        after_ms: u64,
    },
    /// The next endpoint of the route is asked.
    OtherEndpoint,
    /// The failure goes to the caller, which takes up the work that the request is a part of again, as
    /// long as its budget lasts.
    GoOn,
    /// The failure goes to the caller.
    GiveUp,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RetryHere { after_ms: ..100 } => f.write_str("retry at once"),
            Self::RetryHere { after_ms } => {
                write!(
                    f,
                    "retry in {}.{} s",
                    after_ms / 1000,
                    after_ms % 1000 / 100
                )
            }
            Self::OtherEndpoint => f.write_str("other endpoint"),
            Self::GoOn => f.write_str("go on while the budget lasts"),
            Self::GiveUp => f.write_str("give up"),
        }
    }
}

/// Something happened.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// An endpoint was chosen for a request.
    EndpointChosen {
        /// For what, and which.
        subject: Subject,
        /// Whether it is a mirror.
        mirror: bool,
    },
    /// An attempt begins.
    AttemptStarted {
        /// For what.
        subject: Subject,
        /// The attempt's number, from 1.
        attempt: u32,
    },
    /// An attempt failed.
    AttemptFailed {
        /// For what.
        subject: Subject,
        /// The attempt's number, from 1.
        attempt: u32,
        /// What the failure is.
        class: Class,
        /// The status, where a response came.
        status: Option<u16>,
        /// The failure's own words.
        text: String,
        /// What follows.
        decision: Decision,
        /// Bytes that the attempt had brought before it failed; they are kept.
        bytes: u64,
    },
    /// An attempt ended well.
    AttemptEnded {
        /// For what.
        subject: Subject,
        /// The attempt's number, from 1.
        attempt: u32,
        /// Bytes that it brought.
        bytes: u64,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// Bytes of content arrived.
    Received {
        /// What they are for.
        label: Arc<str>,
        /// The host they came from.
        host: Arc<str>,
        /// How many.
        bytes: u64,
    },
    /// Bytes of content were sent.
    Sent {
        /// What they are for.
        label: Arc<str>,
        /// The host they went to.
        host: Arc<str>,
        /// How many.
        bytes: u64,
    },
    /// A request waits.
    Waiting {
        /// For what, and for whom.
        subject: Subject,
        /// Why.
        reason: Reason,
        /// How long, in milliseconds.
        millis: u64,
    },
    /// An endpoint is left alone for a while.
    BreakerOpened {
        /// The endpoint's host.
        host: Arc<str>,
        /// How long, in milliseconds.
        millis: u64,
    },
    /// An endpoint works again.
    BreakerClosed {
        /// The endpoint's host.
        host: Arc<str>,
    },
    /// An endpoint delivered wrong bytes and is left alone for the run.
    Quarantined {
        /// The endpoint's host.
        host: Arc<str>,
        /// What was wrong.
        text: String,
    },
    /// A host has not answered for some seconds, and is still waited for.
    Unanswered {
        /// For what, and by whom.
        subject: Subject,
        /// How long it has been waited for, in milliseconds.
        millis: u64,
    },
    /// A server redirects from HTTPS to plain HTTP for content whose digest is known.
    Downgraded {
        /// The host that redirects.
        from: Arc<str>,
        /// The host that sends the content.
        host: Arc<str>,
    },
    /// The server told how much of its limit is left.
    RateLimit {
        /// The host.
        host: Arc<str>,
        /// Requests a window.
        limit: u64,
        /// Requests left in it.
        remaining: u64,
        /// The window, in seconds; 0 where it was not said.
        window: u64,
    },
    /// A second request was started because the first one is slow.
    Hedged {
        /// For what, and the host of the second.
        subject: Subject,
        /// How long the first had taken, in milliseconds.
        millis: u64,
    },
}

/// A duration in whole milliseconds, as events carry it.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
