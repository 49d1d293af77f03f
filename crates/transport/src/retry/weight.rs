//! What failures weigh on endpoints and hosts.

use std::sync::Arc;

use sealift_failure::Class;

use super::RetryState;
use crate::attempt::{Choice, Failure};
use crate::error::{Cause, Error};
use crate::health::{Standing, Weight};
use crate::observe::{Event, millis};

impl RetryState<'_> {
    /// Records an attempt that was dropped because a later one was faster. One that had not
    /// even been connected counts as a dead endpoint: it must not cost every request its time.
    pub(crate) fn outrun(&self, choice: &Choice, reached: bool) {
        let weight = if reached {
            Weight::Failed
        } else {
            Weight::Unreachable
        };
        let lost = millis(choice.started.elapsed());
        let host = Arc::clone(&self.candidates[choice.index].host);
        host.count(|totals| totals.lost_ms += lost);
        self.count_failure(choice, weight);
    }

    fn count_failure(&self, choice: &Choice, weight: Weight) {
        let endpoint = &choice.endpoint;
        // One that is asked again at once is not left alone, and not said to be.
        let others = (0..self.candidates.len()).filter(|index| *index != choice.index);
        let may_rest = others.into_iter().any(|index| {
            let other = self.candidates[index].endpoint;
            self.is_left(index) && self.shared.health.standing(other) != Standing::Resting
        });
        if let Some(rest) = self.shared.health.failed(endpoint, weight, may_rest) {
            self.shared.emit(&Event::BreakerOpened {
                host: Arc::from(endpoint.authority()),
                millis: millis(rest),
            });
        }
    }

    /// Writes the failure down against the endpoint and its host.
    pub(super) fn weigh(&self, choice: &Choice, failure: &Failure) {
        let error = &failure.error;
        let lost = millis(choice.started.elapsed());
        if !self.request.once && !self.is_answer(error) {
            failure.host.count(|totals| {
                *totals.failures.entry(error.class()).or_default() += 1;
                totals.lost_ms += lost;
            });
        }
        if locks_logins(error) {
            failure.host.lock_logins(error.text());
            self.candidates[choice.index].host.lock_logins(error.text());
        }
        // The last one that is left stays: another image of it may be right.
        let spared =
            (0..self.candidates.len()).all(|index| index == choice.index || !self.is_left(index));
        if is_wrong_content(error) && !spared && self.shared.health.quarantine(&choice.endpoint) {
            self.shared.emit(&Event::Quarantined {
                host: Arc::from(choice.endpoint.authority()),
                text: error.text(),
            });
        }
        let weight = match error.class() {
            Class::Network if error.cause().is_unreachable() => Weight::Unreachable,
            Class::Network | Class::Config => Weight::Failed,
            _ => {
                self.shared.health.abandoned(&choice.endpoint);
                return;
            }
        };
        self.count_failure(choice, weight);
    }
}

fn locks_logins(error: &Error) -> bool {
    error.body().is_some_and(|body| {
        body.to_lowercase()
            .contains("too many failed login attempts")
    })
}

/// Whether an endpoint answered with bytes that cannot be right, as opposed to an answer that says
/// no.
fn is_wrong_content(error: &Error) -> bool {
    let content = matches!(
        error.cause(),
        Cause::Long { .. } | Cause::TooLarge { .. } | Cause::Refused { .. }
    );
    content && error.class() == Class::Corrupt
}
