//! A JSON or TOML file as one tree whose every value knows its line. The sources read this tree,
//! so that each can say where a value stands and where a mistake is.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::json;

/// A value and the line that it begins on (the first is 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its line.
    pub line: usize,
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
    /// The line of the key.
    pub line: usize,
    /// The value.
    pub value: Node,
}

/// A breach of the grammar. The text names what was expected, never what stands there: files of
/// credentials are read this way too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Node {
    /// Reads JSON.
    ///
    /// # Errors
    /// [`SyntaxError`] at the first breach of RFC 8259.
    pub fn json(text: &str) -> Result<Self, SyntaxError> {
        json::parse(text)
    }

    /// Reads TOML 1.1.
    ///
    /// # Errors
    /// [`SyntaxError`] at the first breach.
    pub fn toml(text: &str) -> Result<Self, SyntaxError> {
        let lines = Lines::new(text);
        let table = DeTable::parse(text).map_err(|error| SyntaxError {
            line: error.span().map_or(1, |span| lines.at(span.start)),
            reason: error.message().trim().replace('\n', ", "),
        })?;
        Ok(from_table(table.get_ref(), 1, &lines))
    }

    /// Returns the value of a key, where this is a table that has it. Of a key that is given twice
    /// (JSON allows it) the last counts, as in Go.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .rev()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
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

fn from_table(table: &DeTable<'_>, line: usize, lines: &Lines) -> Node {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let start = key.span().start;
            let key_line = lines.at(start);
            let entry = Entry {
                key: key.get_ref().to_string(),
                line: key_line,
                value: from_value(value, lines),
            };
            (start, entry)
        })
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    let entries = entries.into_iter().map(|(_, entry)| entry).collect();
    Node {
        value: Value::Table(entries),
        line,
    }
}

fn from_value(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let line = lines.at(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Integer(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Datetime(date) => Value::Number(date.to_string()),
        DeValue::Array(list) => {
            Value::List(list.iter().map(|item| from_value(item, lines)).collect())
        }
        DeValue::Table(table) => return from_table(table, line, lines),
    };
    Node { value, line }
}

/// The offsets at which lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(starts.map(|(at, _)| at + 1).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_keeps_order_and_lines() {
        let text = "# comment\nz = 1\n\n[host.\"https://b\"]\nca = [\n  \"x\",\n  \"y\"]\n[host.\"https://a\"]\n";
        let node = Node::toml(text).unwrap();
        let hosts = node.get("host").unwrap();
        let keys: Vec<_> = hosts
            .entries()
            .iter()
            .map(|e| (e.key.as_str(), e.line))
            .collect();
        assert_eq!(keys, [("https://b", 4), ("https://a", 8)]);
        let Value::List(ca) = &hosts.get("https://b").unwrap().get("ca").unwrap().value else {
            panic!("no list")
        };
        assert_eq!(ca.iter().map(|n| n.line).collect::<Vec<_>>(), [6, 7]);
        let many = Node::toml("[[r]]\na = 1\n[[r]]\na = 2\n").unwrap();
        let Value::List(list) = &many.get("r").unwrap().value else {
            panic!("no list")
        };
        assert_eq!(
            list.iter()
                .map(|n| n.get("a").unwrap().line)
                .collect::<Vec<_>>(),
            [2, 4]
        );
    }

    #[test]
    fn toml_errors_name_their_line_and_no_content() {
        let error = Node::toml("a = 1\nb = hunter2 x\n").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(!error.reason.contains("hunter2"), "{error:?}");
    }
}
