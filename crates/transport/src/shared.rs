//! What all requests of a transport share: settings, connections, and what is known of hosts.

use std::sync::Arc;
use std::time::Instant;

use crate::backoff::Backoff;
use crate::health::Health;
use crate::host::Hosts;
use crate::observe::{Event, Observer};
use crate::pool::Pool;
use crate::settings::Settings;
use crate::term::{Spent, Term};
use crate::tls::Configurations;

/// The state that all requests of a transport share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) configurations: Configurations,
    pub(crate) pool: Pool,
    pub(crate) hosts: Hosts,
    pub(crate) health: Health,
    pub(crate) backoff: Backoff,
    /// The budget of the whole run.
    pub(crate) run: Option<Term>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, observer: Arc<dyn Observer>) -> Self {
        Self {
            pool: Pool::new(settings.limits.idle_per_host, settings.limits.idle_time),
            hosts: Hosts::new(&settings.limits),
            backoff: Backoff::new(&settings.retry),
            run: settings.retry.run.map(|run| Term::begin(Spent::RUN, run)),
            configurations: Configurations::default(),
            health: Health::default(),
            observer,
            settings,
        }
    }

    pub(crate) fn emit(&self, event: &Event) {
        self.observer.event(event);
    }

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
