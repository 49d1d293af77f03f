//! The client: images are resolved, pulled into a content store and pushed from it.

mod auth;
mod document;
mod event;
mod image;
mod pull;
mod push;
mod resolved;
mod token;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealift_oci::{Reference, Repository};
use sealift_transport::{
    self as transport, Class, Endpoint, Phase, Request, Route, Scheme, Term, Transport,
};

use self::auth::{Access, Action, Auth, Scope};
pub use self::document::Resolved;
pub use self::event::{Event, Silent, Watcher};
pub use self::pull::{Pulled, Want};
pub use self::push::{PushRequest, Pushed};
use self::resolved::Handover;
pub use self::token::{GrantedToken, TokenRequest};
use crate::credentials::Credentials;
use crate::error::{Error, Result};

/// Knows the routes of images that depend on more than the registry's name: wildcards, prefixes
/// with paths, images that are forbidden, mirrors that serve tags or digests alone.
pub trait Routes: std::fmt::Debug + Send + Sync {
    /// Returns the route on which a reference is resolved; nothing where it has no rule.
    ///
    /// # Errors
    /// Why the image must not or cannot be asked for.
    fn resolve(&self, reference: &Reference) -> RouteAnswer;

    /// Returns the route on which an image's content comes: manifests by digest, and blobs.
    ///
    /// # Errors
    /// As [`Routes::resolve`].
    fn content(&self, reference: &Reference) -> RouteAnswer;

    /// Returns the route on which a repository is written to; only its origin is used.
    ///
    /// # Errors
    /// As [`Routes::resolve`].
    fn push(&self, repository: &Repository) -> RouteAnswer;
}

/// What [`Routes`] knows of an image.
pub type RouteAnswer = std::result::Result<Option<Route>, Arc<dyn std::error::Error + Send + Sync>>;

/// What a client is told about registries.
#[derive(Debug, Clone)]
pub struct Config {
    /// The route to each registry that has mirrors or ways of its own, by the name that references
    /// have (`docker.io`, `registry.example:5000`). All others are asked at [`origin`] alone.
    pub routes: HashMap<String, Route>,
    /// Routes by image, asked before `routes`.
    pub finder: Option<Arc<dyn Routes>>,
    /// Stored credentials.
    pub credentials: Credentials,
    /// Where tokens are kept between runs; nothing keeps them in memory only.
    pub token_folder: Option<PathBuf>,
    /// How many blobs are moved side by side, over all images.
    pub blobs_side_by_side: usize,
    /// How many images are resolved side by side.
    pub images_side_by_side: usize,
    /// For how long failures are repeated of one image that is pulled, or of one push. Nothing sets
    /// no such end.
    pub image_budget: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            routes: HashMap::new(),
            finder: None,
            credentials: Credentials::default(),
            token_folder: None,
            blobs_side_by_side: 8,
            images_side_by_side: 8,
            image_budget: None,
        }
    }
}

/// A client of all registries. Cheap to clone; clones share connections, tokens and limits.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// The budget of the image that this clone works for.
    term: Option<Term>,
}

struct Inner {
    transport: Transport,
    config: Config,
    auth: Auth,
    handover: Handover,
}

impl Client {
    /// Makes a client.
    #[must_use]
    pub fn new(transport: Transport, config: Config) -> Self {
        let auth = Auth::new(
            transport.clone(),
            config.credentials.clone(),
            config.token_folder.clone(),
        );
        Self {
            inner: Arc::new(Inner {
                transport,
                config,
                auth,
                handover: Handover::default(),
            }),
            term: None,
        }
    }

    /// Returns the same client for the requests of one image, whose budget begins now.
    fn for_an_image(&self) -> Self {
        let budget = self.inner.config.image_budget;
        Self {
            inner: Arc::clone(&self.inner),
            term: budget.map(|budget| Term::begin("image", budget)),
        }
    }

    /// Returns when the budget of its image began.
    fn term_begun(&self) -> Option<Instant> {
        self.term.map(|term| term.begun())
    }

    /// Says what a request is for, and within which budget it is repeated.
    fn request(&self, request: Request, phase: Phase, label: &str) -> Request {
        request.of(phase, label).within(self.term)
    }

    /// Returns the stored credentials that it looks into.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.inner.config.credentials
    }

    fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    /// Returns the route on which a reference is resolved: the one configured, else the registry
    /// itself alone.
    ///
    /// # Errors
    /// [`Error::Address`] where the name can't be made into an address, [`Error::Forbidden`].
    pub fn route(&self, reference: &Reference) -> Result<Route> {
        let finder = self.inner.config.finder.as_ref();
        let found = finder.map(|finder| finder.resolve(reference));
        self.found(reference.repository(), found)
    }

    /// Returns the route on which an image's content comes.
    ///
    /// # Errors
    /// As [`Client::route`].
    pub fn content_route(&self, reference: &Reference) -> Result<Route> {
        let finder = self.inner.config.finder.as_ref();
        let found = finder.map(|finder| finder.content(reference));
        self.found(reference.repository(), found)
    }

    /// Returns the route for writing: the origin, since mirrors only read.
    fn origin_route(&self, repository: &Repository) -> Result<Route> {
        let finder = self.inner.config.finder.as_ref();
        let found = finder.map(|finder| finder.push(repository));
        let route = self.found(repository, found)?;
        Ok(Route::direct(route.origin().clone()))
    }

    fn found(&self, repository: &Repository, found: Option<RouteAnswer>) -> Result<Route> {
        let forbidden = |source| Error::Forbidden {
            image: repository.to_string(),
            source,
        };
        if let Some(route) = found.transpose().map_err(forbidden)?.flatten() {
            return Ok(route);
        }
        let registry = repository.registry();
        match self.inner.config.routes.get(registry) {
            Some(route) => Ok(route.clone()),
            None => origin(registry).map(Route::direct),
        }
    }

    fn access(&self, registry: &str, label: &str) -> Access {
        self.inner.auth.access(registry, label)
    }

    /// Words a failed request for people: what was wanted, what was wrong with the credentials.
    fn failed(&self, action: &'static str, image: &str, source: transport::Error) -> Error {
        let (image, source) = (image.to_owned(), Box::new(source));
        match source.class() {
            Class::Absent => Error::Absent { image, source },
            class => Error::Request {
                action,
                image,
                note: (class == Class::Auth)
                    .then(|| self.inner.auth.note(source.label()))
                    .flatten(),
                source,
            },
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

/// Returns the endpoint of a registry that nothing was configured for: HTTPS, and plain HTTP on
/// this machine's loopback, below `/v2`. The Hub's name stands for another host.
///
/// # Errors
/// [`Error::Address`] where the name can't be made into an address.
pub fn origin(registry: &str) -> Result<Endpoint> {
    let authority = match registry {
        "docker.io" => "registry-1.docker.io",
        other => other,
    };
    let made = Endpoint::new(Scheme::Https, authority).and_then(|endpoint| {
        let url = endpoint.url("")?;
        if auth::is_loopback(&url) {
            Endpoint::new(Scheme::Http, authority)
        } else {
            Ok(endpoint)
        }
    });
    let endpoint = made.map_err(|source| Error::Address {
        registry: registry.to_owned(),
        source: Arc::new(source),
    })?;
    Ok(endpoint.with_base("/v2"))
}

/// The scope of requests to a repository, as the authorizer reads it.
fn scope_of(repository: &Repository, action: Action) -> String {
    Scope::repository(repository.path(), action).to_string()
}

/// How an image is named in logs and events.
fn label_of(reference: &Reference) -> String {
    reference.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_https_but_on_loopback() {
        for (registry, expected) in [
            ("docker.io", "https://registry-1.docker.io/v2"),
            ("quay.io", "https://quay.io/v2"),
            ("r.example:5000", "https://r.example:5000/v2"),
            ("localhost:5000", "http://localhost:5000/v2"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2"),
            ("[::1]:5000", "http://[::1]:5000/v2"),
        ] {
            assert_eq!(origin(registry).unwrap().key(), expected);
        }
    }
}
