//! What a course tells of its attempts and pauses.

use std::sync::Arc;

use super::{Choice, Course, Failure, Pause};

use crate::host::Host;
use crate::observe::{Decision, Event, Subject, millis};

impl Course<'_> {
    pub(super) fn subject(&self, host: &Host) -> Subject {
        Subject {
            phase: self.request.phase,
            label: Arc::clone(&self.request.label),
            host: Arc::clone(&host.name),
        }
    }

    /// Tells of an attempt that failed, or had an answer that is no failure to who asked.
    pub(super) fn tell(&self, choice: &Choice, failure: &Failure, decision: Decision) {
        let error = &failure.error;
        if decision == Decision::GiveUp && self.is_answer(error) {
            return self.ended(choice, 0, &failure.host);
        }
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
    }

    /// Tells of an attempt that ended well.
    pub(super) fn ended(&self, choice: &Choice, bytes: u64, host: &Host) {
        self.inner.emit(&Event::AttemptEnded {
            subject: self.subject(host),
            attempt: choice.attempt,
            bytes,
            millis: millis(choice.started.elapsed()),
        });
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
