//! The variables of a stage, as far as they are known before its base image's configuration is.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::shell::{Lexer, Variables};

/// Variables by name; a value that is not known is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    values: BTreeMap<String, Option<String>>,
    /// Whether there may be more variables: the base is an image.
    open: bool,
    /// The bytes of all names and values.
    size: usize,
}

/// The most bytes that variables may have together. Linux gives a process no more by default, a
/// quarter of its stack's limit of 8 MiB.
pub(super) const SIZE_MAX: usize = 2 * 1024 * 1024;

/// A guess at the value of every variable that is not known, where there is one.
struct Guess<'a>(&'a Environment, Option<&'static str>);

impl Variables for Guess<'_> {
    fn get(&self, name: &str) -> Option<String> {
        match self.0.values.get(name) {
            Some(Some(value)) => Some(value.clone()),
            None if !self.0.open => None,
            _ => self.1.map(str::to_owned),
        }
    }
}

impl Environment {
    /// Returns what a stage starts with whose base is an image.
    pub(super) fn of_image() -> Self {
        Self {
            open: true,
            ..Self::default()
        }
    }

    /// Returns what a stage starts with whose base is scratch.
    pub(super) fn of_scratch() -> Self {
        Self {
            values: BTreeMap::from([("PATH".to_owned(), None)]),
            size: "PATH".len(),
            open: false,
        }
    }

    /// Sets a variable. Where its name is not known, any one may have been set.
    pub(super) fn set(&mut self, name: Option<String>, value: Option<String>) {
        match name {
            Some(name) => {
                let bytes = |value: &Option<String>| value.as_ref().map_or(0, String::len);
                self.size += name.len() + bytes(&value);
                let length = name.len();
                if let Some(old) = self.values.insert(name, value) {
                    self.size -= length + bytes(&old);
                }
            }
            None => {
                self.open = true;
                self.values.clear();
                self.size = 0;
            }
        }
    }

    /// Returns the bytes of all names and values.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Expands a text into one word; none where it depends on what is not known.
    ///
    /// # Errors
    /// Where the text cannot be expanded whatever the unknown variables are.
    pub(super) fn word(&self, lexer: Lexer, text: &str) -> Result<Option<String>> {
        Ok(self.expand(lexer, text)?.map(|(word, _)| word))
    }

    /// Expands a text and splits it into words.
    pub(super) fn words(&self, lexer: Lexer, text: &str) -> Result<Option<Vec<String>>> {
        Ok(self.expand(lexer, text)?.map(|(_, words)| words))
    }

    fn expand(&self, lexer: Lexer, text: &str) -> Result<Option<(String, Vec<String>)>> {
        match lexer.expand(text, &Guess(self, None)) {
            Ok(found) => {
                let known = found.unset.iter().all(|name| self.is_known(name));
                Ok(known.then_some((found.text, found.words)))
            }
            Err(error) => match lexer.expand(text, &Guess(self, Some("x"))) {
                Ok(_) => Ok(None),
                Err(_) => Err(error),
            },
        }
    }

    fn is_known(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(value) => value.is_some(),
            None => !self.open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;
    use crate::shell::Lexer;

    #[test]
    fn tells_what_is_known_from_what_is_not() {
        let mut environment = Environment::of_image();
        environment.set(Some("A".to_owned()), Some("a".to_owned()));
        environment.set(Some("U".to_owned()), None);
        let word = |text: &str| environment.word(Lexer::new('\\'), text).ok();
        assert_eq!(word("$A"), Some(Some("a".to_owned())));
        assert_eq!(word("$A$B"), Some(None));
        assert_eq!(word("${U:?must}"), Some(None));
        assert_eq!(word("${A:0:1}"), None);
        assert_eq!(word("${U:0:1}"), None);
        let mut environment = Environment::of_scratch();
        environment.set(Some("A".to_owned()), Some("a".to_owned()));
        let word = |text: &str| environment.word(Lexer::new('\\'), text).ok();
        assert_eq!(word("$A$B"), Some(Some("a".to_owned())));
        assert_eq!(word("$PATH"), Some(None));
        assert_eq!(word("${B:?must}"), None);
    }
}
