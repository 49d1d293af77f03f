//! The `--name=value` words between an instruction's keyword and its arguments.

use crate::error::{Cause, Result};
use crate::suggestion::nearest;

/// Splits the flags off the text behind a keyword. Returns them and what is left.
///
/// BuildKit walks bytes here, each taken for a character of Latin-1; so does this.
pub(crate) fn split(text: &str, escape: char) -> (Vec<String>, String) {
    let bytes = text.as_bytes();
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        while at < bytes.len() && is_space(bytes[at]) {
            at += 1;
        }
        if !bytes[at..].starts_with(b"--") {
            let rest = String::from_utf8_lossy(&bytes[at..]).into_owned();
            return (flags, rest);
        }
        let word = Word::read(bytes, at, escape);
        at = word.end;
        if word.text == "--" {
            let rest = String::from_utf8_lossy(&bytes[at..]).into_owned();
            return (flags, rest);
        }
        flags.push(word.text);
    }
}

fn is_space(byte: u8) -> bool {
    char::from(byte).is_whitespace()
}

struct Word {
    text: String,
    end: usize,
}

impl Word {
    /// Reads a word with its quotes and escapes resolved, up to a blank or the end.
    fn read(bytes: &[u8], start: usize, escape: char) -> Self {
        let mut text = String::new();
        let mut quote = None;
        let mut at = start;
        while let Some(&byte) = bytes.get(at) {
            let c = char::from(byte);
            if quote.is_none() && is_space(byte) {
                break;
            }
            at += 1;
            if quote == Some(c) {
                quote = None;
            } else if quote.is_none() && matches!(c, '\'' | '"') {
                quote = Some(c);
            } else if c == escape {
                // An escape at the very end is dropped.
                if let Some(&escaped) = bytes.get(at) {
                    text.push(char::from(escaped));
                    at += 1;
                }
            } else {
                text.push(c);
            }
        }
        Self { text, end: at }
    }
}

/// How often a flag can be given, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `--link`, `--link=false`.
    Switch,
    /// `--from=x`, once.
    Text,
    /// `--mount=…`, any number of times.
    List,
}

/// The flags of one instruction, checked against those that it knows.
#[derive(Debug)]
pub(crate) struct Flags {
    given: Vec<(&'static str, String)>,
}

impl Flags {
    /// Checks flags. Values of switches become `true` and `false`.
    pub(crate) fn check(flags: &[String], known: &[(&'static str, Kind)]) -> Result<Self> {
        let mut given: Vec<(&'static str, String)> = Vec::new();
        for flag in flags {
            if flag == "--" {
                break;
            }
            let Some(body) = flag.strip_prefix("--") else {
                let word = flag.clone();
                return Err(Cause::NotAFlag { word }.into());
            };
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (body, None),
            };
            let Some(&(name, kind)) = known.iter().find(|(known, _)| *known == name) else {
                let suggestion = nearest(name, known.iter().map(|(known, _)| *known));
                return Err(Cause::UnknownFlag {
                    flag: name.to_owned(),
                    suggestion: suggestion.map(|name| format!("--{name}")),
                }
                .into());
            };
            if kind != Kind::List && given.iter().any(|(given, _)| *given == name) {
                let flag = name.to_owned();
                return Err(Cause::FlagTwice { flag }.into());
            }
            given.push((name, Self::value(name, value, kind)?));
        }
        Ok(Self { given })
    }

    fn value(name: &'static str, value: Option<&str>, kind: Kind) -> Result<String> {
        let missing = || Cause::FlagValue {
            flag: name.to_owned(),
        };
        if kind != Kind::Switch {
            return Ok(value.ok_or_else(missing)?.to_owned());
        }
        match value.map(str::to_lowercase).as_deref() {
            None | Some("true") => Ok("true".to_owned()),
            Some("false") => Ok("false".to_owned()),
            Some("") => Err(missing().into()),
            Some(_) => Err(Cause::Value {
                name: format!("--{name}"),
                value: value.unwrap_or_default().to_owned(),
                expected: "true or false".to_owned(),
            }
            .into()),
        }
    }

    /// Returns a flag's value, where it was given.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let found = self.given.iter().find(|(given, _)| *given == name);
        found.map(|(_, value)| value.clone())
    }

    /// Returns a switch's state, where it was given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }

    /// Returns all values of a repeated flag.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.given.iter().filter(|(given, _)| *given == name);
        values.map(|(_, value)| value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Flags, Kind, split};

    fn parts(text: &str) -> (Vec<String>, String) {
        split(text, '\\')
    }

    #[test]
    fn splits_flags_off() {
        let flags = |flags: &[&str]| flags.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(parts("a b"), (flags(&[]), "a b".to_owned()));
        assert_eq!(
            parts("--a=1  --b c --d"),
            (flags(&["--a=1", "--b"]), "c --d".to_owned())
        );
        assert_eq!(parts("--a='x y' c"), (flags(&["--a=x y"]), "c".to_owned()));
        assert_eq!(parts("--a=x\\ y c"), (flags(&["--a=x y"]), "c".to_owned()));
        assert_eq!(parts("-- --c"), (flags(&[]), " --c".to_owned()));
        assert_eq!(parts("--a"), (flags(&["--a"]), String::new()));
        assert_eq!(parts("--a\\"), (flags(&["--a"]), String::new()));
        assert_eq!(parts("--"), (flags(&[]), String::new()));
        assert_eq!(parts("-a"), (flags(&[]), "-a".to_owned()));
    }

    #[test]
    fn checks_flags() {
        let known = [
            ("link", Kind::Switch),
            ("from", Kind::Text),
            ("mount", Kind::List),
        ];
        let check = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
            Flags::check(&flags, &known)
        };
        let flags = check(&["--link=TRUE", "--from=", "--mount=a", "--mount=b"]).unwrap();
        assert_eq!(flags.switch("link"), Some(true));
        assert_eq!(flags.text("from").as_deref(), Some(""));
        assert_eq!(flags.list("mount"), ["a", "b"]);
        for bad in [
            &["--link="][..],
            &["--link=x"],
            &["--from"],
            &["--from=a", "--from=b"],
            &["--form=a"],
            &["--mount"],
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
