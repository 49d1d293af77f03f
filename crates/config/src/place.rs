//! Where a value of the configuration was found, so that every table, comment and warning can name
//! it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The place of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A file, with the line where it is known (the first is 1).
    File {
        /// The file.
        path: Arc<Path>,
        /// The line.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Variable(String),
    /// An option of the command line, as the user wrote its name: `--mirror`.
    Flag(String),
    /// A rule of sealift or of Docker that needs no configuration.
    Rule(String),
}

impl Place {
    /// Names a line of a file.
    #[must_use]
    pub fn line(path: &Path, line: usize) -> Self {
        Self::File {
            path: path.into(),
            line: Some(line),
        }
    }

    /// Names a whole file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self::File {
            path: path.into(),
            line: None,
        }
    }

    /// Names a variable.
    #[must_use]
    pub fn variable(name: &str) -> Self {
        Self::Variable(name.to_owned())
    }

    /// Returns the file that the value stands in.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "option {name}"),
            Self::Rule(text) => f.write_str(text),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value together with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was found.
    pub from: Place,
}

impl<T> Sourced<T> {
    /// Joins a value with its place.
    pub const fn new(value: T, from: Place) -> Self {
        Self { value, from }
    }

    /// Replaces the value and keeps the place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced {
            value: change(self.value),
            from: self.from,
        }
    }
}
