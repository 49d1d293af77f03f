//! Request paths of the distribution specification ("Endpoints"), built from checked types, so
//! that nothing which came from a registry can add a segment or a query.

use std::fmt;

use sealift_oci::{Digest, Reference, Repository};

/// Which manifest of a repository: by tag or by digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// By tag.
    Tag(String),
    /// By digest.
    Digest(Digest),
}

impl Selector {
    /// Takes what a reference selects: its digest, else its tag.
    #[must_use]
    pub fn of(reference: &Reference) -> Self {
        match (reference.digest(), reference.tag()) {
            (Some(digest), _) => Self::Digest(digest.clone()),
            (None, _) => Self::named(reference),
        }
    }

    /// Takes a reference's tag, whatever its digest.
    #[must_use]
    pub fn named(reference: &Reference) -> Self {
        Self::Tag(reference.tag().unwrap_or("latest").to_owned())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// What one request of the specification is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A manifest (end-2, end-7, end-9).
    Manifest(Selector),
    /// A blob (end-2, end-10).
    Blob(Digest),
    /// The list of tags (end-8a).
    Tags,
    /// The place where uploads start (end-4a).
    Uploads,
    /// A blob to be mounted from another repository of the same registry (end-11).
    Mount {
        /// The blob.
        digest: Digest,
        /// The repository that has it.
        from: String,
    },
}

/// The path of one request below an endpoint's base (`/v2`, or a mirror's own prefix):
/// `<repository>/…`, without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestPath {
    repository: String,
    resource: Resource,
}

impl RequestPath {
    /// Makes the path of a resource in a repository.
    #[must_use]
    pub fn new(repository: &Repository, resource: Resource) -> Self {
        Self {
            repository: repository.path().to_owned(),
            resource,
        }
    }

    /// Makes the path of a manifest.
    #[must_use]
    pub fn manifest(repository: &Repository, selector: Selector) -> Self {
        Self::new(repository, Resource::Manifest(selector))
    }

    /// Makes the path of a blob.
    #[must_use]
    pub fn blob(repository: &Repository, digest: &Digest) -> Self {
        Self::new(repository, Resource::Blob(digest.clone()))
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            repository,
            resource,
        } = self;
        match resource {
            Resource::Manifest(selector) => write!(f, "{repository}/manifests/{selector}"),
            Resource::Blob(digest) => write!(f, "{repository}/blobs/{digest}"),
            Resource::Tags => write!(f, "{repository}/tags/list"),
            Resource::Uploads => write!(f, "{repository}/blobs/uploads/"),
            // A repository's path has only characters that a query may hold as they are.
            Resource::Mount { digest, from } => {
                write!(f, "{repository}/blobs/uploads/?mount={digest}&from={from}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_specification() {
        let reference = Reference::parse("busybox:1.36").unwrap();
        let repository = reference.repository();
        let digest = Digest::sha256(b"");
        let path = |resource| RequestPath::new(repository, resource).to_string();
        assert_eq!(
            RequestPath::manifest(repository, Selector::of(&reference)).to_string(),
            "library/busybox/manifests/1.36"
        );
        assert_eq!(
            RequestPath::blob(repository, &digest).to_string(),
            format!("library/busybox/blobs/{digest}")
        );
        assert_eq!(path(Resource::Uploads), "library/busybox/blobs/uploads/");
        let from = "other/repo".to_owned();
        assert_eq!(
            path(Resource::Mount {
                digest: digest.clone(),
                from
            }),
            format!("library/busybox/blobs/uploads/?mount={digest}&from=other/repo")
        );
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        let digest = Digest::sha256(b"x");
        let reference = Reference::parse(&format!("quay.io/a/b:1@{digest}")).unwrap();
        assert_eq!(Selector::of(&reference), Selector::Digest(digest));
    }
}
