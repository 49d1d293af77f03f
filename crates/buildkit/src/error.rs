//! What can go wrong with a daemon, its solves and what they need of us.

use std::io;
use std::path::PathBuf;

use crate::failure::Failure;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an address.
    #[error("{text:?} is not an address of a buildkitd: {reason}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection could be made.
    #[error("cannot reach buildkitd at {address}: {reason}")]
    Connect {
        /// The address.
        address: String,
        /// What the connection's layers said.
        reason: String,
        /// What to look at first.
        hint: Option<&'static str>,
    },
    /// A certificate or key cannot be used.
    #[error("cannot read {path} for the connection to buildkitd")]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A call other than a solve failed.
    #[error("buildkitd refused {call}: {message}")]
    Call {
        /// What was asked.
        call: &'static str,
        /// The gRPC code, in words.
        code: &'static str,
        /// The daemon's text.
        message: String,
    },
    /// The solve failed.
    #[error(transparent)]
    Failed(Box<Failure>),
    /// The solve was cancelled by us.
    #[error("the build was cancelled")]
    Canceled,
    /// The daemon or the connection to it went away; a solve may be tried again.
    #[error("the connection to buildkitd was lost: {message}")]
    Lost {
        /// What the connection's layers said.
        message: String,
    },
    /// A folder or file that the solve reads cannot be read.
    #[error("cannot read {path} of the build context")]
    Source {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the solve's result cannot be written.
    #[error("cannot write {path} of the build's result")]
    Output {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon sent a result with a path that would leave its folder or is malformed.
    #[error("buildkitd sent {path:?} for the build's result, which is refused: {reason}")]
    UnsafePath {
        /// What was sent.
        path: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// The content store failed while the solve used it.
    #[error("the content store failed during the build")]
    Store(#[from] sealift_content::Error),
    /// A secret is larger than BuildKit takes.
    #[error("secret {id:?} has {size} bytes; BuildKit takes at most {limit}")]
    SecretTooLarge {
        /// Its name.
        id: String,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Solves that are to share a session offer different things under one name.
    #[error("builds that share a session offer different things as {what} {name:?}")]
    Conflict {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What is given as an ssh agent is not a socket.
    #[error(
        "{path} is not the socket of an ssh agent (for {id:?}): start ssh-agent and add the key to it"
    )]
    SshAgent {
        /// The name that `RUN --mount=type=ssh` asks for.
        id: String,
        /// What was given.
        path: PathBuf,
        /// Why it cannot be used.
        source: Option<io::Error>,
    },
    /// The daemon's answer lacks something, or cannot be read.
    #[error("buildkitd answered {call} wrongly: {reason}")]
    Answer {
        /// What was asked.
        call: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl Error {
    /// Returns the failure of the solve, where it is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Returns whether the same solve may succeed when it is tried again: the engine or the way to
    /// it failed, not the build.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lost { .. } => true,
            Self::Failed(failure) => failure.is_transient(),
            // What an earlier run had left of the blob was wrong, and is gone now.
            Self::Store(sealift_content::Error::Mismatch { resumed, .. }) => *resumed > 0,
            _ => false,
        }
    }

    /// Makes an error of what a call other than a solve answered.
    pub(crate) fn of_call(call: &'static str, status: &tonic::Status) -> Self {
        if crate::failure::is_lost(status) {
            return Self::Lost {
                message: crate::failure::whole_text(status),
            };
        }
        Self::Call {
            call,
            code: status.code().description(),
            message: status.message().to_owned(),
        }
    }
}
