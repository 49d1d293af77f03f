//! Reads documents strictly and keeps what goes wrong: mistakes, files that cannot be read, things
//! left aside.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::node::{Entry, Node, SyntaxError, Value};
use crate::place::{Place, Sourced};
use crate::problem::{Conflict, Ignored, Problem};
use crate::suggestion::nearest;

/// Where texts come from: the machine's files, or planted ones.
pub trait Files: fmt::Debug {
    /// Returns where an absolute path of the machine really is.
    fn locate(&self, path: &Path) -> PathBuf;

    /// Reads a whole file. One that somebody `named` may be a pipe.
    ///
    /// # Errors
    /// What the system says, or why the file is refused.
    fn read(&self, path: &Path, named: bool) -> io::Result<Vec<u8>>;

    /// Lists a folder.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
}

/// A grammar of documents: [`json::parse`](crate::json::parse), [`toml::parse`](crate::toml::parse).
pub type Grammar = fn(&Path, &str) -> Result<Node, SyntaxError>;

/// Reads files and values, and collects what is wrong with them.
#[derive(Debug)]
pub struct Reader<'a> {
    source: &'a dyn Files,
    /// Mistakes.
    pub problems: Vec<Problem>,
    /// What was left aside.
    pub ignored: Vec<Ignored>,
    /// Values that contradict each other within one source.
    pub conflicts: Vec<Conflict>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    /// Reads from these files.
    #[must_use]
    pub const fn new(source: &'a dyn Files) -> Self {
        Self {
            source,
            problems: Vec::new(),
            ignored: Vec::new(),
            conflicts: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Returns where an absolute path of the machine really is.
    #[must_use]
    pub fn locate(&self, path: &Path) -> PathBuf {
        self.source.locate(path)
    }

    /// Returns a path that a value names: a relative one is meant beside the value's own file.
    #[must_use]
    pub fn beside(&self, name: &Sourced<String>) -> PathBuf {
        let path = Path::new(&name.value);
        match name.from.path().and_then(Path::parent) {
            Some(folder) if path.is_relative() => folder.join(path),
            _ => self.locate(path),
        }
    }

    /// Notes a mistake.
    pub fn problem(&mut self, at: Place, reason: impl Into<String>) {
        let reason = reason.into();
        self.problems.push(Problem { at, reason });
    }

    /// Notes something that does not take effect and need not worry anybody.
    pub fn ignore(&mut self, what: impl Into<String>, why: impl Into<String>, at: Place) {
        self.leave_out(what.into(), why.into(), at, false);
    }

    /// Notes something that does not take effect and that people should know of.
    pub fn warn(&mut self, what: impl Into<String>, why: impl Into<String>, at: Place) {
        self.leave_out(what.into(), why.into(), at, true);
    }

    fn leave_out(&mut self, what: String, why: String, at: Place, warning: bool) {
        self.ignored.push(Ignored {
            what,
            why,
            at,
            warning,
        });
    }

    /// Notes a key that a table does not have as a mistake, with the keys that it has.
    pub fn unknown(&mut self, table: &str, entry: &Entry, known: &[&str]) {
        let key = &entry.key;
        let reason = match (nearest(key, known), known.split_last()) {
            (Some(near), _) => format!("{table} has no key {key}; did you mean {near}?"),
            (None, Some((last, others))) => {
                let others = others.join(", ");
                format!("{table} has no key {key}; it has {others} and {last}")
            }
            (None, None) => format!("{table} has no key {key}"),
        };
        self.problem(entry.at.clone(), reason);
    }

    /// Warns of a key that a format of others does not have: their programs may know what we do not.
    pub fn foreign(&mut self, format: &str, entry: &Entry, known: &[&str]) {
        let why = match nearest(&entry.key, known) {
            Some(near) => format!("{format} has no such key; did you mean {near}?"),
            None => format!("{format} has no such key"),
        };
        self.warn(&entry.key, why, entry.at.clone());
    }

    /// Reads a file of text that may be absent. One that cannot be read is noted.
    pub fn text(&mut self, path: &Path) -> Option<(PathBuf, String)> {
        let path = self.locate(path);
        match self.source.read(&path, false).and_then(utf8) {
            Ok(text) => {
                self.files.push(path.clone());
                Some((path, text))
            }
            Err(error) if absent(&error) => None,
            Err(error) => {
                let why = format!("it cannot be read: {error}");
                self.warn("the file", why, Place::file(&path));
                None
            }
        }
    }

    /// Reads a file that somebody named: where it cannot be read, that is a mistake at `named`.
    pub fn named_text(&mut self, path: &Path, named: &Place) -> Option<(PathBuf, String)> {
        let path = self.locate(path);
        match self.source.read(&path, true).and_then(utf8) {
            Ok(text) => {
                self.files.push(path.clone());
                Some((path, text))
            }
            Err(error) => {
                let reason = format!("cannot read {}: {error}", path.display());
                self.problem(named.clone(), reason);
                None
            }
        }
    }

    /// Reads a file that a configuration names; where it cannot be read, that is noted.
    pub fn bytes(&mut self, path: &Path, named: &Place) -> Option<Vec<u8>> {
        let read = self.source.read(path, false);
        let failed = |error| {
            let why = format!("it cannot be read: {error}");
            self.warn(path.display().to_string(), why, named.clone());
        };
        read.map_err(failed).ok()
    }

    /// Parses what [`Self::text`] or [`Self::named_text`] found. An empty file is an empty table:
    /// Docker makes its files empty before it first writes them.
    pub fn parse(&mut self, found: Option<(PathBuf, String)>, grammar: Grammar) -> Option<Node> {
        let (path, text) = found?;
        if text.trim().is_empty() {
            return Some(Node {
                value: Value::Table(Vec::new()),
                at: Place::file(&path),
            });
        }
        match grammar(&path, &text) {
            Ok(node) if matches!(node.value, Value::Table(_)) => return Some(node),
            Ok(node) => {
                let reason = format!("expected a table, found {}", node.kind());
                self.problem(node.at, reason);
            }
            Err(error) => self.problem(error.at, error.reason),
        }
        None
    }

    /// Lists a folder in byte order of the names. One that is absent is empty; one that cannot be
    /// read is noted.
    pub fn folder(&mut self, path: &Path) -> Vec<PathBuf> {
        let path = self.locate(path);
        match self.source.list(&path) {
            Ok(mut entries) => {
                entries.sort();
                entries
            }
            Err(error) if absent(&error) => Vec::new(),
            Err(error) => {
                let why = format!("it cannot be read: {error}");
                self.warn("the folder", why, Place::file(&path));
                Vec::new()
            }
        }
    }

    /// Lists a folder as [`Self::folder`], each path with its last part as text.
    pub fn entries(&mut self, path: &Path) -> Vec<(String, PathBuf)> {
        let paths = self.folder(path).into_iter();
        let named = paths.filter_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some((name, path))
        });
        named.collect()
    }

    /// Returns the string of an entry, noting a mistake where it is none.
    pub fn string(&mut self, entry: &Entry) -> Option<Sourced<String>> {
        match &entry.value.value {
            Value::Text(text) => Some(Sourced::new(text.clone(), entry.value.at.clone())),
            _ => self.mismatch(entry, "a string"),
        }
    }

    /// Returns the boolean of an entry, noting a mistake where it is none.
    pub fn boolean(&mut self, entry: &Entry) -> Option<Sourced<bool>> {
        match entry.value.value {
            Value::Boolean(flag) => Some(Sourced::new(flag, entry.value.at.clone())),
            _ => self.mismatch(entry, "true or false"),
        }
    }

    /// Returns the strings of a list, noting a mistake for everything else. `null` is empty.
    pub fn strings(&mut self, entry: &Entry) -> Vec<Sourced<String>> {
        let mut texts = Vec::new();
        for item in self.list(entry, "a list of strings") {
            if let Value::Text(text) = &item.value {
                texts.push(Sourced::new(text.clone(), item.at.clone()));
            } else {
                let reason = format!("{}: expected a string, found {}", entry.key, item.kind());
                self.problem(item.at.clone(), reason);
            }
        }
        texts
    }

    /// Returns the strings of a list, or the one string that stands in its place.
    pub fn string_or_strings(&mut self, entry: &Entry) -> Vec<Sourced<String>> {
        match entry.value.value {
            Value::Text(_) => self.string(entry).into_iter().collect(),
            _ => self.strings(entry),
        }
    }

    /// Returns the items of a list, noting a mistake where it is none. `null` is empty.
    pub fn list<'e>(&mut self, entry: &'e Entry, expected: &str) -> &'e [Node] {
        match &entry.value.value {
            Value::List(items) => return items,
            Value::Null => {}
            _ => {
                let _: Option<()> = self.mismatch(entry, expected);
            }
        }
        &[]
    }

    /// Returns the entries of a table, noting a mistake where it is none. `null` is empty.
    pub fn table<'e>(&mut self, entry: &'e Entry) -> &'e [Entry] {
        match &entry.value.value {
            Value::Table(entries) => return entries,
            Value::Null => {}
            _ => {
                let _: Option<()> = self.mismatch(entry, "a table");
            }
        }
        &[]
    }

    fn mismatch<T>(&mut self, entry: &Entry, expected: &str) -> Option<T> {
        let (key, kind) = (&entry.key, entry.value.kind());
        let reason = format!("{key}: expected {expected}, found {kind}");
        self.problem(entry.value.at.clone(), reason);
        None
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(bytes).map_err(invalid)
}
