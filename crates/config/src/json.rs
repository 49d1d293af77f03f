//! JSON (RFC 8259) with the place of every value: serde_json checks the text and hands out slices of
//! it, whose offsets are the places.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::lines::Lines;
use crate::node::{Entry, Node, SyntaxError, Value};

/// Deeper nesting than any configuration has, and shallower than the stack.
const DEPTH: usize = 128;

/// Parses the text of a JSON file. A byte order mark before it is skipped.
///
/// # Errors
/// [`SyntaxError`] at the first breach of RFC 8259.
pub fn parse(path: &Path, text: &str) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = Document {
        text,
        lines: Lines::new(path, text),
    };
    document.node(text, 0)
}

struct Document<'a> {
    text: &'a str,
    lines: Lines,
}

impl<'a> Document<'a> {
    /// Returns where a slice of the text begins.
    fn offset(&self, slice: &str) -> usize {
        slice.as_ptr() as usize - self.text.as_ptr() as usize
    }

    /// Reads what serde takes from a slice. Its errors of syntax name what is expected, never what
    /// stands there.
    fn read<T: Deserialize<'a>>(&self, slice: &'a str) -> Result<T, SyntaxError> {
        serde_json::from_str(slice).map_err(|error| {
            let before = slice
                .split_inclusive('\n')
                .take(error.line().saturating_sub(1));
            let start = before.map(str::len).sum::<usize>();
            let at = self.offset(slice) + start;
            let rest = slice.get(start + error.column().saturating_sub(1)..);
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or_default();
            let reason = match rest.and_then(|rest| rest.chars().next()) {
                Some('/') => "comments are not allowed in JSON",
                Some(']' | '}') if matches!(reason, "expected value" | "trailing comma") => {
                    "a comma after the last value"
                }
                _ => reason,
            };
            SyntaxError {
                at: self.lines.at(at),
                reason: reason.to_owned(),
            }
        })
    }

    fn node(&self, slice: &'a str, depth: usize) -> Result<Node, SyntaxError> {
        let at = self.lines.at(self.offset(slice.trim_start()));
        if depth > DEPTH {
            let reason = "values are nested too deeply".to_owned();
            return Err(SyntaxError { at, reason });
        }
        let value = match slice.trim_start().as_bytes().first() {
            Some(b'{') => {
                let Table(entries) = self.read(slice)?;
                let entry = |(key, value): (Cow<'a, str>, &'a RawValue)| {
                    let written = match key {
                        Cow::Borrowed(key) => key,
                        Cow::Owned(_) => value.get(),
                    };
                    Ok(Entry {
                        at: self.lines.at(self.offset(written)),
                        key: key.into_owned(),
                        value: self.node(value.get(), depth + 1)?,
                    })
                };
                Value::Table(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&'a RawValue> = self.read(slice)?;
                let item = |item: &'a RawValue| self.node(item.get(), depth + 1);
                Value::List(items.into_iter().map(item).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(self.read(slice)?),
            Some(b't' | b'f') => Value::Boolean(self.read(slice)?),
            Some(b'n') => self.read::<()>(slice).map(|()| Value::Null)?,
            _ => Value::Number(self.read::<&RawValue>(slice)?.get().to_owned()),
        };
        Ok(Node { value, at })
    }
}

/// The entries of a table in the order of the file, one that is repeated included.
struct Table<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A key, borrowed where it has no escapes: then its place is known.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Table<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Table<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Table(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::place::Place;

    fn read(text: &str) -> Result<Node, SyntaxError> {
        parse(Path::new("f"), text)
    }

    fn line(line: usize) -> Place {
        Place::line(Path::new("f"), line)
    }

    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(flag) => (*flag).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(plain).collect(),
            Value::Table(entries) => entries
                .iter()
                .map(|e| (e.key.clone(), plain(&e.value)))
                .collect(),
        }
    }

    #[test]
    fn every_value_has_its_line() {
        let node =
            read("{\n \"a\": [\n  1,\n  \"x\\u00e9\\ud83d\\ude00\"\n ],\n \"b\": null\n}").unwrap();
        let Value::List(items) = &node.get("a").unwrap().value else {
            panic!("no list")
        };
        assert_eq!([&items[0].at, &items[1].at], [&line(3), &line(4)]);
        assert_eq!(items[1].value, Value::Text("xé😀".into()));
        assert_eq!(node.get("b").unwrap().at, line(6));
    }

    #[test]
    fn breaches_are_named_by_line() {
        for (text, number, reason) in [
            ("", 1, "EOF while parsing a value"),
            ("{\n \"a\": 1,\n}", 3, "a comma after the last value"),
            ("{\n \"a\" 1}", 2, "expected `:`"),
            ("[1\n 2]", 2, "expected `,` or `]`"),
            ("{\"a\": 1\n\"b\": 2}", 2, "expected `,` or `}`"),
            ("// x\n{}", 1, "comments are not allowed in JSON"),
            ("{'a': 1}", 1, "key must be a string"),
            ("{\"a\": 'x'}", 1, "expected value"),
            ("{} {}", 1, "trailing characters"),
            ("\"a", 1, "EOF while parsing a string"),
            ("\"\\x\"", 1, "invalid escape"),
            ("\"\\ud800\"", 1, "unexpected end of hex escape"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(
                (error.at, error.reason.as_str()),
                (line(number), reason),
                "{text:?}"
            );
        }
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}:,\"a0-9.eE+\\\\n tu-]{0,40}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // serde_json refuses numbers beyond f64, which RFC 8259 allows.
            let huge = theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
            prop_assert!(huge || read(&text).is_ok() == theirs.is_ok(), "{text:?}: {theirs:?}");
            if let (Ok(ours), Ok(theirs)) = (read(&text), theirs) {
                prop_assert_eq!(plain(&ours), theirs);
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = read(&text);
        }
    }
}
