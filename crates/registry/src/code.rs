//! Error bodies of the distribution specification ("Error Codes"): read within bounds, made safe
//! to show.

use std::fmt;

use serde::Deserialize;

/// No error body needs more; what lies beyond is not read.
pub const BODY_LIMIT: usize = 16 * 1024;
const MESSAGE_LIMIT: usize = 300;
const SHOWN: usize = 3;

/// One error that a registry reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The code, such as `MANIFEST_UNKNOWN`; in upper case, since Docker Hub also says
    /// `toomanyrequests`.
    pub code: String,
    /// The registry's words, without control characters and cut to 300 characters.
    pub message: String,
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            f.write_str(&self.code)
        } else {
            write!(f, "{}: {}", self.code, self.message)
        }
    }
}

/// What the body of a failed response said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// The errors reported, at most three.
    pub errors: Vec<Reported>,
    /// Whether the body was a web page: a captive portal or a firewall, not a registry.
    pub html: bool,
}

impl Explanation {
    /// Reads a body, at most [`BODY_LIMIT`] bytes of it. Takes the specification's `errors`,
    /// token servers' `details` and `error_description`, and plain text.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let body = &body[..body.len().min(BODY_LIMIT)];
        if is_html(body) {
            return Self {
                errors: Vec::new(),
                html: true,
            };
        }
        let errors = serde_json::from_slice::<Body>(body).map_or_else(
            |_| {
                let text = printable(&String::from_utf8_lossy(body));
                let plain = Reported {
                    code: "UNKNOWN".to_owned(),
                    message: text,
                };
                Vec::from_iter((!plain.message.is_empty()).then_some(plain))
            },
            Body::into_errors,
        );
        Self {
            errors,
            html: false,
        }
    }

    /// Tells whether one of these codes was reported.
    #[must_use]
    pub fn has(&self, codes: &[&str]) -> bool {
        self.errors
            .iter()
            .any(|error| codes.contains(&error.code.as_str()))
    }

    /// Tells whether a message holds this text, in any letter case.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        self.errors
            .iter()
            .any(|error| error.message.to_ascii_lowercase().contains(text))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.html {
            return f.write_str("the answer is a web page, not a registry's");
        }
        for (number, error) in self.errors.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<Entry>,
    details: Option<String>,
    error_description: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: serde_json::Value,
    #[serde(default)]
    message: Option<String>,
}

impl Body {
    fn into_errors(self) -> Vec<Reported> {
        let words = self.details.or(self.error_description);
        let words = words.or(self.message).or(self.error);
        let single = words.map(|message| Reported {
            code: "UNKNOWN".to_owned(),
            message: printable(&message),
        });
        let listed = self.errors.into_iter().map(|entry| Reported {
            code: match entry.code {
                serde_json::Value::String(code) => printable(&code).to_ascii_uppercase(),
                serde_json::Value::Number(code) => code.to_string(),
                _ => "UNKNOWN".to_owned(),
            },
            message: printable(&entry.message.unwrap_or_default()),
        });
        listed.chain(single).take(SHOWN).collect()
    }
}

/// Tells whether a body is a web page.
#[must_use]
pub fn is_html(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    let head = start[..start.len().min(64)].to_ascii_lowercase();
    head.starts_with(b"<!doctype") || head.starts_with(b"<html") || head.starts_with(b"<head")
}

/// Makes text from a registry safe for a terminal: no control characters, no line breaks, short.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut clean = without_sequences(text.trim());
    clean.retain(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    let mut shown = clean.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = shown.by_ref().take(MESSAGE_LIMIT).collect();
    if shown.next().is_some() {
        short.push('…');
    }
    short
}

/// Takes terminals' control sequences out (ECMA-48: CSI, OSC and the other strings), in their forms of
/// seven and of eight bits.
fn without_sequences(text: &str) -> String {
    let mut clean = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = match c {
            '\u{1b}' => chars.next(),
            '\u{80}'..='\u{9f}' => char::from_u32(u32::from(c) - 0x40),
            _ => {
                clean.push(c);
                continue;
            }
        };
        match kind {
            Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = chars.next() {
                    let ends = matches!(c, '\u{7}' | '\u{9c}');
                    if ends || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_registries_say() {
        let cases = [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                "MANIFEST_UNKNOWN: manifest unknown",
            ),
            (
                r#"{"errors":[{"code":"toomanyrequests","message":"too many failed login attempts for username or IP address"}]}"#,
                "TOOMANYREQUESTS: too many failed login attempts for username or IP address",
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                "UNKNOWN: incorrect username or password",
            ),
            (r#"{"error":"invalid_grant"}"#, "UNKNOWN: invalid_grant"),
            (r#"{"errors":[{"code":404}]}"#, "404"),
            ("upstream connect error", "UNKNOWN: upstream connect error"),
            ("", ""),
            (
                " \n<!DOCTYPE html><html>",
                "the answer is a web page, not a registry's",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(
                Explanation::parse(body.as_bytes()).to_string(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn is_bounded_and_safe_to_show() {
        let long = "\u{1b}[31m".to_owned() + &"x".repeat(100_000);
        let shown = Explanation::parse(long.as_bytes()).to_string();
        assert!(
            shown.chars().count() < 320 && !shown.contains('\u{1b}'),
            "{shown}"
        );
        for (text, clean) in [
            ("a\u{1b}[31;1mb", "ab"),
            (
                "a\u{1b}]8;;http://evil/\u{1b}\\b\u{1b}]0;title\u{7}c",
                "abc",
            ),
            ("a\u{9b}2Jb\u{9d}0;x\u{9c}c", "abc"),
            ("a\u{202e}cba\u{2066}", "acba"),
            ("a\r\nb\u{8}\u{1b}", "a  b "),
            ("a\u{1b}]never ends", "a"),
        ] {
            assert_eq!(printable(text), clean, "{text:?}");
        }
        let many = format!(
            r#"{{"errors":[{}]}}"#,
            vec![r#"{"code":"A"}"#; 900].join(",")
        );
        assert_eq!(Explanation::parse(many.as_bytes()).errors.len(), 3);
    }
}
