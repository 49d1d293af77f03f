//! What can be wrong with a Dockerfile, and where.

mod cause;

use std::fmt;

pub use cause::Cause;

use crate::source::{Excerpt, Span};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    cause: Box<Cause>,
    span: Option<Span>,
}

impl Error {
    /// Returns what is wrong.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Returns the lines at fault; none where it is the file or the request as a whole.
    #[must_use]
    pub const fn span(&self) -> Option<Span> {
        self.span
    }

    /// Returns the first line at fault.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.span.map(|span| span.start)
    }

    /// Cuts the lines at fault out of the Dockerfile's text, with `around` lines on both sides.
    #[must_use]
    pub fn excerpt(&self, text: &str, around: usize) -> Option<Excerpt> {
        let span = self.span?;
        let excerpt = Excerpt::new(text, span, around, self.cause.needle());
        Some(excerpt).filter(|excerpt| !excerpt.lines.is_empty())
    }

    /// Gives the error a place, where it has none yet.
    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Says how the text at fault was written, before its variables were expanded.
    pub(crate) fn written_as(mut self, source: &str) -> Self {
        if let Cause::Reference { written, .. } | Cause::Platform { written, .. } =
            self.cause.as_mut()
        {
            source.clone_into(written);
        }
        self
    }

    /// Names the variables without a value that the text at fault was made with.
    pub(crate) fn with_unset(mut self, names: &str) -> Self {
        if let Cause::Reference { unset, .. } = self.cause.as_mut() {
            names.clone_into(unset);
        }
        self
    }

    /// Puts another cause in the error's place.
    pub(crate) fn replaced(self, cause: Cause) -> Self {
        Self {
            cause: Box::new(cause),
            span: self.span,
        }
    }

    /// Gives the error another place.
    pub(crate) fn moved_to(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self {
            cause: Box::new(cause),
            span: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span {
            Some(span) => write!(f, "{span}: {}", self.cause),
            None => self.cause.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_ref())
    }
}
