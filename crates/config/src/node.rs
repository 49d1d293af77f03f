//! The values of a document, each with its file and line.

use crate::place::Place;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its file and line.
    pub at: Place,
}

/// What a value can be, in JSON and in TOML.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON's null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number or a TOML date, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// An object or a table, in the order of the file.
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The file and line of the key.
    pub at: Place,
    /// The value.
    pub value: Node,
}

/// A breach of the grammar. The text names what was expected, never what stands there: files of
/// credentials are read this way too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The file and line.
    pub at: Place,
    /// What is wrong.
    pub reason: String,
}

impl Node {
    /// Returns the value of a key, where this is a table that has it. Of a key that is given twice
    /// (JSON allows it) the last counts, as in Go.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Returns the entries of a table, nothing for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if let Value::Table(entries) = &self.value {
            entries
        } else {
            &[]
        }
    }

    /// Returns the entry of a key, where this is a table that has it; of a key that is given twice
    /// the last one, as [`Node::get`].
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().rev().find(|entry| entry.key == key)
    }

    /// Returns the text, where this is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Names the kind of the value, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Boolean(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}
