//! What a run that talked to registries tells and keeps when it ends, in whatever way: the traffic
//! of each host, and the health of endpoints for the next run.

use std::path::Path;
use std::time::Duration;

use sealift_transport::Transport;

use crate::event::{Ending, Event, Events};
use crate::file;
use crate::prefetch::watch::totals;

/// The traffic of a run, counted until it is asked for.
#[derive(Debug, Clone)]
pub struct Tally {
    transport: Transport,
}

impl Tally {
    /// Counts what goes over a transport.
    #[must_use]
    pub const fn new(transport: Transport) -> Self {
        Self { transport }
    }

    /// Tells each host's traffic and how the run ended.
    pub fn tell(&self, events: &Events, ending: Ending, elapsed: Duration) {
        let fetched = totals(&self.transport, events);
        let seconds = elapsed.as_secs_f64();
        events.tell(&Event::Finished {
            ending,
            seconds,
            fetched,
        });
    }

    /// Keeps the health of endpoints in a file. Not being able to costs the next run a few attempts,
    /// so it is a warning.
    pub fn keep(&self, path: &Path, events: &Events) {
        let health = self.transport.health().to_json();
        let folder = file::private_folder(path.parent().unwrap_or(path));
        if let Err(error) = folder.and_then(|()| file::write_bytes(path, &health)) {
            let why = error.line();
            events.warn(format!("the health of endpoints is forgotten: {why}"));
        }
    }
}
