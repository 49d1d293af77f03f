//! Parser directives: the `# name=value` lines at the top of a Dockerfile, and the forms of
//! `syntax=` that name the frontend image.

use crate::error::{Cause, Result};
use crate::json::{self, Value};
use crate::source::{Span, without_bom, without_newline};

const NAMES: [&str; 3] = ["syntax", "escape", "check"];

/// One parser directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// `syntax`, `escape` or `check`.
    pub name: String,
    /// Everything behind the `=`, trimmed.
    pub value: String,
    /// Its line.
    pub line: usize,
}

/// The frontend image that a file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    /// The image reference: the first word of the value.
    pub reference: String,
    /// The whole value, which BuildKit hands to the frontend.
    pub command_line: String,
    /// The line it stands on; the first line for the JSON form.
    pub line: usize,
}

/// Reads directives line by line, until the first line that is none.
pub(crate) struct Directives {
    comment: &'static str,
    seen: Vec<&'static str>,
    done: bool,
}

impl Directives {
    pub(crate) fn new(comment: &'static str) -> Self {
        Self {
            comment,
            seen: Vec::new(),
            done: false,
        }
    }

    /// Reads one line.
    pub(crate) fn line(&mut self, line: &str, number: usize) -> Result<Option<Directive>> {
        if self.done {
            return Ok(None);
        }
        let Some((name, value)) = line.strip_prefix(self.comment).and_then(split) else {
            self.done = true;
            return Ok(None);
        };
        if self.seen.contains(&name) {
            let name = name.to_owned();
            return Err(Cause::DirectiveTwice { name }.into());
        }
        self.seen.push(name);
        Ok(Some(Directive {
            name: name.to_owned(),
            value: value.to_owned(),
            line: number,
        }))
    }
}

/// Splits `name = value` where the name is one that a Dockerfile knows.
fn split(text: &str) -> Option<(&'static str, &str)> {
    let (name, value) = text.trim_start().split_once('=')?;
    let name = name.trim_end_matches(is_blank).to_ascii_lowercase();
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let trimmed = value.trim_matches(is_blank);
    // BuildKit takes the last blank for the value where there is nothing else.
    let last = value.char_indices().next_back().map_or(0, |(at, _)| at);
    let value = if trimmed.is_empty() {
        &value[last..]
    } else {
        trimmed
    };
    (!value.is_empty()).then_some((name, value))
}

/// The `\s` of Go's regular expressions.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{c}' | '\r')
}

/// Finds the frontend image that a file asks for, in any of BuildKit's forms: `# syntax=…` or
/// `// syntax=…` at the top (behind a `#!` line, if there is one), or a JSON object with a string
/// `syntax`. The file need not be a Dockerfile.
#[must_use]
pub fn syntax(text: &str) -> Option<Syntax> {
    let text = without_bom(text);
    let (text, skipped) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => (rest, 1),
        None if text.starts_with("#!") => ("", 1),
        _ => (text, 0),
    };
    for comment in ["#", "//"] {
        let found = all(text, comment, skipped)
            .into_iter()
            .find(|directive| directive.name == "syntax");
        if let Some(Directive { value, line, .. }) = found {
            return Some(Syntax {
                reference: first_word(&value).to_owned(),
                command_line: value,
                line,
            });
        }
    }
    let members = json::object(text)?;
    let (_, value) = members.into_iter().rfind(|(key, _)| key == "syntax")?;
    let Value::Text(value) = value else {
        return None;
    };
    Some(Syntax {
        reference: value.clone(),
        command_line: value,
        line: 1,
    })
}

pub(crate) fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

/// Reads the directives of a file up to the first fault.
fn all(text: &str, comment: &'static str, skipped: usize) -> Vec<Directive> {
    let mut reader = Directives::new(comment);
    let mut found = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match reader.line(line, index + 1 + skipped) {
            Ok(Some(directive)) => found.push(directive),
            _ => break,
        }
    }
    found
}

/// Checks the value of the `# check=` directive, which BuildKit reads before anything else.
pub(crate) fn check(text: &str) -> Result<()> {
    let text = without_bom(text);
    let (text, skipped) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => (rest, 1),
        _ => (text, 0),
    };
    for directive in all(text, "#", skipped) {
        if directive.name == "check" {
            let span = Span::line(directive.line);
            return check_options(first_word(without_newline(&directive.value)))
                .map_err(|error| error.at(span));
        }
    }
    Ok(())
}

fn check_options(value: &str) -> Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    for option in value.splitn(3, ';') {
        let known = match option.split_once('=') {
            Some((name, value)) => match name.trim() {
                "skip" | "experimental" => true,
                "error" => parse_bool(value.trim()).is_some(),
                _ => false,
            },
            None => false,
        };
        if !known {
            let option = option.to_owned();
            return Err(Cause::Check { option }.into());
        }
    }
    Ok(())
}

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, syntax};

    fn found(text: &str) -> Option<(String, usize)> {
        syntax(text).map(|syntax| (syntax.reference, syntax.line))
    }

    #[test]
    fn finds_every_form_of_syntax() {
        let at = |line| Some(("docker/dockerfile:1".to_owned(), line));
        for (text, line) in [
            ("# syntax=docker/dockerfile:1\nFROM x", 1),
            ("\u{feff}#SYNTAX = docker/dockerfile:1 --opt\r\nFROM x", 1),
            ("# escape=`\n# syntax=docker/dockerfile:1", 2),
            ("#!/bin/x\n# syntax=docker/dockerfile:1", 2),
            ("// syntax=docker/dockerfile:1\n", 1),
            ("#!/bin/x\n//syntax=docker/dockerfile:1\n", 2),
            ("{\"syntax\": \"docker/dockerfile:1\"}", 1),
        ] {
            assert_eq!(found(text), at(line), "{text}");
        }
    }

    #[test]
    fn finds_none_where_there_is_none() {
        for text in [
            "",
            "FROM x\n# syntax=a",
            "\n# syntax=a",
            "# a comment\n# syntax=a",
            " # syntax=a",
            "# unknown=1\n# syntax=a",
            "# syntax=",
            "{\"syntax\": 1}",
            "[\"syntax\"]",
            "#!/bin/sh",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn checks_the_check_directive() {
        for good in [
            "# check=skip=all\n",
            "# check=skip=A,B;error=true\n",
            "FROM x\n# check=nonsense",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["# check=error=maybe\n", "# check=all\n", "# check=x=y\n"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
