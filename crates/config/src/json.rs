//! JSON (RFC 8259) with the place of every value. serde_json tells lines for errors alone, and its
//! messages repeat the content, which may be a secret.

use std::path::Path;
use std::sync::Arc;

use crate::node::{Entry, Node, SyntaxError, Value};
use crate::place::Place;

/// Deeper nesting than any configuration has, and shallower than the stack.
const DEPTH: usize = 128;

/// Parses the text of a JSON file. A byte order mark before it is skipped.
///
/// # Errors
/// [`SyntaxError`] at the first breach of RFC 8259.
pub fn parse(path: &Path, text: &str) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser {
        path: path.into(),
        text,
        offset: 0,
        line: 1,
    };
    parser.space();
    let node = parser.value(0)?;
    parser.space();
    if parser.offset < text.len() {
        return parser.fail("the file goes on after its JSON value");
    }
    Ok(node)
}

struct Parser<'a> {
    path: Arc<Path>,
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Parser<'_> {
    fn place(&self) -> Place {
        Place::File {
            path: Arc::clone(&self.path),
            line: Some(self.line),
        }
    }

    fn fail<T>(&self, reason: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError {
            at: self.place(),
            reason: reason.to_owned(),
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.offset += usize::from(found);
        found
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.line += usize::from(byte == b'\n');
            self.offset += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        if depth > DEPTH {
            return self.fail("values are nested too deeply");
        }
        let at = self.place();
        let value = match self.peek() {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't' | b'f' | b'n') => self.word()?,
            Some(b'/') => return self.fail("comments are not allowed in JSON"),
            Some(b'\'') => return self.fail("strings stand in double quotes in JSON"),
            Some(_) => return self.fail("expected a value"),
            None => return self.fail("the file ends where a value is expected"),
        };
        Ok(Node { value, at })
    }

    fn table(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.offset += 1;
        let mut entries = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Table(entries));
        }
        loop {
            self.space();
            let at = self.place();
            if self.peek() == Some(b'}') {
                return self.fail("a comma after the last value");
            }
            if self.peek() != Some(b'"') {
                return self.fail("expected a key in double quotes");
            }
            let key = self.string()?;
            self.space();
            if !self.take(b':') {
                return self.fail("expected ':' after the key");
            }
            self.space();
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, at, value });
            self.space();
            if self.take(b'}') {
                return Ok(Value::Table(entries));
            }
            if !self.take(b',') {
                return self.fail("expected ',' or '}' after a value");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.offset += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            self.space();
            if self.peek() == Some(b']') && !items.is_empty() {
                return self.fail("a comma after the last value");
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return self.fail("expected ',' or ']' after a value");
            }
        }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        self.offset += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.offset..];
            let Some(character) = rest.chars().next() else {
                return self.fail("a string is not closed");
            };
            self.offset += character.len_utf8();
            match character {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                '\u{0}'..='\u{1f}' => return self.fail("a string is not closed on its line"),
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let byte = self.peek();
        self.offset += usize::from(byte.is_some_and(|byte| byte.is_ascii()));
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.fail("an escape that JSON does not know"),
        })
    }

    fn unicode(&mut self) -> Result<char, SyntaxError> {
        let high = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if !(self.take(b'\\') && self.take(b'u')) {
                return self.fail("half of a surrogate pair");
            }
            let low = self.hex()?;
            if !(0xdc00..0xe000).contains(&low) {
                return self.fail("half of a surrogate pair");
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).map_or_else(|| self.fail("half of a surrogate pair"), Ok)
    }

    fn hex(&mut self) -> Result<u32, SyntaxError> {
        let digits = self.text.get(self.offset..self.offset + 4);
        let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|text| u32::from_str_radix(text, 16).ok()) else {
            return self.fail("\\u wants four hexadecimal digits");
        };
        self.offset += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<String, SyntaxError> {
        let start = self.offset;
        let _ = self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return self.fail("a number without digits");
        }
        if self.take(b'.') && self.digits() == 0 {
            return self.fail("a number without digits after its point");
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return self.fail("a number without digits in its exponent");
            }
        }
        Ok(self.text[start..self.offset].to_owned())
    }

    fn digits(&mut self) -> usize {
        let start = self.offset;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.offset += 1;
        }
        self.offset - start
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        for (word, value) in [
            ("true", Value::Boolean(true)),
            ("false", Value::Boolean(false)),
            ("null", Value::Null),
        ] {
            if self.text[self.offset..].starts_with(word) {
                self.offset += word.len();
                return Ok(value);
            }
        }
        self.fail("expected a value")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            ("", 1, "the file ends where a value is expected"),
            ("{\n \"a\": 1,\n}", 3, "a comma after the last value"),
            ("{\n \"a\" 1}", 2, "expected ':' after the key"),
            ("[1\n 2]", 2, "expected ',' or ']' after a value"),
            (
                "{\"a\": 1\n\"b\": 2}",
                2,
                "expected ',' or '}' after a value",
            ),
            ("// x\n{}", 1, "comments are not allowed in JSON"),
            ("{'a': 1}", 1, "expected a key in double quotes"),
            ("{\"a\": 'x'}", 1, "strings stand in double quotes in JSON"),
            ("{} {}", 1, "the file goes on after its JSON value"),
            ("\"a", 1, "a string is not closed"),
            ("\"\\x\"", 1, "an escape that JSON does not know"),
            ("\"\\ud800\"", 1, "half of a surrogate pair"),
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
