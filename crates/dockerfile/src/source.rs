//! Places in a Dockerfile, its physical lines, and the excerpts that errors show.

use std::fmt;
use std::ops::Range;

/// The longest line that BuildKit's scanner takes, its line feed included.
const LINE_MAX: usize = 64 * 1024;

/// A range of lines of a Dockerfile, both ends included, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first line.
    pub start: usize,
    /// The last line.
    pub end: usize,
}

impl Span {
    /// Makes a span; an end before the start counts as the start.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// Makes the span of one line.
    #[must_use]
    pub fn line(line: usize) -> Self {
        Self::new(line, line)
    }

    /// Returns whether a line lies in the span.
    #[must_use]
    pub fn contains(&self, line: usize) -> bool {
        (self.start..=self.end).contains(&line)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            write!(f, "line {}", self.start)
        } else {
            write!(f, "lines {} to {}", self.start, self.end)
        }
    }
}

/// Gives the physical lines of a file, each with its line ending, as BuildKit's scanner does.
pub(crate) struct Lines<'a> {
    rest: &'a str,
    number: usize,
    too_long: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            number: 0,
            too_long: false,
        }
    }

    /// Returns the number of the line that was given last, 0 before the first.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Returns whether reading ended early, at a line over the limit.
    pub(crate) fn too_long(&self) -> bool {
        self.too_long
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.too_long || self.rest.is_empty() {
            return None;
        }
        let (line, limit) = match self.rest.find('\n') {
            Some(at) => (&self.rest[..=at], LINE_MAX),
            None => (self.rest, LINE_MAX - 1),
        };
        if line.len() > limit {
            self.too_long = true;
            return None;
        }
        self.rest = &self.rest[line.len()..];
        self.number += 1;
        Some(line)
    }
}

/// Removes the byte order mark that some editors put in front.
pub(crate) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Removes the line ending.
pub(crate) fn without_newline(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// One line of an excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcerptLine {
    /// Its number, from 1.
    pub number: usize,
    /// Its text without the line ending; tabs are four spaces.
    pub text: String,
    /// Whether it belongs to what the error is about.
    pub marked: bool,
    /// The characters of `text` (not bytes) to underline, where they are known.
    pub caret: Option<Range<usize>>,
}

/// The lines of a Dockerfile around a place, for an error message.
///
/// Its `Display` draws them with numbers, marks and a caret; the fields serve other renderings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The lines in order.
    pub lines: Vec<ExcerptLine>,
}

/// The most lines of one instruction that an excerpt shows.
const MARKED_MAX: usize = 12;

impl Excerpt {
    /// Cuts the lines of `span`, and `around` lines on both sides, out of a file. `needle` is the
    /// text at fault: its first appearance inside the span gets the caret.
    #[must_use]
    pub fn new(text: &str, span: Span, around: usize, needle: Option<&str>) -> Self {
        let last_marked = span.end.min(span.start.saturating_add(MARKED_MAX - 1));
        let first = span.start.saturating_sub(around).max(1);
        let last = last_marked.saturating_add(around);
        let needle = needle.map(str::trim).filter(|needle| !needle.is_empty());
        let mut found = false;
        let lines = without_bom(text)
            .split_inclusive('\n')
            .enumerate()
            .map(|(index, line)| (index + 1, without_newline(line).replace('\t', "    ")))
            .skip(first - 1)
            .take_while(|(number, _)| *number <= last)
            .map(|(number, text)| {
                let marked = span.contains(number);
                let caret = needle
                    .filter(|_| marked && !found)
                    .and_then(|needle| position(&text, needle));
                found |= caret.is_some();
                ExcerptLine {
                    number,
                    text,
                    marked,
                    caret,
                }
            })
            .collect();
        Self { lines }
    }
}

fn position(text: &str, needle: &str) -> Option<Range<usize>> {
    let at = text.find(needle)?;
    let start = text[..at].chars().count();
    Some(start..start + needle.chars().count())
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.lines.last().map_or(0, |line| line.number);
        let width = last.to_string().len();
        for line in &self.lines {
            let mark = if line.marked { ">>>" } else { "   " };
            let row = format!("{mark} {:>width$} | {}", line.number, line.text);
            writeln!(f, "{}", row.trim_end())?;
            if let Some(caret) = &line.caret {
                let blank = " ".repeat(caret.start);
                let carets = "^".repeat(caret.len().max(1));
                writeln!(f, "    {:>width$} | {blank}{carets}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Excerpt, LINE_MAX, Lines, Span};

    #[test]
    fn draws_lines_marks_and_a_caret() {
        let text = "FROM a\nRUN\tx\nCOYP a b\nRUN y\n";
        let excerpt = Excerpt::new(text, Span::line(3), 1, Some("COYP"));
        assert_eq!(
            excerpt.to_string(),
            "    2 | RUN    x\n>>> 3 | COYP a b\n      | ^^^^\n    4 | RUN y\n"
        );
    }

    #[test]
    fn an_excerpt_beyond_the_end_is_empty() {
        assert!(Excerpt::new("a\n", Span::line(9), 1, None).lines.is_empty());
    }

    #[test]
    fn lines_end_at_one_that_is_too_long() {
        let fits = "a".repeat(LINE_MAX - 1) + "\n";
        let mut lines = Lines::new(&fits);
        assert_eq!(lines.next().map(str::len), Some(LINE_MAX));
        let long = "a".repeat(LINE_MAX);
        let mut lines = Lines::new(&long);
        assert!(lines.next().is_none());
        assert!(lines.too_long());
    }
}
