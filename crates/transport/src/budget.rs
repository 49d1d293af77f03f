//! Budgets: for how long failures are repeated, and whose time it was once that is over.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::observe::{Event, Reason, Subject, millis};
use crate::transport::{Inner, Transport};

/// A time that the requests of one piece of work share: once it is over, no failure of theirs is
/// repeated. An attempt that makes progress is not cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    of: &'static str,
    limit: Duration,
    begun: Instant,
}

impl Term {
    /// Begins the time of a piece of work, which is named for people: `image`.
    #[must_use]
    pub fn begin(of: &'static str, limit: Duration) -> Self {
        Self {
            of,
            limit,
            begun: Instant::now(),
        }
    }

    /// When it began.
    #[must_use]
    pub const fn begun(&self) -> Instant {
        self.begun
    }

    fn spent_at(&self, moment: Instant) -> Option<Spent> {
        let over = moment.saturating_duration_since(self.begun) > self.limit;
        over.then_some(Spent::Term {
            of: self.of,
            limit: self.limit,
        })
    }
}

/// A budget that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// A request's: nothing arrived for this long ([`crate::settings::Retry::budget`]).
    Request {
        /// How long it was.
        limit: Duration,
    },
    /// That of a [`Term`], or of the whole run.
    Term {
        /// Whose it was: `image`, `run`.
        of: &'static str,
        /// How long it was.
        limit: Duration,
    },
}

impl Spent {
    /// The name of a whole run's term.
    pub const RUN: &'static str = "run";
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { limit } => {
                write!(f, "given up, nothing came for {} s", limit.as_secs_f32())
            }
            Self::Term { of, limit } => {
                let limit = limit.as_secs_f32();
                write!(f, "given up, the {of}'s budget of {limit} s is used up")
            }
        }
    }
}

/// What is known of work that its owner takes up again after failures, because it is more than one
/// request: an upload that goes on from the byte that the server has.
#[derive(Debug, Clone)]
pub struct Patience {
    term: Option<Term>,
    progress: Instant,
    round: u32,
}

impl Patience {
    /// Begins such work, within a term if there is one.
    #[must_use]
    pub fn new(term: Option<Term>) -> Self {
        Self {
            term,
            progress: Instant::now(),
            round: 0,
        }
    }

    /// Takes note of progress: delays and the request's budget start anew.
    pub fn progressed(&mut self) {
        self.progress = Instant::now();
        self.round = 0;
    }
}

impl Inner {
    /// Returns the term that is over at a moment.
    pub(crate) fn term_spent(&self, moment: Instant, term: Option<Term>) -> Option<Spent> {
        let terms = [term, self.run].into_iter().flatten();
        terms.filter_map(|term| term.spent_at(moment)).next()
    }

    /// Returns the budget that leaves no time for an attempt at a moment.
    pub(crate) fn spent(
        &self,
        moment: Instant,
        term: Option<Term>,
        progress: Instant,
    ) -> Option<Spent> {
        let limit = self.settings.retry.budget;
        let stuck = moment.saturating_duration_since(progress) > limit;
        let spent = self.term_spent(moment, term);
        spent.or_else(|| stuck.then_some(Spent::Request { limit }))
    }
}

impl Transport {
    /// Waits before work of several requests is taken up again after a failure: as long as a
    /// repeated request would, told and counted like it.
    ///
    /// # Errors
    /// The failure itself, once a budget leaves no time for another try.
    pub async fn wait_after(&self, error: Error, patience: &mut Patience) -> Result<()> {
        let inner = self.inner();
        patience.round += 1;
        let time = inner.backoff.delay(patience.round);
        let time = time.max(Duration::from_millis(1));
        let resumes = Instant::now() + time;
        if let Some(spent) = inner.spent(resumes, patience.term, patience.progress) {
            return Err(error.over(Some(spent)));
        }
        let host = inner.hosts.get(error.host());
        host.count(|totals| totals.lost_ms += millis(time));
        inner.emit(&Event::Waiting {
            subject: Subject {
                phase: error.phase(),
                label: error.label().into(),
                host: std::sync::Arc::clone(&host.name),
            },
            reason: Reason::Backoff {
                class: error.class(),
            },
            millis: millis(time),
        });
        sleep(time).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_says_whose_it_was_and_how_long() {
        let limit = Duration::from_millis(1500);
        let said = |spent: Spent| spent.to_string();
        let of = "image";
        assert_eq!(
            said(Spent::Term { of, limit }),
            "given up, the image's budget of 1.5 s is used up"
        );
        let request = said(Spent::Request { limit });
        assert_eq!(request, "given up, nothing came for 1.5 s");
    }

    #[test]
    fn a_term_is_over_after_its_limit_and_not_before() {
        let term = Term::begin("image", Duration::from_secs(5));
        let at = |seconds| term.spent_at(term.begun() + Duration::from_secs(seconds));
        assert_eq!(at(5), None);
        assert!(at(6).is_some());
        let endless = Term::begin("image", Duration::MAX);
        assert_eq!(
            endless.spent_at(endless.begun() + Duration::from_secs(1 << 32)),
            None
        );
    }
}
