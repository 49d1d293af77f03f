//! The right to one connection to a host, for a large body.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::Host;

/// The right to one connection to a host.
pub(crate) struct Slot {
    held: Mutex<Held>,
}

struct Held {
    host: Arc<Host>,
    /// Not while its holder waits for another host's.
    is_taken: bool,
}

impl Slot {
    /// Waits for a slot, first come, first served.
    pub(crate) async fn take(host: Arc<Host>) -> Self {
        host.width.acquire().await;
        let is_taken = true;
        Self {
            held: Mutex::new(Held { host, is_taken }),
        }
    }

    /// Gives the slot back for one of the host that a redirect leads to: it is the bytes that count,
    /// not who was asked for them.
    pub(crate) async fn move_to(&self, host: &Arc<Host>) {
        {
            let mut held = self.held();
            if Arc::ptr_eq(&held.host, host) {
                return;
            }
            held.give_back();
            held.host = Arc::clone(host);
        }
        host.width.acquire().await;
        self.held().is_taken = true;
    }

    /// Whose slot it is.
    pub(crate) fn host(&self) -> Arc<Host> {
        Arc::clone(&self.held().host)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn give_back(&mut self) {
        if std::mem::take(&mut self.is_taken) {
            self.host.width.release();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.held().give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::width::START;

    #[tokio::test]
    async fn shrinking_takes_slots_back_as_they_come() {
        let hosts = crate::host::Hosts::new(&crate::settings::Limits::default());
        let host = hosts.get("h");
        let mut slots = Vec::new();
        for _ in 0..START {
            slots.push(Slot::take(Arc::clone(&host)).await);
        }
        host.width.halve();
        assert_eq!(host.width.goal(), 2);
        slots.truncate(2);
        assert_eq!(
            host.width.slots.available_permits(),
            0,
            "two returned, two owed"
        );
        slots.clear();
        assert_eq!(host.width.slots.available_permits(), 2);
        host.width.lose_one();
        assert_eq!(host.width.goal(), 2, "broken connections leave two");
        host.width.halve();
        host.width.halve();
        assert_eq!(host.width.goal(), 1, "a 429 leaves one");
    }
}
