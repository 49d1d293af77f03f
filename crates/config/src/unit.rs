//! systemd's unit files (systemd.syntax(7)): sections of `Key=value`, continued lines, quoted words.

use std::path::Path;

use crate::place::{Place, Sourced};

/// One assignment of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section, without brackets.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value, with its lines joined.
    pub value: Sourced<String>,
}

/// Returns the assignments of a unit's text. As for systemd, a line that is none is passed over.
#[must_use]
pub fn parse(path: &Path, text: &str) -> Vec<Setting> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for (line, content) in logical_lines(text) {
        let header = content
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(header) = header {
            header.clone_into(&mut section);
        } else if let Some((key, value)) = content.split_once('=') {
            settings.push(Setting {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: Sourced::new(value.trim().to_owned(), Place::line(path, line)),
            });
        }
    }
    settings
}

/// Joins continued lines and leaves out comments, also those within a continuation. Returns each
/// logical line with the number of its first physical line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let (body, goes_on) = match trimmed.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (trimmed, false),
        };
        let (first, joined) = match open.take() {
            Some((first, before)) => (first, format!("{before} {body}")),
            None => (number + 1, body.to_owned()),
        };
        if goes_on {
            open = Some((first, joined));
        } else {
            lines.push((first, joined));
        }
    }
    lines.extend(open);
    lines
}

/// Splits a value at white space outside quotes, takes the quotes off and resolves C escapes.
/// Nothing where a quote is not closed.
#[must_use]
pub fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => word.get_or_insert_default().push_str(&escape(&mut rest)),
            '"' | '\'' if quote.is_none() => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            _ if quote == Some(character) => quote = None,
            _ if quote.is_none() && character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn escape(rest: &mut std::str::Chars<'_>) -> String {
    let Some(character) = rest.next() else {
        return "\\".to_owned();
    };
    match character {
        'a' => "\u{7}".to_owned(),
        'b' => "\u{8}".to_owned(),
        'f' => "\u{c}".to_owned(),
        'n' => "\n".to_owned(),
        'r' => "\r".to_owned(),
        't' => "\t".to_owned(),
        'v' => "\u{b}".to_owned(),
        's' => " ".to_owned(),
        '\\' | '"' | '\'' => character.to_string(),
        'x' => {
            let digits: String = rest.as_str().chars().take(2).collect();
            match u8::from_str_radix(&digits, 16) {
                Ok(byte) if digits.len() == 2 => {
                    rest.nth(1);
                    char::from(byte).to_string()
                }
                _ => "\\x".to_owned(),
            }
        }
        other => format!("\\{other}"),
    }
}

/// Resolves `%%`. Nothing where a specifier stands whose value only systemd knows. A percent sign
/// before anything else stays, as in systemd: `%40` is no specifier.
#[must_use]
pub fn specifiers(text: &str) -> Option<String> {
    const KNOWN: &str = "aAbBCdDEfgGhHiIjJlLmMnNopqsStTuUvVwWyYz";
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match rest.clone().next() {
            Some('%') => {
                rest.next();
                out.push('%');
            }
            Some(letter) if KNOWN.contains(letter) => return None,
            _ => out.push('%'),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_systemds() {
        for (text, expected) in [
            (r#""A=1 2" 'B=3' C=4"#, vec!["A=1 2", "B=3", "C=4"]),
            (r#"A="1 2" B="#, vec!["A=1 2", "B="]),
            (r"A=\x41\x42 B=a\\b", vec!["A=AB", r"B=a\b"]),
            (r#"  "" "#, vec![""]),
            ("A=1\tB=2", vec!["A=1", "B=2"]),
            (r#"A='it"s'"#, vec![r#"A=it"s"#]),
            (r"A=\sx", vec!["A= x"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        assert_eq!(words("\"A=1"), None);
    }

    #[test]
    fn percent_signs() {
        assert_eq!(specifiers("u:p%%40x").as_deref(), Some("u:p%40x"));
        assert_eq!(specifiers("u:p%40x").as_deref(), Some("u:p%40x"));
        assert_eq!(specifiers("%H"), None);
        assert_eq!(specifiers("100%").as_deref(), Some("100%"));
    }

    #[test]
    fn lines_go_on_over_comments() {
        let text = "[Service]\nEnvironment=A=1 \\\n# comment\n  B=2\n; x\nC=3";
        let lines = logical_lines(text);
        assert_eq!(lines[1].0, 2);
        assert_eq!(
            lines[1].1.split_whitespace().collect::<Vec<_>>(),
            ["Environment=A=1", "B=2"]
        );
        assert_eq!(lines[2], (6, "C=3".to_owned()));
    }
}
