//! The events of a request's attempts and pauses.

use std::sync::Arc;

use super::{Pause, RetryState};
use crate::attempt::{Choice, Failure};

use crate::host::Host;
use crate::observe::{Decision, Event, Subject, millis};

impl RetryState<'_> {
    /// Reports an attempt that failed, or had an answer that is no failure to who asked.
    pub(super) fn report(&self, choice: &Choice, failure: &Failure, decision: Decision) {
        let error = &failure.error;
        if decision == Decision::GiveUp && self.is_answer(error) {
            return self.ended(choice, 0, &failure.host);
        }
        self.shared.emit(&Event::AttemptFailed {
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

    /// Reports an attempt that succeeded.
    pub(super) fn ended(&self, choice: &Choice, bytes: u64, host: &Host) {
        self.shared.emit(&Event::AttemptEnded {
            subject: self.request.subject(&host.name),
            attempt: choice.attempt,
            bytes,
            millis: millis(choice.started.elapsed()),
        });
    }

    /// Reports a pause.
    pub(crate) fn announce(&self, pause: &Pause) {
        pause
            .host
            .count(|totals| totals.lost_ms += millis(pause.time));
        if pause.is_short {
            return;
        }
        self.shared.emit(&Event::Waiting {
            subject: self.request.subject(&pause.host.name),
            reason: pause.reason.clone(),
            millis: millis(pause.time),
        });
    }
}
