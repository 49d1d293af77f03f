//! A line on its way to a terminal or a log: without the terminal controls that a registry or a
//! build may have put into it, cut to a width, coloured as buildx colours it.

use unicode_width::UnicodeWidthChar as _;

use crate::size;

/// What a line is about, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Something that goes on, or is said.
    Plain,
    /// Something that ended well.
    Done,
    /// A warning, or something that was canceled.
    Warning,
    /// A failure.
    Error,
}

impl Style {
    /// Returns a text in this colour.
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        let colour = match self {
            Self::Plain => return text.to_owned(),
            Self::Done => 34,
            Self::Warning => 33,
            Self::Error => 31,
        };
        format!("\x1b[{colour}m{text}\x1b[0m")
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The text, not yet stripped.
    pub text: String,
    /// Its colour.
    pub style: Style,
    /// A time in seconds that stands at the right.
    pub seconds: Option<f64>,
    /// Whether it may take several rows: what must not be lost.
    pub whole: bool,
}

impl Line {
    /// Makes a line that is cut to the width.
    #[must_use]
    pub const fn new(text: String, style: Style) -> Self {
        Self {
            text,
            style,
            seconds: None,
            whole: false,
        }
    }

    /// Adds the time that stands at the right.
    #[must_use]
    pub const fn at(mut self, seconds: f64) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Returns the text as it fits into so many columns.
    #[must_use]
    pub fn fit(&self, columns: usize) -> String {
        let text = strip(&self.text);
        if self.whole {
            return text;
        }
        let Some(seconds) = self.seconds else {
            return cut(&text, columns);
        };
        let time = size::seconds(seconds);
        let room = columns.saturating_sub(time.len() + 1);
        let text = cut(&text, room);
        let blanks = room.saturating_sub(width(&text)) + 1;
        format!("{text}{}{time}", " ".repeat(blanks))
    }
}

/// Returns how many columns a text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Cuts a text to so many columns; an ellipsis stands for what is missing.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| {
        let fits = c.width().unwrap_or(0) <= left;
        left = left.saturating_sub(c.width().unwrap_or(0));
        fits
    };
    let kept: String = text.chars().take_while(fits).collect();
    let end = if columns == 0 { "" } else { "…" };
    kept + end
}

/// Removes terminal controls: whole escape sequences (CSI, OSC and the like, in 7 and 8 bits) and
/// control characters other than the line's end and the tabulator.
#[must_use]
pub fn strip(text: &str) -> String {
    let mut rest = text.chars();
    let mut kept = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        let introduced = if c == '\x1b' { rest.next() } else { Some(c) };
        match (c, introduced) {
            ('\x1b', Some('[')) | ('\u{9b}', _) => {
                let _parameters = rest.find(|c| ('\x40'..='\x7e').contains(c));
            }
            ('\x1b', Some(']' | 'P' | 'X' | '^' | '_'))
            | ('\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}', _) => {
                let end = |c: &char| matches!(c, '\x07' | '\x1b' | '\u{9c}');
                if rest.find(end) == Some('\x1b') {
                    // The string's end is ESC and a backslash.
                    let _backslash = rest.next();
                }
            }
            ('\x1b', Some(' '..='/')) => {
                let _intermediate = rest.find(|c| ('\x30'..='\x7e').contains(c));
            }
            ('\n' | '\t', _) => kept.push(c),
            (c, _) if c.is_control() => {}
            (c, _) => kept.push(c),
        }
    }
    kept
}

/// Writes control characters as JSON and most languages escape them, for results that a program may
/// read: nothing is lost.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t' | '\r') {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_do_not_reach_a_terminal() {
        for (text, kept) in [
            ("plain é 漢\tx\n", "plain é 漢\tx\n"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[1;2Ha\x1b[?25lb", "ab"),
            ("\x1b]0;title\x07a", "a"),
            ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\u{9b}31mred\u{9d}52;c;x\u{9c}b", "redb"),
            ("\x1bPq#0\x1b\\a\x1b_x\x1b\\b", "ab"),
            ("\x1b(0a\x1bcb\x1b7c\x1b#8d", "abcd"),
            ("a\x08\x07\rb\x7f\x00c\u{85}d", "abcd"),
            ("\x1b]0;no end", ""),
            ("end\x1b", "end"),
        ] {
            assert_eq!(strip(text), kept, "{text:?}");
        }
        assert_eq!(escape("{\"a\":\"\u{9b}\"}\n"), "{\"a\":\"\\u009b\"}\n");
    }

    #[test]
    fn lines_fit() {
        let line = Line::new("漢字 and more".to_owned(), Style::Done);
        assert_eq!(line.fit(20), "漢字 and more");
        assert_eq!(line.fit(6), "漢字 …");
        assert_eq!(line.fit(4), "漢…");
        assert_eq!(line.fit(0), "");
        let timed = line.at(1.0);
        assert_eq!(timed.fit(20), "漢字 and more   1.0s");
        assert_eq!(timed.fit(10), "漢字… 1.0s");
        assert_eq!(Style::Done.paint("x"), "\x1b[34mx\x1b[0m");
    }
}
