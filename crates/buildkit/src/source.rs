//! Who decides where the sources of a solve come from: the trait that a solve's caller implements,
//! and its messages. `session::sources` serves it.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::future::BoxFuture;
use sealift_oci::{Digest, Platform};

/// Decides about each source of a solve before the daemon touches it: images (that of `# syntax`
/// too), URLs and git repositories. The client's own folders and stores are not asked about.
///
/// The daemon waits for an answer as long as it takes.
pub trait SourceAuthority: fmt::Debug + Send + Sync {
    /// Decides about a source. The same one may be asked about more than once.
    fn decide<'a>(&'a self, source: &'a Source) -> BoxFuture<'a, Decision>;
}

/// A source that a daemon is about to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is: `docker-image://docker.io/library/busybox:1.36`, `https://…`, `git://…`.
    pub identifier: String,
    /// How it is read, by BuildKit's keys: `http.checksum`, `git.fullurl`.
    pub attributes: BTreeMap<String, String>,
    /// The platform that it is read for, where that matters.
    pub platform: Option<Platform>,
}

impl Source {
    /// Returns the image that it is, as a reference.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.identifier.strip_prefix("docker-image://")
    }
}

/// What is done about a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The daemon reads it by itself.
    Allow,
    /// The solve fails with this text.
    Deny(String),
    /// An image comes from the solve's store: an index or a manifest.
    Image(Digest),
    /// A file comes from the solve's store (BuildKit 0.28 or newer).
    Blob {
        /// Its content.
        digest: Digest,
        /// The name that ADD gives it.
        filename: String,
    },
}
