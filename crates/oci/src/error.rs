//! What can be wrong with the names and documents of the image specification.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A name or document that breaks the image or distribution specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no `algorithm:hex` digest of a registered algorithm.
    #[error("invalid digest {text:?}: {reason}")]
    Digest {
        /// The text given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text is no image reference.
    #[error("invalid image reference {text:?}: {reason}")]
    Reference {
        /// The text given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text is no `os/architecture[/variant]` platform.
    #[error("invalid platform {text:?}: {reason}")]
    Platform {
        /// The text given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A JSON document does not have the form that its media type promises.
    #[error("not a valid {what}: {reason}")]
    Document {
        /// The kind of document, such as `image index`.
        what: &'static str,
        /// The parser's words, or the rule that is broken.
        reason: String,
    },
}
