//! Reads configuration files and keeps what goes wrong: mistakes, files that cannot be read, things
//! left aside. All paths are taken below one root, so that tests can plant a whole machine.

use std::io;
use std::path::{Path, PathBuf};

use super::document::{Entry, Node, SyntaxError, Value};
use super::error::{Conflict, Ignored, Problem};
use super::host::Host;
use super::provenance::{Place, Sourced};
use super::proxy::ProxyUrl;

/// Larger files are no configuration.
const LIMIT: u64 = 4 << 20;

/// A parsed file.
#[derive(Debug)]
pub struct Document {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub node: Node,
}

impl Document {
    /// Names a line of it.
    #[must_use]
    pub fn at(&self, line: usize) -> Place {
        Place::line(&self.path, line)
    }
}

/// Reads files below a root and collects what is wrong with them.
#[derive(Debug)]
pub struct Reader {
    root: PathBuf,
    /// Mistakes.
    pub problems: Vec<Problem>,
    /// What was left aside.
    pub ignored: Vec<Ignored>,
    /// Values that contradict each other within one source.
    pub conflicts: Vec<Conflict>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

impl Reader {
    /// Reads below `root`, `/` on a real machine.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self {
            root,
            problems: Vec::new(),
            ignored: Vec::new(),
            conflicts: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Returns where an absolute path of the machine really is.
    #[must_use]
    pub fn locate(&self, path: &Path) -> PathBuf {
        if path.starts_with(&self.root) {
            return path.to_owned();
        }
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns a path that a document names: a relative one is meant beside the document.
    #[must_use]
    pub fn beside(&self, document: &Document, path: &str) -> PathBuf {
        let folder = document.path.parent().unwrap_or(Path::new("/"));
        if Path::new(path).is_absolute() {
            self.locate(Path::new(path))
        } else {
            folder.join(path)
        }
    }

    /// Notes a mistake.
    pub fn problem(&mut self, at: Place, reason: impl Into<String>) {
        self.problems.push(Problem {
            at,
            reason: reason.into(),
        });
    }

    /// Notes something that does not take effect and need not worry anybody.
    pub fn ignore(&mut self, what: impl Into<String>, why: impl Into<String>, at: Place) {
        self.ignored.push(Ignored {
            what: what.into(),
            why: why.into(),
            at,
            warning: false,
        });
    }

    /// Notes something that does not take effect and that people should know of.
    pub fn warn(&mut self, what: impl Into<String>, why: impl Into<String>, at: Place) {
        self.ignored.push(Ignored {
            what: what.into(),
            why: why.into(),
            at,
            warning: true,
        });
    }

    /// Reads a file of text that may be absent. One that cannot be read is noted.
    pub fn text(&mut self, path: &Path) -> Option<(PathBuf, String)> {
        let path = self.locate(path);
        match read(&path) {
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
        match read(&path) {
            Ok(text) => {
                self.files.push(path.clone());
                Some((path, text))
            }
            Err(error) => {
                self.problem(
                    named.clone(),
                    format!("cannot read {}: {error}", path.display()),
                );
                None
            }
        }
    }

    /// Parses what [`Self::text`] or [`Self::named_text`] found.
    pub fn parse(
        &mut self,
        found: Option<(PathBuf, String)>,
        grammar: fn(&str) -> Result<Node, SyntaxError>,
    ) -> Option<Document> {
        let (path, text) = found?;
        if text.trim().is_empty() {
            // Docker makes its files empty before it first writes them.
            return Some(Document {
                path,
                node: Node {
                    value: Value::Table(Vec::new()),
                    line: 1,
                },
            });
        }
        match grammar(&text) {
            Ok(node) if matches!(node.value, Value::Table(_)) => Some(Document { path, node }),
            Ok(node) => {
                let reason = format!("expected a table, found {}", node.kind());
                self.problem(Place::line(&path, node.line), reason);
                None
            }
            Err(error) => {
                self.problem(Place::line(&path, error.line), error.reason);
                None
            }
        }
    }

    /// Lists a folder in byte order of the names. One that is absent is empty; one that cannot be
    /// read is noted.
    pub fn folder(&mut self, path: &Path) -> Vec<PathBuf> {
        let path = self.locate(path);
        let entries = std::fs::read_dir(&path).and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<_>>>()
        });
        match entries {
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

    /// Tells whether a file that a configuration names can be read; if not, that is noted.
    pub fn readable(&mut self, path: &Path, named: &Place) -> bool {
        match std::fs::File::open(path) {
            Ok(_) => true,
            Err(error) => {
                let what = path.display().to_string();
                self.warn(what, format!("it cannot be read: {error}"), named.clone());
                false
            }
        }
    }

    /// Returns the string of an entry, noting a mistake where it is none.
    pub fn string(&mut self, document: &Document, entry: &Entry) -> Option<Sourced<String>> {
        match &entry.value.value {
            Value::Text(text) => Some(Sourced::new(text.clone(), document.at(entry.value.line))),
            _ => self.mismatch(document, entry, "a string"),
        }
    }

    /// Returns the boolean of an entry, noting a mistake where it is none.
    pub fn boolean(&mut self, document: &Document, entry: &Entry) -> Option<Sourced<bool>> {
        match entry.value.value {
            Value::Boolean(flag) => Some(Sourced::new(flag, document.at(entry.value.line))),
            _ => self.mismatch(document, entry, "true or false"),
        }
    }

    /// Returns the strings of a list, noting a mistake for everything else. `null` is empty.
    pub fn strings(&mut self, document: &Document, entry: &Entry) -> Vec<Sourced<String>> {
        let items = match &entry.value.value {
            Value::List(items) => items,
            Value::Null => return Vec::new(),
            _ => {
                let _: Option<()> = self.mismatch(document, entry, "a list of strings");
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for item in items {
            if let Value::Text(text) = &item.value {
                texts.push(Sourced::new(text.clone(), document.at(item.line)));
            } else {
                let reason = format!("{}: expected a string, found {}", entry.key, item.kind());
                self.problem(document.at(item.line), reason);
            }
        }
        texts
    }

    /// Returns the entries of a table, noting a mistake where it is none. `null` is empty.
    pub fn table<'a>(&mut self, document: &Document, entry: &'a Entry) -> &'a [Entry] {
        match &entry.value.value {
            Value::Table(entries) => entries,
            Value::Null => &[],
            _ => {
                let _: Option<()> = self.mismatch(document, entry, "a table");
                &[]
            }
        }
    }

    fn mismatch<T>(&mut self, document: &Document, entry: &Entry, wanted: &str) -> Option<T> {
        let reason = format!(
            "{}: expected {wanted}, found {}",
            entry.key,
            entry.value.kind()
        );
        self.problem(document.at(entry.value.line), reason);
        None
    }

    /// Parses a proxy's address. Empty means none.
    pub fn proxy(&mut self, name: &str, text: Sourced<String>) -> Option<Sourced<ProxyUrl>> {
        if text.value.trim().is_empty() {
            return None;
        }
        match ProxyUrl::parse(&text.value) {
            Ok(proxy) => Some(Sourced::new(proxy, text.from)),
            Err(error) => {
                self.problem(text.from, format!("{name}: {error}"));
                None
            }
        }
    }

    /// Parses a host.
    pub fn host(&mut self, name: &str, text: &Sourced<String>) -> Option<Host> {
        let host = Host::parse(&text.value);
        if host.is_none() {
            let reason = format!("{name}: expected a host such as registry.example.com:5000");
            self.problem(text.from.clone(), reason);
        }
        host
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder",
        ));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 4 MiB",
        ));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Splits the value of a NO_PROXY variable or key into its entries.
#[must_use]
pub fn no_proxy_entries(text: &Sourced<String>) -> Vec<Sourced<String>> {
    let entries = text
        .value
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| Sourced::new(entry.to_owned(), text.from.clone()))
        .collect()
}
