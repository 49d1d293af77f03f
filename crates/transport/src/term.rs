//! Budgets: for how long failures are repeated, and whose time it was once that is over.

use std::fmt;
use std::time::{Duration, Instant};

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

    pub(crate) fn spent_at(&self, moment: Instant) -> Option<Spent> {
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
                let limit = limit.as_secs_f32();
                write!(
                    f,
                    "given up: the next attempt would come after the {limit} s allowed without an answer"
                )
            }
            Self::Term { of, limit } => {
                let limit = limit.as_secs_f32();
                write!(f, "given up, the {of}'s budget of {limit} s is used up")
            }
        }
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
        assert_eq!(
            request,
            "given up: the next attempt would come after the 1.5 s allowed without an answer"
        );
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
