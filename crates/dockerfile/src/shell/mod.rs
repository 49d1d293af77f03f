//! Expansion of `$x` and `${x…}` and the splitting of words, by the rules of BuildKit's lexer.

mod pattern;
mod reader;

use std::collections::BTreeSet;

use crate::error::{Cause, Error, Result};
use reader::{Escapes, Reader};

/// By how many bytes an expansion may be longer than its text. No process could be given a longer
/// value (Linux's MAX_ARG_STRLEN).
const GROWTH_MAX: usize = 128 * 1024;

/// Where variables come from.
pub(crate) trait Variables {
    /// Returns a variable's value, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// No variables at all.
pub(crate) struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexer {
    /// The escape character of the file.
    pub(crate) escape: char,
    /// Keep quotes in the result.
    pub(crate) raw_quotes: bool,
    /// Keep escape characters in the result.
    pub(crate) raw_escapes: bool,
    /// Take quotes for ordinary characters.
    pub(crate) ignore_quotes: bool,
    /// Leave variables that are not set as they are.
    pub(crate) skip_unset: bool,
}

/// A text with its variables put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expansion {
    /// The text as one word.
    pub(crate) text: String,
    /// The text split at blanks outside of quotes.
    pub(crate) words: Vec<String>,
    /// The variables that were asked for and are not set.
    pub(crate) unset: BTreeSet<String>,
}

impl Lexer {
    pub(crate) const fn new(escape: char) -> Self {
        Self {
            escape,
            raw_quotes: false,
            raw_escapes: false,
            ignore_quotes: false,
            skip_unset: false,
        }
    }

    /// Expands a text.
    pub(crate) fn expand(&self, text: &str, variables: &dyn Variables) -> Result<Expansion> {
        // A byte order mark in front is no character for Go's scanner.
        let source = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::new(*self, source, variables);
        let escapes = if self.raw_escapes {
            Escapes::Kept
        } else {
            Escapes::Resolved
        };
        match reader.until(None, escapes) {
            Ok((result, words)) => Ok(Expansion {
                text: result,
                words,
                unset: reader.unset,
            }),
            Err(reason) => Err(Error::from(Cause::Expansion {
                word: text.to_owned(),
                reason,
            })),
        }
    }
}

#[cfg(test)]
mod tests;
