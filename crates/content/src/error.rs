//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use sealift_oci::{Digest, MediaType, Reference};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the store; one variant a cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The disk has no room; what the store holds is whole and is kept.
    #[error("no space left for {}: {needed} more bytes are needed, {available} are available", path.display())]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
        /// Bytes that were still to be written.
        needed: u64,
        /// Bytes that the file system has for us.
        available: u64,
    },
    /// The disk has room, but its file system cannot hold one more file.
    #[error("no inodes left for {}: the file system holds as many files as it can", path.display())]
    NoInodes {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// The blob is not in the store.
    #[error("blob {digest} is not in the store")]
    NotFound {
        /// The blob.
        digest: Digest,
    },
    /// What was ingested is not what the digest promises; the partial file was dropped.
    #[error("wrong content: expected {expected}, got {actual}")]
    Mismatch {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
        /// How many of the bytes were left by an earlier ingest: where this is not 0, whoever sent
        /// the rest may be innocent.
        resumed: u64,
    },
    /// The system failed to bring a blob's bytes to the disk and has given them up; the partial file
    /// was dropped.
    #[error("blob {digest} was lost on its way to the disk")]
    Lost {
        /// The blob.
        digest: Digest,
    },
    /// Two sizes are claimed for one blob.
    #[error("blob {digest} has {actual} bytes, not {expected}")]
    Size {
        /// The blob.
        digest: Digest,
        /// The size that was asked for.
        expected: u64,
        /// The size that it has.
        actual: u64,
    },
    /// A commit was asked for before every byte was written.
    #[error("blob {digest} is not complete: {missing} bytes are missing")]
    Incomplete {
        /// The blob.
        digest: Digest,
        /// Bytes that were not written, as far as that is known.
        missing: u64,
    },
    /// A write goes past the end of the blob.
    #[error("more content than blob {digest} has: byte {end} of {size}")]
    Overrun {
        /// The blob.
        digest: Digest,
        /// Where the write would have ended.
        end: u64,
        /// The size of the blob.
        size: u64,
    },
    /// A blob is larger than its reader accepts.
    #[error("blob {digest} is too large: {size} bytes, at most {limit} are accepted")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob in the store has not the content that its name promises.
    #[error("blob {digest} is corrupt on disk: its content has digest {actual}")]
    Corrupt {
        /// The blob.
        digest: Digest,
        /// The digest of what is there.
        actual: Digest,
    },
    /// An image can't be named because a part of it is not in the store.
    #[error("{reference} is not complete: blob {digest} is not in the store")]
    IncompleteImage {
        /// The name.
        reference: Reference,
        /// The first blob that is missing.
        digest: Digest,
    },
    /// A manifest or an index can't be read.
    #[error("blob {digest}")]
    Document {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        source: sealift_oci::Error,
    },
    /// Indexes are nested too deeply, or refer to too many blobs.
    #[error("{digest} refers to more than {limit} {what}")]
    Nesting {
        /// The document at which the limit was passed.
        digest: Digest,
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The folder is no OCI image layout, or its index can't be read.
    #[error("{}: {reason}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another command is using the store, so nothing may be removed from it.
    #[error("the store {} is in use by another command", root.display())]
    InUse {
        /// The store.
        root: PathBuf,
    },
    /// A Docker archive holds exactly one image; this is something else.
    #[error("{digest} is not an image for one platform but {media_type}")]
    NotAnImage {
        /// The content.
        digest: Digest,
        /// Its media type.
        media_type: MediaType,
    },
    /// Whoever takes an archive takes no more of it.
    #[error("cannot write the archive")]
    Stream {
        /// The other side's answer.
        source: io::Error,
    },
}

impl Error {
    /// Makes a function that wraps what the system says of one action on one path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
