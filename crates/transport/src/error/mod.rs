//! What went wrong with a request: the cause, typed, and what was known when it was given up.

mod cause;

pub use cause::{Cause, Stage};

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::term::Spent;
use sealift_failure::{Class, Phase, Remedy, Verdict};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A request that failed for good: its cause, with all that the failure log needs.
///
/// It is cheap to clone, so that all who wait for one request can be told.
#[derive(Clone)]
pub struct Error {
    cause: Arc<Cause>,
    verdict: Verdict,
    phase: Phase,
    host: Arc<str>,
    label: Arc<str>,
    attempts: u32,
    spent: Option<Box<Spent>>,
    /// Whether it came at once although the link works: nothing says that a delay would help.
    at_once: bool,
    elsewhere: Arc<[Error]>,
}

impl Error {
    /// Makes an error of a cause, judged by the catalogue.
    #[must_use]
    pub fn new(cause: Cause, phase: Phase, host: &str, label: &str) -> Self {
        let verdict = cause.verdict(phase);
        Self {
            cause: Arc::new(cause),
            verdict,
            phase,
            host: Arc::from(host),
            label: Arc::from(label),
            attempts: 1,
            spent: None,
            at_once: false,
            elsewhere: Arc::default(),
        }
    }

    /// Sets the number of attempts made in all, and makes what stayed over many tries a matter of
    /// configuration.
    pub(crate) fn given_up(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        if self.verdict.remedy == Remedy::Few && self.verdict.remedy.tries() <= Some(attempts) {
            self.verdict.class = Class::Config;
        }
        self
    }

    /// Says that a budget is why it was not repeated, where that is so.
    pub(crate) fn over(mut self, spent: Option<Spent>) -> Self {
        self.spent = spent.map(Box::new);
        self
    }

    /// Says whether it came at once on a link that works.
    pub(crate) fn at_once(mut self, at_once: bool) -> Self {
        self.at_once = at_once;
        self
    }

    pub(crate) fn is_at_once(&self) -> bool {
        self.at_once
    }

    /// Says what the other endpoints answered last.
    pub(crate) fn beside(mut self, elsewhere: impl IntoIterator<Item = Self>) -> Self {
        self.elsewhere = elsewhere.into_iter().collect();
        self
    }

    /// What the other endpoints of the request answered last, in their order: mirrors that failed
    /// before the one whose failure this is.
    #[must_use]
    pub fn elsewhere(&self) -> &[Self] {
        &self.elsewhere
    }

    /// The budget that is used up, where that is why it was not repeated.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        self.spent.as_deref().copied()
    }

    /// What went wrong.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What the failure is.
    #[must_use]
    pub fn class(&self) -> Class {
        self.verdict.class
    }

    /// What the catalogue says about it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What to tell the user, where there is something useful to say.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.verdict.hint
    }

    /// The part of the work that the request belonged to.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The host that was asked last, with its port where it is not the scheme's own.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the request was for: an image, as a rule.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How many attempts were made, over all endpoints.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The last response's status, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.cause.status().map(|status| status.as_u16())
    }

    /// The failed response's body, as far as it was kept (64 KiB).
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match &*self.cause {
            Cause::Status { body, .. } => Some(body),
            _ => None,
        }
    }

    /// Whether a range response did not fit its request.
    pub(crate) fn is_wrong_range(&self) -> bool {
        matches!(*self.cause, Cause::WrongRange { .. })
    }

    /// The cause and its sources as one line.
    #[must_use]
    pub fn text(&self) -> String {
        chain(&*self.cause)
    }
}

/// Joins an error and its sources, leaving out what an outer one already says.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let part = inner.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = inner.source();
    }
    text
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("phase", &self.phase)
            .field("label", &self.label)
            .field("host", &self.host)
            .field("class", &self.verdict.class)
            .field("attempts", &self.attempts)
            .field("cause", &self.cause)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.host, self.phase)?;
        if self.attempts > 1 {
            write!(f, ", {} attempts", self.attempts)?;
        }
        f.write_str(")")?;
        match &self.spent {
            Some(spent) => write!(f, ": {spent}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

/// A URL without user information and query, fit for errors and logs: signed URLs carry secrets in
/// their query.
pub(crate) fn masked(url: &Url) -> String {
    let mut text = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        text.push_str(&format!(":{port}"));
    }
    text.push_str(url.path());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_urls_keep_no_secret() {
        let url = Url::parse("https://u:pw@cdn.example/x?signature=abc").unwrap();
        assert_eq!(masked(&url), "https://cdn.example/x");
    }
}
