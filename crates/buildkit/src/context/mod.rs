//! The files of a build context: which of them the daemon gets, and the description of each.
//!
//! The rules are those of moby's `patternmatcher` and of `fsutil`, so that a `.dockerignore`
//! means the same as under `docker build`.

mod follow;
mod glob;
mod path;
mod pattern;
mod stat;
mod walk;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use pattern::BadPattern;
pub(crate) use stat::{is_regular, is_symlink};
pub(crate) use walk::{has_gone, walk};

use pattern::Matcher;

/// What the daemon asks for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Only paths that match one of these; all where there are none.
    pub(crate) include: Vec<String>,
    /// No paths that match these.
    pub(crate) exclude: Vec<String>,
    /// Paths that are wanted with all that they link to.
    pub(crate) follow: Option<Vec<String>>,
}

/// A folder and the part of it that is wanted.
#[derive(Debug)]
pub(crate) struct Selection {
    root: PathBuf,
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

/// The length of a path, in bytes, from which an error shows only its start.
const LONG: usize = 1000;

/// Why a context cannot be walked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// A pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// A folder or file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The receiver has gone.
    #[error("the receiver has gone")]
    Gone,
}

impl Trouble {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let mut path = path.to_owned();
        if path.as_os_str().len() > LONG {
            let (depth, text) = (path.components().count(), path.to_string_lossy());
            let start: String = text.chars().take(LONG / 10).collect();
            path = format!("{start}… ({depth} folders deep)").into();
        }
        move |source| Self::Io { path, source }
    }
}

impl Selection {
    /// Resolves what is wanted of a folder: the followed paths become patterns.
    pub(crate) fn new(root: &Path, wanted: Wanted) -> Result<Self, Trouble> {
        let mut include = wanted.include;
        if let Some(paths) = wanted.follow {
            // None where the root itself is among them: then everything is wanted.
            if let Some(targets) = follow::resolve(root, &paths)? {
                include.extend(targets);
                include = follow::dedupe(include).unwrap_or_default();
            }
        }
        let matcher = |patterns: Vec<String>| -> Result<Option<Matcher>, Trouble> {
            if patterns.is_empty() {
                return Ok(None);
            }
            Ok(Some(Matcher::new(&patterns)?))
        };
        Ok(Self {
            root: root.to_owned(),
            include: matcher(include)?,
            exclude: matcher(wanted.exclude)?,
        })
    }
}

#[cfg(test)]
mod tests;
