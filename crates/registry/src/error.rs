//! What can go wrong between a registry and us.

use std::path::PathBuf;
use std::sync::Arc;

use sealift_oci::{Digest, Platform};
use sealift_transport::{self as transport, Class};

use crate::code::{Explanation, printable};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the registry client; one variant a cause. Cheap to clone, since one blob's failure
/// is that of every image that needs it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry's name can't be made into an address.
    #[error("the registry {registry} has no usable address")]
    Address {
        /// The registry, as the reference names it.
        registry: String,
        /// What is wrong with it.
        source: Arc<transport::Cause>,
    },
    /// A configuration forbids the image, or names an endpoint for it that can't be used.
    #[error("{image} cannot be requested")]
    Forbidden {
        /// The image.
        image: String,
        /// Why.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The registry says that there is no such image.
    #[error("{image} does not exist{}{}", said(source), similar(near))]
    Absent {
        /// The image.
        image: String,
        /// Tags of the repository that are like the one that was asked for.
        near: Vec<String>,
        /// The registry's answer.
        source: Box<transport::Error>,
    },
    /// A mirror says that there is no such image, and the registry itself could not be asked.
    #[error(
        "{image} does not exist at the mirror {}{}; {} could not be asked: {}",
        source.host(), said(source), origin.host(), origin.text()
    )]
    AbsentAtMirror {
        /// The image.
        image: String,
        /// The mirror's answer.
        source: Box<transport::Error>,
        /// The failure of the registry itself.
        origin: Box<transport::Error>,
    },
    /// The registry has no such repository, and does not create it for a push.
    #[error(
        "the repository {repository} does not exist, and the registry does not create it{}",
        said(source)
    )]
    NoRepository {
        /// The repository.
        repository: String,
        /// The registry's answer.
        source: Box<transport::Error>,
    },
    /// What was fetched cannot be built on or run.
    #[error("{image} {reason}")]
    Unusable {
        /// The image.
        image: String,
        /// What it is instead.
        reason: String,
    },
    /// A request failed for good.
    #[error("cannot {action} {image}{}{}", said(source), noted(note.as_deref()))]
    Request {
        /// What was tried: `resolve`, `fetch`, `push`.
        action: &'static str,
        /// The image, or the part of it.
        image: String,
        /// What went wrong with stored credentials, where something did.
        note: Option<String>,
        /// The failure.
        source: Box<transport::Error>,
    },
    /// The image does not exist for a platform.
    #[error(
        "{image} does not exist for {wanted}; it exists for {}",
        list(available)
    )]
    MissingPlatform {
        /// The image.
        image: String,
        /// The platform that was asked for.
        wanted: Box<Platform>,
        /// The platforms that there are.
        available: Vec<Platform>,
    },
    /// A manifest, index or configuration breaks its specification.
    #[error("{image}: {digest}")]
    Document {
        /// The image that it belongs to.
        image: String,
        /// The document.
        digest: Digest,
        /// What is wrong with it.
        source: sealift_oci::Error,
    },
    /// A document says that it is larger than any honest one.
    #[error("{image}: {digest} is {size} bytes large; at most {limit} are accepted")]
    TooLarge {
        /// The image that it belongs to.
        image: String,
        /// The document.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Indexes are nested too deeply, or refer to too many documents.
    #[error("{image} consists of more than {limit} {what}")]
    Nesting {
        /// The image.
        image: String,
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Every endpoint delivered wrong bytes.
    #[error("{image}: wrong bytes arrived for {digest}, the last ones from {host}")]
    WrongBytes {
        /// The image.
        image: String,
        /// What was asked for.
        digest: Digest,
        /// Who delivered last.
        host: String,
    },
    /// What is missing of one image, or of all of them together, does not fit on the disk. Nothing was
    /// begun for it, or nothing more.
    #[error("no room for {} at {}: {needed} more bytes are needed, {available} are available", image.as_deref().unwrap_or("the images"), path.display())]
    NoRoom {
        /// The image that is too large by itself; nothing where all of them together are.
        image: Option<String>,
        /// The store.
        path: PathBuf,
        /// Bytes that are still to come.
        needed: u64,
        /// Bytes that the file system has.
        available: u64,
    },
    /// The store failed.
    #[error("the content store failed")]
    Store(#[source] Arc<sealift_content::Error>),
    /// A layer may only be had from addresses outside the registry, and none of them works.
    #[error("{image}: layer {digest} is kept outside the registry, and {reason}")]
    ForeignLayer {
        /// The image.
        image: String,
        /// The layer.
        digest: Digest,
        /// Why its addresses are of no use.
        reason: String,
    },
    /// An image can't be pushed because a part of it is not in the store.
    #[error("{image} can't be pushed: {digest} is not in the store")]
    Incomplete {
        /// Where it should have gone.
        image: String,
        /// What is missing.
        digest: Digest,
    },
    /// A pushed manifest reads back as something else, so no tag was set.
    #[error("{image}: the registry took {expected}, but does not give it back{}", given(actual.as_ref()))]
    ReadBack {
        /// The image.
        image: String,
        /// What was pushed.
        expected: Digest,
        /// What was read, if anything was.
        actual: Option<Digest>,
    },
    /// A tag may not be moved, and it has another digest.
    #[error("{image} can't be moved to {wanted}: the tag is immutable and stands for {actual}")]
    Immutable {
        /// The tag.
        image: String,
        /// What it should stand for.
        wanted: Digest,
        /// What it stands for.
        actual: Digest,
    },
    /// The work was given up because a part of it ended without a result.
    #[error("{image}: the work was interrupted")]
    Interrupted {
        /// The image.
        image: String,
    },
}

impl Error {
    /// Makes the error of a failed request; `note` is what was wrong with the stored credentials.
    pub(crate) fn of_request(
        action: &'static str,
        image: &str,
        note: Option<String>,
        source: transport::Error,
    ) -> Self {
        let (image, source) = (image.to_owned(), Box::new(source));
        let mut of_mirror = source.elsewhere().iter();
        let of_mirror = of_mirror.rfind(|error| error.class() == Class::Absent);
        match (source.class(), of_mirror) {
            (Class::Absent, _) => Self::Absent {
                image,
                near: Vec::new(),
                source,
            },
            (class, Some(mirror)) if action == "resolve" && class != Class::Auth => {
                Self::AbsentAtMirror {
                    image,
                    source: Box::new(mirror.clone()),
                    origin: source,
                }
            }
            (class, _) => Self::Request {
                action,
                image,
                note: note.filter(|_| class == Class::Auth),
                source,
            },
        }
    }

    /// What the failure is, by the catalogue.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Absent { source, .. }
            | Self::AbsentAtMirror { source, .. }
            | Self::NoRepository { source, .. }
            | Self::Request { source, .. } => source.class(),
            Self::MissingPlatform { .. } => Class::Absent,
            Self::WrongBytes { .. }
            | Self::Document { .. }
            | Self::TooLarge { .. }
            | Self::Nesting { .. }
            | Self::ReadBack { .. } => Class::Corrupt,
            Self::Store(source) => of_store(source),
            Self::NoRoom { .. } => Class::Disk,
            Self::Unusable { .. } => Class::Config,
            Self::ForeignLayer { .. } | Self::Incomplete { .. } => Class::Absent,
            Self::Address { .. } | Self::Forbidden { .. } | Self::Immutable { .. } => Class::Config,
            Self::Interrupted { .. } => Class::Network,
        }
    }

    /// What to tell the user, where there is something useful to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRepository { repository, .. } => {
                let path = repository.split_once('/').map_or("", |(_, path)| path);
                return Some(format!(
                    "Create the repository first, in the registry's own console or (ECR) by: aws ecr create-repository --repository-name {path}"
                ));
            }
            Self::Request { source, .. } if source.host() == "localhost" => {
                "localhost is taken for a registry at port 80 of this machine: name the registry's port, as in localhost:5000/NAME."
            }
            Self::AbsentAtMirror { .. } => {
                "Check the name and its tag. If they are right, the mirror does not have the image: name another one with --mirror, or make the registry itself reachable."
            }
            Self::Immutable { .. } => "Push under another tag, or allow the tag to be moved.",
            Self::Absent { source, .. } | Self::Request { source, .. } => source.hint()?,
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The failure of a request, where it is one.
    #[must_use]
    pub fn request(&self) -> Option<&transport::Error> {
        match self {
            Self::Absent { source, .. }
            | Self::AbsentAtMirror { source, .. }
            | Self::NoRepository { source, .. }
            | Self::Request { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What a failure of the store is: its disk's, or that of the content that came.
fn of_store(error: &sealift_content::Error) -> Class {
    match error {
        // The blob is there and right: whoever claims another size of it is wrong.
        sealift_content::Error::Size { .. }
        | sealift_content::Error::Overrun { .. }
        | sealift_content::Error::Mismatch { .. }
        | sealift_content::Error::Corrupt { .. } => Class::Corrupt,
        sealift_content::Error::DiskFull { .. }
        | sealift_content::Error::NoInodes { .. }
        | sealift_content::Error::Lost { .. } => Class::Disk,
        _ => Class::Local,
    }
}

impl From<sealift_content::Error> for Error {
    fn from(error: sealift_content::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// The registry's own words, where it had some.
fn said(error: &transport::Error) -> String {
    let explanation = error.body().map(|body| Explanation::parse(body.as_bytes()));
    match explanation.map(|explanation| explanation.to_string()) {
        Some(words) if !words.is_empty() => format!(": {words}"),
        _ => String::new(),
    }
}

fn noted(note: Option<&str>) -> String {
    note.map(|note| format!(" ({note})")).unwrap_or_default()
}

fn similar(near: &[String]) -> String {
    match near {
        [] => String::new(),
        tags => format!("; tags like it: {}", tags.join(", ")),
    }
}

fn list(platforms: &[Platform]) -> String {
    let names = platforms.iter().map(|one| printable(&one.to_string()));
    let mut names: Vec<String> = names.collect();
    names.dedup();
    if names.is_empty() {
        "no platform at all".to_owned()
    } else {
        names.join(", ")
    }
}

fn given(actual: Option<&Digest>) -> String {
    actual
        .map(|digest| format!(" but {digest}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_the_store_refutes_is_no_failure_of_the_disk() {
        let digest = Digest::sha256(b"blob");
        let claim = sealift_content::Error::Size {
            digest: digest.clone(),
            expected: 5,
            actual: 4,
        };
        assert_eq!(Error::from(claim).class(), Class::Corrupt);
        let lost = sealift_content::Error::Lost { digest };
        assert_eq!(Error::from(lost).class(), Class::Disk);
    }
}
