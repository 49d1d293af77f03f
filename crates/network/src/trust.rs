//! Which projects the user trusts to say how registries are reached. A table counts for the path of
//! its file and the digest of what it says, so that a later change asks again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealift_config::{Entry, Files, Node, Reader, Sourced, Value};
use sealift_oci::Digest;
use serde::{Deserialize, Serialize};

/// The keys whose files decide as much as the table itself.
const FILE_KEYS: [&str; 4] = ["daemon-json", "ca", "client-cert", "client-key"];

/// The tables that are trusted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Trust {
    tables: BTreeMap<PathBuf, Digest>,
    /// Trusts the project at hand without asking, as in CI.
    #[serde(skip)]
    pub(crate) any: bool,
    #[serde(skip)]
    kept_in: PathBuf,
}

impl Trust {
    /// Trusts the project at hand, whatever it says, where `any`.
    #[must_use]
    pub fn with_any(self, any: bool) -> Self {
        Self { any, ..self }
    }

    /// Says in which folder this is kept.
    #[must_use]
    pub fn kept_in(self, folder: PathBuf) -> Self {
        Self {
            kept_in: folder,
            ..self
        }
    }

    /// Returns whether a project holds the folder in which trust is kept: it could trust itself.
    #[must_use]
    pub fn is_kept_below(&self, project: &Path) -> bool {
        self.kept_in.starts_with(project)
    }

    /// Returns whether a table is trusted.
    #[must_use]
    pub fn covers(&self, path: &Path, digest: &Digest) -> bool {
        let own = path
            .parent()
            .is_some_and(|project| self.is_kept_below(project));
        !own && self.tables.get(path) == Some(digest)
    }

    /// Trusts a table from now on, in place of what the same file said before.
    pub fn add(&mut self, path: PathBuf, digest: Digest) {
        self.tables.insert(path, digest);
    }

    /// Trusts a file's table no longer; returns whether it was trusted.
    pub fn remove(&mut self, path: &Path) -> bool {
        self.tables.remove(path).is_some()
    }

    /// Lists the files, each with the digest of its table.
    pub fn tables(&self) -> impl Iterator<Item = (&Path, &Digest)> {
        let tables = self.tables.iter();
        tables.map(|(path, digest)| (path.as_path(), digest))
    }
}

/// Returns the digest of a table and of the files that it names.
pub(crate) fn digest(table: &Entry, files: &dyn Files) -> Digest {
    let mut text = String::new();
    describe(table, &mut Reader::new(files), &mut text);
    Digest::sha256(text.as_bytes())
}

/// Writes an entry so that no two different ones are written the same.
fn describe(entry: &Entry, reader: &mut Reader<'_>, text: &mut String) {
    text.push_str(&format!("{:?} ", entry.key));
    if let Value::Table(entries) = &entry.value.value {
        text.push('{');
        for entry in entries {
            describe(entry, reader, text);
        }
        text.push('}');
        return;
    }
    let items = match &entry.value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    for Node { value, at } in items {
        text.push_str(&format!("{value:?} "));
        if let (Value::Text(name), true) = (value, FILE_KEYS.contains(&entry.key.as_str())) {
            let path = reader.beside(&Sourced::new(name.clone(), at.clone()));
            let content = reader.bytes(&path, at).map(|bytes| Digest::sha256(&bytes));
            text.push_str(&format!("{content:?} "));
        }
    }
    text.push('\n');
}
