//! How many connections downloads may have to one host.

use tokio::sync::Semaphore;

/// One host's connections for downloads.
pub(crate) struct Width {
    #[expect(dead_code, reason = "the adaptive width follows")]
    slots: Semaphore,
}

impl Width {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            slots: Semaphore::new(connections),
        }
    }
}
