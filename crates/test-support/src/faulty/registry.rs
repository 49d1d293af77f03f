//! The faulty registry as tests hold it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::connection::{Connection, Place};
use super::plan::{Course, Fate, FaultPlan, Kind};
use super::tokens::{TokenRules, Tokens};
use crate::server::Server;

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

/// A docker-registry behind a proxy with faults. Dropping it closes all connections.
#[derive(Debug)]
pub struct FaultyRegistry {
    shared: Arc<Shared>,
    registry: Server,
    side: Server,
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
struct State {
    course: Course,
    tokens: Option<Tokens>,
    redirects: bool,
    seen: Vec<Seen>,
    begun: usize,
}

impl FaultyRegistry {
    /// Puts a proxy in front of a registry, without tokens.
    ///
    /// # Panics
    /// Where no port is free.
    #[must_use]
    pub fn open(upstream: SocketAddr, plan: FaultPlan) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), upstream, None, plan)
    }

    /// Puts a proxy in front of a registry, which demands tokens from an endpoint of its own.
    ///
    /// # Panics
    /// Where no port is free.
    #[must_use]
    pub fn with_tokens(upstream: SocketAddr, rules: TokenRules, plan: FaultPlan) -> Self {
        Self::at(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            upstream,
            Some(rules),
            plan,
        )
    }

    /// Puts a proxy at an address of the caller's choice in front of a registry.
    ///
    /// # Panics
    /// Where the address cannot be bound.
    #[must_use]
    pub fn at(
        address: SocketAddr,
        upstream: SocketAddr,
        rules: Option<TokenRules>,
        plan: FaultPlan,
    ) -> Self {
        let shared = Arc::new(Shared {
            upstream,
            side: OnceLock::new(),
            state: Mutex::new(State {
                course: Course::new(plan),
                tokens: rules.map(Tokens::new),
                redirects: false,
                seen: Vec::new(),
                begun: 0,
            }),
        });
        let start = |address, place| {
            let shared = Arc::clone(&shared);
            Server::start(address, move |stream| {
                Connection::new(Arc::clone(&shared), place, stream).serve()
            })
        };
        let side = start(SocketAddr::from(([127, 0, 0, 1], 0)), Place::Side);
        let _only_once = shared.side.set(side.address());
        let registry = start(address, Place::Registry);
        Self {
            shared,
            registry,
            side,
        }
    }

    /// Returns the registry's address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.registry.address()
    }

    /// Returns `127.0.0.1:PORT`, as references name it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address().to_string()
    }

    /// Returns the registry's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Returns the address of the token endpoint, which is also that of the redirected storage.
    #[must_use]
    pub fn token_address(&self) -> SocketAddr {
        self.side.address()
    }

    /// Begins another plan, with new counts for its rules.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.shared.state().course = Course::new(plan);
    }

    /// Answers reads of blobs with a redirect to another host, as registries do that keep blobs in
    /// an object storage. That host refuses requests that carry credentials.
    pub fn redirect_blobs(&self) {
        self.shared.state().redirects = true;
    }

    /// Makes all tokens issued so far invalid.
    pub fn revoke_tokens(&self) {
        if let Some(tokens) = &mut self.shared.state().tokens {
            tokens.revoke();
        }
    }

    /// Returns all requests so far, in the order in which they came.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// Forgets the requests seen so far.
    pub fn forget_seen(&self) {
        let mut state = self.shared.state();
        state.begun += state.seen.len();
        state.seen.clear();
    }

    /// Returns how many requests of a kind were seen.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let state = self.shared.state();
        state.seen.iter().filter(|seen| seen.kind == kind).count()
    }

    /// Returns how many bytes of bodies were sent for requests of a kind.
    #[must_use]
    pub fn bytes(&self, kind: Kind) -> u64 {
        let state = self.shared.state();
        let of_kind = state.seen.iter().filter(|seen| seen.kind == kind);
        of_kind.map(|seen| seen.sent).sum()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
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
