//! What follows a failure: another endpoint at once, the same ones after a delay, or the end.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Pause, RetryState};
use crate::attempt::{Choice, Failure};
use crate::error::{Cause, Error};
use crate::observe::{Decision, Reason, millis};
use crate::pace;
use sealift_failure::{Class, Remedy};

impl RetryState<'_> {
    /// Returns the pause before the next attempt, of no length where another endpoint is asked at
    /// once; `None` gives up.
    pub(super) fn decide(&mut self, choice: &Choice, failure: &Failure) -> Option<Pause> {
        let error = &failure.error;
        if self.request.once || error.class() == Class::Disk {
            return None;
        }
        let remedy = error.verdict().remedy;
        let asked = failure.headers.as_ref().and_then(|headers| {
            pace::retry_after(headers, SystemTime::now()).map(|after| after.asked)
        });
        // A time that is over already, as by a clock that is behind, says nothing.
        let asked = asked.filter(|asked| !asked.is_zero());
        let candidate = &self.candidates[choice.index];
        // Where something listened before in this run, it is being started again.
        let returns = error.cause().is_unreachable() && failure.host.has_answered();
        let tries = remedy.tries().filter(|_| !returns);
        let spent = tries.is_some_and(|tries| candidate.tries >= tries);
        if spent {
            self.candidates[choice.index].excluded = true;
            let last = choice.index + 1 == self.candidates.len();
            if last && matches!(error.class(), Class::Absent | Class::Auth | Class::Build) {
                return None;
            }
        }
        let retry = &self.shared.settings.retry;
        if retry.attempts.is_some_and(|cap| self.fruitless >= cap) {
            return None;
        }
        if remedy == Remedy::Pace {
            let time = asked.unwrap_or_else(|| self.shared.backoff.delay(self.round + 3));
            failure.host.leave_alone(time.min(retry.retry_after_cap));
        }
        if !self.repeat_is_safe(error.cause()) {
            return None;
        }
        if !(0..self.candidates.len()).any(|index| self.is_left(index)) {
            return None;
        }
        let none = || Pause {
            time: Duration::ZERO,
            is_short: true,
            reason: Reason::Paced,
            host: Arc::clone(&failure.host),
        };
        let fresh = (0..self.candidates.len())
            .any(|index| self.is_left(index) && !self.candidates[index].failed);
        // The first failure of an event has decided how long it is waited for.
        if fresh || !self.counts {
            // Endpoints that take turns at failing must not outlast the work's own time, nor the second
            // of two attempts side by side the request's own, which has ended the first.
            let (now, term) = (Instant::now(), self.request.term);
            self.spent = match fresh {
                true => self.shared.term_spent(now, term),
                false => self.shared.spent(now, term, self.progress),
            };
            return self.spent.is_none().then(none);
        }
        self.pause(failure, asked)
    }

    /// Names what follows, for logs.
    pub(super) fn decision(&self, error: &Error, pause: Option<&Pause>) -> Decision {
        let passes = matches!(error.class(), Class::Network | Class::Rate);
        match pause {
            None if self.request.part && passes && self.spent.is_none() => Decision::GoOn,
            None => Decision::GiveUp,
            Some(pause) if pause.time.is_zero() => Decision::OtherEndpoint,
            Some(pause) => Decision::RetryHere {
                after_ms: millis(pause.time),
            },
        }
    }

    /// Whether a failure is one of the answers that the request asks for.
    pub(super) fn is_answer(&self, error: &Error) -> bool {
        self.request.whether && error.class() == Class::Absent
    }

    /// Whether sending the request again can do harm: a POST that may have been carried out.
    fn repeat_is_safe(&self, cause: &Cause) -> bool {
        let known = cause.is_unreachable() || cause.status().is_some();
        (self.request.repeatable || known) && !self.payload.is_spent()
    }

    /// Returns the delay after a round: it grows fast after what more requests make worse, and slowly
    /// after what comes at once and is as likely to be gone at once.
    fn delay(&mut self, error: &Error) -> Duration {
        if error.is_at_once() {
            self.quick_round += 1;
            return self.shared.backoff.quick_delay(self.quick_round);
        }
        self.round += 1;
        self.shared.backoff.delay(self.round)
    }

    /// Ends a round: every endpoint that is left has failed once.
    fn pause(&mut self, failure: &Failure, asked: Option<Duration>) -> Option<Pause> {
        self.start_round();
        let retry = &self.shared.settings.retry;
        let (time, reason) = match asked {
            Some(asked) => (
                asked.min(retry.retry_after_cap),
                Reason::RetryAfter {
                    asked: asked.as_secs(),
                },
            ),
            None => {
                let class = failure.error.class();
                (self.delay(&failure.error), Reason::Backoff { class })
            }
        };
        let time = time.max(Duration::from_millis(1));
        let resumes = Instant::now() + time;
        let term = self.request.term;
        self.spent = self.shared.spent(resumes, term, self.progress);
        if self.spent.is_some() {
            return None;
        }
        Some(Pause {
            time,
            is_short: asked.is_none() && failure.error.is_at_once(),
            reason,
            host: Arc::clone(&failure.host),
        })
    }
}
