//! What people are told about images and layers; requests and retries are told by the transport.

use sealift_oci::{Digest, Platform};

/// Receives every event of pulls and pushes.
///
/// It is called from the tasks that move bytes, so it must return fast and never fail.
pub trait Watcher: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// A watcher that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Watcher for Silent {
    fn event(&self, _event: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync> Watcher for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// Something happened to an image or a blob.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// It is known what an image consists of.
    Resolved {
        /// The image.
        image: String,
        /// Digest of its index, or of its manifest where it has no index.
        digest: Digest,
        /// The platforms that are wanted of it.
        platforms: Vec<Platform>,
        /// Bytes of its blobs that are not in the store.
        missing: u64,
    },
    /// A blob's transfer begins.
    BlobStarted {
        /// The image that wants it first.
        image: String,
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Bytes that an earlier run left.
        resumed: u64,
    },
    /// A blob has grown.
    BlobProgress {
        /// The blob.
        digest: Digest,
        /// Bytes that are there.
        done: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob is in its place, verified.
    BlobDone {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Whether it was there before: nothing was moved.
        cached: bool,
    },
    /// Wrong bytes arrived for a blob; it is fetched again.
    BlobMismatch {
        /// The blob.
        digest: Digest,
        /// The hosts that the bytes came from.
        hosts: Vec<String>,
    },
    /// All of an image is in its place.
    ImageDone {
        /// The image.
        image: String,
        /// Whether all of it was there before.
        cached: bool,
    },
    /// An image was given up.
    ImageFailed {
        /// The image.
        image: String,
        /// Why.
        text: String,
    },
    /// A tag stands for what was pushed.
    Tagged {
        /// The tag's full reference.
        image: String,
        /// What it stands for.
        digest: Digest,
    },
}
