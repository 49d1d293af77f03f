//! The client: images are resolved, pulled into a content store and pushed from it.

mod auth;
mod document;
mod event;
mod pull;
mod push;
mod store;
mod tags;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealift_oci::{Reference, Repository};
use sealift_transport::{Endpoint, Phase, Request, Route, Scheme, Term, Transport};

use self::auth::{Access, Action, Auth, Scope};
pub use self::event::{Event, Silent, Watcher};
pub use self::pull::{Done, Pulled, Want};
pub use self::push::PushRequest;
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
    /// Routes by image. Where it has none, the registry itself is asked, at [`origin`].
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
    fn content_route(&self, reference: &Reference) -> Result<Route> {
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
        origin(repository.registry()).map(Route::direct)
    }

    /// Makes the authorizer of requests about a reference.
    fn access(&self, reference: &Reference, action: Action) -> Access {
        let label = reference.to_string();
        self.inner
            .auth
            .access(reference.repository(), action, &label)
    }

    /// Makes the authorizer of requests that write to a repository.
    fn push_access(&self, repository: &Repository, label: &str) -> Access {
        self.inner.auth.access(repository, Action::Push, label)
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

/// Reads the head and the body of a registry's or a token server's answer, for fuzz targets.
#[cfg(feature = "fuzzing")]
pub fn read_untrusted(headers: &http::HeaderMap, body: &[u8]) {
    auth::token::read_untrusted(headers, body);
    let said = crate::code::Explanation::parse(body).to_string();
    assert!(!said.chars().any(char::is_control), "{said:?}");
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
