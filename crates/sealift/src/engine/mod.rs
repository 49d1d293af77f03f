//! Docker's Engine API: one typed call a method, bodies streamed both ways, no `docker` program.
//!
//! A failed call says what was being done and keeps the daemon's own message. A daemon that stays
//! silent is named after seconds and given up after the budget. What the calls mean for a build is
//! for their callers to say.

mod connection;
mod endpoint;
mod images;
mod tls;

use std::time::Duration;

pub use connection::Body;
pub use endpoint::Endpoint;
pub use images::Image;

use crate::event::Events;

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Engine {
    endpoint: Endpoint,
    events: Events,
    patience: Duration,
}

impl Engine {
    /// Makes a client that gives up a call once the daemon was silent for `patience`; nothing is
    /// dialled yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, events: &Events, patience: Duration) -> Self {
        Self {
            endpoint,
            events: events.clone(),
            patience,
        }
    }

    /// Returns where the daemon listens.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

#[cfg(test)]
mod tests;
