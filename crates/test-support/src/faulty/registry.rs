//! The faulty registry as tests hold it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::connection::{Connection, Place};
use super::plan::{Course, FaultPlan, Kind};
use super::shared::{Seen, Shared};
use super::tokens::TokenRules;
use crate::server::Server;

/// A docker-registry behind a proxy with faults. Dropping it closes all connections.
#[derive(Debug)]
pub struct FaultyRegistry {
    shared: Arc<Shared>,
    registry: Server,
    side: Server,
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
        let shared = Arc::new(Shared::new(upstream, rules, plan));
        let start = |address, place| {
            let shared = Arc::clone(&shared);
            Server::start(address, move |stream| {
                Connection::new(Arc::clone(&shared), place, stream).serve()
            })
        };
        let side = start(SocketAddr::from(([127, 0, 0, 1], 0)), Place::Side);
        shared.set_side(side.address());
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
