//! Lists of patterns by the rules of moby's `patternmatcher`: `**` spans folders, `!` takes back,
//! the last pattern that matches decides, and what matches a folder matches all in it.

use regex::Regex;

use super::{glob, path};

/// A malformed pattern.
#[derive(Debug, thiserror::Error)]
#[error("the pattern {pattern:?} is malformed")]
pub(crate) struct BadPattern {
    /// The pattern.
    pub(crate) pattern: String,
}

/// An ordered list of patterns.
#[derive(Debug)]
pub(super) struct Matcher {
    patterns: Vec<Pattern>,
}

/// One pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    /// It takes back what an earlier pattern matched.
    exclusion: bool,
    kind: Kind,
}

/// How a pattern is matched.
#[derive(Debug)]
enum Kind {
    Exact,
    /// The text without the `**` at its end.
    Prefix(String),
    /// The text without the `**` at its begin.
    Suffix(String),
    Regex(Regex),
    /// It cannot be compiled; matching it is an error.
    Broken,
}

/// Which patterns a folder matched, for the paths in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Matched(Vec<bool>);

impl Matcher {
    /// Reads patterns; blanks around them and empty ones do not count.
    pub(super) fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        let patterns = patterns.iter().map(|text| text.trim());
        let patterns = patterns.filter(|text| !text.is_empty());
        Ok(Self {
            patterns: patterns.map(Pattern::new).collect::<Result<_, _>>()?,
        })
    }

    /// Returns the patterns.
    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Returns whether a path matches, given what its folder matched; of a path at the top there is
    /// no folder.
    pub(super) fn matches(
        &self,
        file: &str,
        parent: Option<&Matched>,
    ) -> Result<(bool, Matched), BadPattern> {
        let mut matched = false;
        let mut all = vec![false; self.patterns.len()];
        let parent = parent.map(|parent| parent.0.as_slice()).unwrap_or_default();
        for (i, pattern) in self.patterns.iter().enumerate() {
            let mut here = parent.get(i).copied().unwrap_or(false);
            if !here {
                if pattern.exclusion != matched {
                    continue;
                }
                here = pattern.matches(file)?;
                if !here && parent.is_empty() {
                    here = ancestors(file).any(|folder| pattern.matches(folder).unwrap_or(false));
                }
            }
            all[i] = here;
            if here {
                matched = !pattern.exclusion;
            }
        }
        Ok((matched, Matched(all)))
    }
}

/// Lists the folders that a path is in, the outermost first.
fn ancestors(file: &str) -> impl Iterator<Item = &str> {
    file.match_indices('/').map(|(at, _)| &file[..at])
}

impl Pattern {
    fn new(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern {
            pattern: text.to_owned(),
        };
        let cleaned = path::clean(text);
        let (exclusion, cleaned) = match cleaned.strip_prefix('!') {
            Some("") => return Err(bad()),
            Some(rest) => (true, rest.to_owned()),
            None => (false, cleaned),
        };
        glob::matches(&cleaned, ".").map_err(|_| bad())?;
        Ok(Self {
            kind: compile(&cleaned),
            text: cleaned,
            exclusion,
        })
    }

    /// Returns whether it takes back.
    pub(super) const fn is_exclusion(&self) -> bool {
        self.exclusion
    }

    /// Returns the text without a last `/*` or `/**`.
    pub(super) fn without_trailing_glob(&self) -> &str {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        text.strip_suffix("/*").unwrap_or(text)
    }

    /// Returns whether it is a plain path, but for a last `/*` or `/**`.
    pub(super) fn is_plain(&self) -> bool {
        !self
            .without_trailing_glob()
            .contains(['*', '[', ']', '?', '^', '\\'])
    }

    fn matches(&self, file: &str) -> Result<bool, BadPattern> {
        match &self.kind {
            Kind::Exact => Ok(file == self.text),
            Kind::Prefix(prefix) => Ok(file.starts_with(prefix.as_str())),
            Kind::Suffix(suffix) => Ok(file.ends_with(suffix.as_str())
                || suffix.strip_prefix('/').is_some_and(|bare| bare == file)),
            Kind::Regex(regex) => Ok(regex.is_match(file)),
            Kind::Broken => Err(BadPattern {
                pattern: self.text.clone(),
            }),
        }
    }
}

/// Finds the cheapest way to match a pattern.
fn compile(pattern: &str) -> Kind {
    let mut translation = Translation::default();
    let mut characters = pattern.chars().peekable();
    let mut first = true;
    while let Some(c) = characters.next() {
        translation.push(c, &mut characters);
        if first && c == '*' && translation.spans {
            translation.shape = Shape::Suffix;
        }
        first = false;
    }
    match translation.shape {
        Shape::Exact => Kind::Exact,
        Shape::Prefix => Kind::Prefix(pattern[..pattern.len() - 2].to_owned()),
        Shape::Suffix => Kind::Suffix(pattern[2..].to_owned()),
        Shape::Regex => {
            Regex::new(&format!("^{}$", translation.regex)).map_or(Kind::Broken, Kind::Regex)
        }
    }
}

/// A pattern on its way to a regular expression.
#[derive(Default)]
struct Translation {
    regex: String,
    shape: Shape,
    /// How many character classes are open.
    depth: u32,
    /// The last star was a double one.
    spans: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Shape {
    #[default]
    Exact,
    Prefix,
    Suffix,
    Regex,
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

impl Translation {
    fn push(&mut self, c: char, rest: &mut Characters<'_>) {
        match c {
            '*' => self.push_star(rest),
            '?' => self.push_special("[^/]"),
            '\\' => self.push_escaped(rest.next()),
            '[' => self.open_class(rest.peek()),
            ']' => {
                self.depth = self.depth.saturating_sub(1);
                self.push_special("]");
            }
            '.' | '+' | '(' | ')' | '$' => {
                self.regex.push('\\');
                self.regex.push(c);
            }
            '{' => self.push_brace(rest),
            // Set operations of our engine, plain characters to Go's.
            '&' | '~' | '-' if self.depth > 0 && self.regex.ends_with(c) => {
                self.regex.push('\\');
                self.regex.push(c);
            }
            _ => self.regex.push(c),
        }
    }

    fn push_special(&mut self, regex: &str) {
        self.regex.push_str(regex);
        self.shape = Shape::Regex;
    }

    fn push_star(&mut self, rest: &mut Characters<'_>) {
        self.spans = rest.next_if_eq(&'*').is_some();
        if !self.spans {
            return self.push_special("[^/]*");
        }
        // `**/` is `**`.
        rest.next_if_eq(&'/');
        if rest.peek().is_some() {
            self.push_special("(.*/)?");
        } else if self.shape == Shape::Exact {
            self.shape = Shape::Prefix;
        } else {
            self.push_special(".*");
        }
    }

    /// moby means to take braces and bars as they are, but does not: a bar divides a pattern with
    /// wildcards in two, and `{2}` repeats. Other braces are plain characters to Go.
    fn push_brace(&mut self, rest: &Characters<'_>) {
        let counts: String = rest.clone().take_while(|c| *c != '}').collect();
        let (least, most) = counts.split_once(',').unwrap_or((&counts, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let repeats = !least.is_empty() && digits(least) && digits(most);
        if !repeats || !rest.clone().any(|c| c == '}') {
            self.regex.push('\\');
        }
        self.regex.push('{');
    }

    /// Within a class, a bracket is a character to Go and the begin of a class to us, but for the
    /// likes of `[:alpha:]`.
    fn open_class(&mut self, next: Option<&char>) {
        if self.depth == 0 || (self.depth == 1 && next == Some(&':')) {
            self.depth += 1;
        } else {
            self.regex.push('\\');
        }
        self.push_special("[");
    }

    /// Letters and digits keep the meaning that an escape gives them in a regular expression, as
    /// in moby's.
    fn push_escaped(&mut self, escaped: Option<char>) {
        match escaped {
            Some(c) if c.is_ascii_alphanumeric() || !c.is_ascii() => {
                self.push_special(&format!("\\{c}"));
            }
            Some(c) => self.push_special(&regex::escape(&c.to_string())),
            None => self.regex.push_str("\\\\"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(patterns: &[&str], file: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
        let matcher = Matcher::new(&patterns).unwrap();
        matcher.matches(file, None).unwrap().0
    }

    #[test]
    fn matches_as_moby_does() {
        for (patterns, file, expected) in [
            (&["**"][..], "file", true),
            (&["**/"], "dir/file", true),
            (&["**/**"], "dir/file", true),
            (&["dir/**"], "dir/dir2/file", true),
            (&["dir/**"], "dir", false),
            (&["dir"], "dir/file", true),
            (&["dir"], "dirx", false),
            (&["**/dir2/*"], "dir/dir2/file", true),
            (&["**/file"], "file", true),
            (&["**file"], "dir/xfile", true),
            (&["**/*.go"], "a/b/c.go", true),
            (&["*.go"], "a/b.go", false),
            (&["a.b"], "axb", false),
            (&["a[b-d]e"], "ace", true),
            (&["a[^b-d]e"], "aze", true),
            (&["a\\*c"], "a*c", true),
            (&["a*", "!ab"], "ab", false),
            (&["a", "!a/b", "a/b/c"], "a/b/c", true),
            (&["a", "!a/b"], "a/b/c", false),
            (&["!a", "a"], "a", true),
            (&[" a "], "a", true),
            (&["./a//b/"], "a/b", true),
            (&["/a"], "a", false),
            (&["[[]x"], "[x", true),
            (&["[a&&b]x"], "&x", true),
        ] {
            assert_eq!(matches(patterns, file), expected, "{patterns:?} {file}");
        }
    }

    #[test]
    fn refuses_what_moby_refuses() {
        for pattern in ["!", "[", "a[", "[a-]", "\\"] {
            assert!(Matcher::new(&[pattern.to_owned()]).is_err(), "{pattern}");
        }
    }
}
