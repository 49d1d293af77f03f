//! What all connections of one faulty registry share: the plan, the tokens, and what was seen.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::plan::{Course, Fate, FaultPlan, Kind};
use super::tokens::{TokenRules, Tokens};

/// A request as the proxy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it was for.
    pub kind: Kind,
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The scheme of the `Authorization` header (`Basic`, `Bearer`).
    pub authorization: Option<String>,
    /// The `User-Agent` header.
    pub agent: Option<String>,
    /// Status code of the answer; zero while there is none, and where none was given.
    pub status: u16,
    /// Bytes of the answer's body that were sent.
    pub sent: u64,
}

/// What all connections of one faulty registry share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The real registry.
    pub(super) upstream: SocketAddr,
    /// The listener of the token endpoint and of the storage that blobs are redirected to.
    side: OnceLock<SocketAddr>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) course: Course,
    pub(super) tokens: Option<Tokens>,
    pub(super) redirects: bool,
    pub(super) seen: Vec<Seen>,
    pub(super) begun: usize,
}

impl Shared {
    pub(super) fn new(upstream: SocketAddr, rules: Option<TokenRules>, plan: FaultPlan) -> Self {
        Self {
            upstream,
            side: OnceLock::new(),
            state: Mutex::new(State {
                course: Course::new(plan),
                tokens: rules.map(Tokens::new),
                redirects: false,
                seen: Vec::new(),
                begun: 0,
            }),
        }
    }

    /// Names the side listener, which starts first.
    pub(super) fn set_side(&self, address: SocketAddr) {
        let _only_once = self.side.set(address);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Notes a request and decides about it. The number is for [`Shared::answered`].
    pub(super) fn begin(&self, seen: Seen) -> (usize, Fate) {
        let mut state = self.state();
        let fate = state.course.decide(seen.kind, &seen.target);
        let number = state.begun + state.seen.len();
        state.seen.push(seen);
        (number, fate)
    }

    /// Notes the status of an answer.
    pub(super) fn answered(&self, number: usize, status: u16) {
        self.change(number, |seen| seen.status = status);
    }

    /// Notes bytes of an answer's body.
    pub(super) fn sent(&self, number: usize, bytes: usize) {
        self.change(number, |seen| seen.sent += bytes as u64);
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        let mut state = self.state();
        let place = number.checked_sub(state.begun);
        if let Some(seen) = place.and_then(|place| state.seen.get_mut(place)) {
            change(seen);
        }
    }

    /// Works with the issued tokens; none where the registry demands none.
    pub(super) fn tokens<T>(&self, work: impl FnOnce(&mut Tokens) -> T) -> Option<T> {
        self.state().tokens.as_mut().map(work)
    }

    /// Returns whether blobs are redirected.
    pub(super) fn redirects(&self) -> bool {
        self.state().redirects
    }

    /// Returns the URL of the side listener.
    pub(super) fn side_url(&self) -> String {
        let side = self.side.get();
        let side = side.expect("the side listener starts before the registry's");
        format!("http://{side}")
    }
}
