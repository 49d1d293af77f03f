//! Reads a text character by character, expanding as it goes.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use super::{GROWTH_MAX, Lexer, Variables, pattern};

/// Deeper nests of `${a:-${b:-…}}` are refused: BuildKit has no limit, our stack has.
const DEPTH_MAX: usize = 200;

type Outcome<T> = std::result::Result<T, String>;

/// What becomes of escape characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// They go, what they protect stays.
    Resolved,
    /// They stay.
    Kept,
    /// They stay, and are doubled in quotes: the text is read again as a pattern.
    Pattern,
}

pub(super) struct Reader<'a> {
    lexer: Lexer,
    raw_escapes: bool,
    chars: Peekable<Chars<'a>>,
    variables: &'a dyn Variables,
    /// The word being gathered. Nested texts share it, and so lose what stands before them, as in
    /// BuildKit: only splitting into words sees that.
    word: String,
    pub(super) unset: BTreeSet<String>,
    depth: usize,
    /// The longest text that may come out.
    limit: usize,
}

/// Splits what is read into words.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    inside: bool,
}

impl Words {
    fn push(&mut self, word: &mut String, c: char) {
        if !c.is_whitespace() {
            word.push(c);
            self.inside = true;
        } else if self.inside && !word.is_empty() {
            self.done.push(std::mem::take(word));
            self.inside = false;
        }
    }

    fn push_raw(&mut self, word: &mut String, text: &str) {
        word.push_str(text);
        self.inside = true;
    }

    fn finish(mut self, word: &mut String) -> Vec<String> {
        if !word.is_empty() {
            self.done.push(std::mem::take(word));
        }
        self.done
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(lexer: Lexer, source: &'a str, variables: &'a dyn Variables) -> Self {
        Self {
            lexer,
            raw_escapes: lexer.raw_escapes,
            chars: source.chars().peekable(),
            variables,
            word: String::new(),
            unset: BTreeSet::new(),
            depth: 0,
            limit: source.len().saturating_add(GROWTH_MAX),
        }
    }

    /// Reads up to a character, or to the end where none is given.
    pub(super) fn until(
        &mut self,
        stop: Option<char>,
        escapes: Escapes,
    ) -> Outcome<(String, Vec<String>)> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("substitutions are nested too deeply".to_owned());
        }
        let raw_escapes = escapes != Escapes::Resolved;
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let outcome = self.until_inner(stop, escapes == Escapes::Pattern);
        self.raw_escapes = outer;
        self.depth -= 1;
        outcome
    }

    fn until_inner(
        &mut self,
        stop: Option<char>,
        patterns: bool,
    ) -> Outcome<(String, Vec<String>)> {
        let mut result = String::new();
        let mut words = Words::default();
        self.word.clear();
        while let Some(&c) = self.chars.peek() {
            if Some(c) == stop {
                self.chars.next();
                return Ok((result, words.finish(&mut self.word)));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    for c in value.chars() {
                        words.push(&mut self.word, c);
                    }
                    result.push_str(&value);
                }
                '<' => {
                    let text = self.less_than();
                    words.push_raw(&mut self.word, &text);
                    result.push_str(&text);
                }
                '\'' | '"' if !self.lexer.ignore_quotes => {
                    let text = self.quoted(c, patterns)?;
                    words.push_raw(&mut self.word, &text);
                    result.push_str(&text);
                }
                _ => self.plain(&mut words, &mut result),
            }
            if result.len() > self.limit {
                return Err(pattern::TOO_LONG.to_owned());
            }
        }
        match stop {
            None => Ok((result, words.finish(&mut self.word))),
            Some(stop) => Err(format!("{stop} is missing")),
        }
    }

    fn plain(&mut self, words: &mut Words, result: &mut String) {
        let Some(c) = self.chars.next() else {
            return;
        };
        if c != self.lexer.escape {
            words.push(&mut self.word, c);
            result.push(c);
            return;
        }
        if self.raw_escapes {
            words.push_raw(&mut self.word, c.encode_utf8(&mut [0; 4]));
            result.push(c);
        }
        if let Some(escaped) = self.chars.next() {
            words.push_raw(&mut self.word, escaped.encode_utf8(&mut [0; 4]));
            result.push(escaped);
        }
    }

    fn less_than(&mut self) -> String {
        self.chars.next();
        let mut text = String::from("<");
        if self.chars.next_if_eq(&'<').is_some() {
            text.push('<');
            while let Some(c) = self.chars.next_if(|c| matches!(c, ' ' | '\t' | '\r')) {
                text.push(c);
            }
        }
        text
    }

    fn quoted(&mut self, quote: char, patterns: bool) -> Outcome<String> {
        self.chars.next();
        let mut text = String::new();
        if self.lexer.raw_quotes {
            text.push(quote);
        }
        if quote == '\'' {
            self.single_quoted(&mut text, patterns)?;
        } else {
            self.double_quoted(&mut text, patterns)?;
        }
        if self.lexer.raw_quotes {
            text.push(quote);
        }
        Ok(text)
    }

    fn single_quoted(&mut self, text: &mut String, patterns: bool) -> Outcome<()> {
        loop {
            match self.chars.next() {
                None => return Err("a single quote is not closed".to_owned()),
                Some('\'') => return Ok(()),
                Some(c) => {
                    if patterns && c == self.lexer.escape {
                        text.push(c);
                    }
                    text.push(c);
                }
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String, patterns: bool) -> Outcome<()> {
        let escape = self.lexer.escape;
        loop {
            match self.chars.peek().copied() {
                None => return Err("a double quote is not closed".to_owned()),
                Some('"') => {
                    self.chars.next();
                    return Ok(());
                }
                Some('$') => {
                    text.push_str(&self.dollar()?);
                    if text.len() > self.limit {
                        return Err(pattern::TOO_LONG.to_owned());
                    }
                }
                Some(c) if c != escape => {
                    self.chars.next();
                    text.push(c);
                }
                Some(_) => {
                    self.chars.next();
                    match self.chars.peek().copied() {
                        None => {}
                        Some(c) if c == '"' || c == '$' || c == escape => {
                            if self.raw_escapes {
                                text.push(escape);
                            }
                            self.chars.next();
                            text.push(c);
                        }
                        Some(_) => {
                            if self.raw_escapes && (!self.lexer.raw_quotes || patterns) {
                                text.push(escape);
                            }
                            text.push(escape);
                        }
                    }
                }
            }
        }
    }

    fn dollar(&mut self) -> Outcome<String> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.lookup(&name) {
            Some(value) => Ok(value),
            None if self.lexer.skip_unset => Ok(format!("${name}")),
            None => Ok(String::new()),
        }
    }

    fn braced(&mut self) -> Outcome<String> {
        match self.chars.peek() {
            None => return Err("} is missing".to_owned()),
            Some('{' | '}' | ':') => return Err("a name is missing behind ${".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        match self.chars.next() {
            Some('}') => match self.lookup(&name) {
                Some(value) => Ok(value),
                None if self.lexer.skip_unset => Ok(format!("${{{name}}}")),
                None => Ok(String::new()),
            },
            Some(':') => {
                let operator = self.chars.next();
                self.modified(&name, operator, true)
            }
            Some(operator @ ('+' | '-' | '?' | '#' | '%')) => {
                self.modified(&name, Some(operator), false)
            }
            Some('/') => self.replaced(&name),
            operator => Err(unsupported("", operator)),
        }
    }

    /// `${name<operator>word}`, with a colon in front of the operator or not.
    fn modified(&mut self, name: &str, operator: Option<char>, colon: bool) -> Outcome<String> {
        let trims = matches!(operator, Some('#' | '%'));
        if colon && trims {
            return Err(unsupported(":", operator));
        }
        let escapes = if trims {
            Escapes::Pattern
        } else {
            Escapes::Resolved
        };
        let (word, _) = self.until(Some('}'), escapes)?;
        let value = self.lookup(name);
        if self.lexer.skip_unset && value.is_none() {
            let colon = if colon { ":" } else { "" };
            let operator = operator.map(String::from).unwrap_or_default();
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let usable = value.clone().filter(|value| !colon || !value.is_empty());
        match operator {
            Some('-') => Ok(usable.unwrap_or(word)),
            Some('+') => Ok(usable.map(|_| word).unwrap_or_default()),
            Some('?') => usable.ok_or_else(|| match (word.as_str(), value) {
                ("", None) => format!("{name} is not set"),
                ("", Some(_)) => format!("{name} is empty"),
                (message, _) => format!("{name}: {message}"),
            }),
            Some(side @ ('#' | '%')) => {
                let value = value.unwrap_or_default();
                let (word, longest) = match word.strip_prefix(side) {
                    Some(rest) => (rest, true),
                    None => (word.as_str(), false),
                };
                if side == '#' {
                    pattern::trim_start(&value, word, longest)
                } else {
                    pattern::trim_end(&value, word, longest)
                }
            }
            _ => Err(unsupported(":", operator)),
        }
    }

    /// `${name/pattern/replacement}` and `${name//pattern/replacement}`.
    fn replaced(&mut self, name: &str) -> Outcome<String> {
        let every = self.chars.next_if_eq(&'/').is_some();
        let (pattern, _) = self.until(Some('/'), Escapes::Pattern)?;
        let (replacement, _) = self.until(Some('}'), Escapes::Kept)?;
        let value = self.lookup(name);
        if self.lexer.skip_unset && value.is_none() {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        pattern::replace(&value.unwrap_or_default(), &pattern, &replacement, every)
    }

    fn lookup(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name);
        if value.is_none() {
            self.unset.insert(name.to_owned());
        }
        value
    }

    /// Reads a name: letters, digits and `_`; or digits alone; or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(&c) = self.chars.peek() {
            if name.is_empty() && c.is_ascii_digit() {
                while let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
                    name.push(digit);
                }
                return name;
            }
            let special = name.is_empty() && matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!');
            if !special && !c.is_alphanumeric() && c != '_' {
                break;
            }
            self.chars.next();
            name.push(c);
            if special {
                break;
            }
        }
        name
    }
}

fn unsupported(colon: &str, operator: Option<char>) -> String {
    match operator {
        Some(operator) => format!("unsupported modifier {colon}{operator} in ${{…}}"),
        None => "} is missing".to_owned(),
    }
}
