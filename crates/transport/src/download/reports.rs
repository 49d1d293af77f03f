//! What the requests of one download report to its loop while they run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::HeaderValue;
use tokio::sync::Notify;
use url::Url;

use super::answer::Answer;
use crate::host::Host;

/// The reports of one download's requests.
#[derive(Default)]
pub(super) struct Reports {
    heads: Mutex<Vec<Head>>,
    pub(super) progress: AtomicBool,
    pub(super) bell: Notify,
}

impl Reports {
    /// Takes the heads that arrived since the last call.
    pub(super) fn heads(&self) -> Vec<Head> {
        std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether bytes arrived since the last call.
    pub(super) fn took_progress(&self) -> bool {
        self.progress.swap(false, Ordering::Relaxed)
    }

    pub(super) fn push(&self, head: Head) {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.push(head);
        drop(heads);
        self.bell.notify_one();
    }
}

/// What a response's head said.
pub(super) struct Head {
    pub(super) index: usize,
    pub(super) answer: Answer,
    /// Where the endpoint's redirect led.
    pub(super) url: Option<Url>,
    pub(super) latency: Duration,
    pub(super) host: Arc<Host>,
    /// What tells this content from a later one at the same place.
    pub(super) validator: Option<HeaderValue>,
}
