//! The patience of work that is more than one request, with the failures between its requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::observe::{Event, Reason, Subject, millis};
use crate::shared::Shared;
use crate::term::Term;

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

    /// Waits before the work is taken up again after a failure, or returns the failure once a budget
    /// leaves no time for another try.
    pub(crate) async fn wait(&mut self, shared: &Shared, error: Error) -> Result<()> {
        self.round += 1;
        let time = shared.backoff.delay(self.round);
        let time = time.max(Duration::from_millis(1));
        let resumes = Instant::now() + time;
        if let Some(spent) = shared.spent(resumes, self.term, self.progress) {
            return Err(error.over(Some(spent)));
        }
        let host = shared.hosts.get(error.host());
        host.count(|totals| totals.lost_ms += millis(time));
        shared.emit(&Event::Waiting {
            subject: Subject {
                phase: error.phase(),
                label: error.label().into(),
                host: Arc::clone(&host.name),
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
