//! TOML 1.1 with the place of every value, in the order of the file.

use std::path::Path;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use crate::lines::Lines;
use crate::node::{Entry, Node, SyntaxError, Value};

/// Parses the text of a TOML file.
///
/// # Errors
/// [`SyntaxError`] at the first breach of the grammar.
pub fn parse(path: &Path, text: &str) -> Result<Node, SyntaxError> {
    let document = Document(Lines::new(path, text));
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        at: document.0.at(error.span().map_or(0, |span| span.start)),
        reason: error.message().trim().replace('\n', ", "),
    })?;
    Ok(document.table(table.get_ref(), 0))
}

struct Document(Lines);

impl Document {
    fn table(&self, table: &DeTable<'_>, offset: usize) -> Node {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            at: self.0.at(key.span().start),
            value: self.value(value),
        });
        Node {
            value: Value::Table(entries.collect()),
            at: self.0.at(offset),
        }
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let offset = value.span().start;
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Integer(number) => Value::Number(number.as_str().to_owned()),
            DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
            DeValue::Datetime(date) => Value::Number(date.to_string()),
            DeValue::Array(list) => Value::List(list.iter().map(|item| self.value(item)).collect()),
            DeValue::Table(table) => return self.table(table, offset),
        };
        let at = self.0.at(offset);
        Node { value, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    fn read(text: &str) -> Result<Node, SyntaxError> {
        parse(Path::new("f"), text)
    }

    fn line(line: usize) -> Place {
        Place::line(Path::new("f"), line)
    }

    #[test]
    fn toml_keeps_order_and_lines() {
        let text = "# comment\nz = 1\n\n[host.\"https://b\"]\nca = [\n  \"x\",\n  \"y\"]\n[host.\"https://a\"]\n";
        let node = read(text).unwrap();
        let hosts = node.get("host").unwrap();
        let keys: Vec<_> = hosts
            .entries()
            .iter()
            .map(|e| (e.key.as_str(), e.at.clone()))
            .collect();
        assert_eq!(keys, [("https://b", line(4)), ("https://a", line(8))]);
        let Value::List(ca) = &hosts.get("https://b").unwrap().get("ca").unwrap().value else {
            panic!("no list")
        };
        assert_eq!(
            ca.iter().map(|n| n.at.clone()).collect::<Vec<_>>(),
            [line(6), line(7)]
        );
        let many = read("[[r]]\na = 1\n[[r]]\na = 2\n").unwrap();
        let Value::List(list) = &many.get("r").unwrap().value else {
            panic!("no list")
        };
        assert_eq!(
            list.iter()
                .map(|n| n.get("a").unwrap().at.clone())
                .collect::<Vec<_>>(),
            [line(2), line(4)]
        );
    }

    #[test]
    fn toml_errors_name_their_line_and_no_content() {
        let error = read("a = 1\nb = hunter2 x\n").unwrap_err();
        assert_eq!(error.at, line(2));
        assert!(!error.reason.contains("hunter2"), "{error:?}");
    }
}
