//! Heredocs: `<<NAME`, `<<-NAME`, `<<"NAME"`, `3<<NAME`, in RUN, COPY and ADD.

use crate::directive::is_blank;
use crate::error::{Cause, Result};
use crate::shell::{Lexer, NoVariables};

/// A heredoc and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The terminator, without quotes.
    pub name: String,
    /// The file descriptor in front of the `<<`, 0 where there is none.
    pub descriptor: u64,
    /// Whether variables in the content are expanded: no part of the name was quoted.
    pub expand: bool,
    /// Whether leading tabs are removed: `<<-`.
    pub chomp: bool,
    /// The lines up to the terminator, as they stand.
    pub content: String,
}

impl Heredoc {
    /// Returns the content as the build sees it, without leading tabs for `<<-`.
    #[must_use]
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Returns whether a line, without its ending, is the terminator.
    pub(crate) fn ends_at(&self, line: &str) -> bool {
        let line = if self.chomp {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }
}

/// Reads one word as a heredoc. None where it is none.
pub(crate) fn parse(word: &str) -> Result<Option<Heredoc>> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (descriptor, rest) = word.split_at(digits);
    let Some(rest) = rest.strip_prefix("<<") else {
        return Ok(None);
    };
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start_matches(is_blank);
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let mut lexer = Lexer::new('\\');
    lexer.skip_unset = true;
    let plain = lexer.expand(rest, &NoVariables)?.words;
    lexer.raw_quotes = true;
    let raw = lexer.expand(rest, &NoVariables)?.words;
    let [plain] = plain.as_slice() else {
        return Ok(None);
    };
    let [raw] = raw.as_slice() else {
        return Err(Cause::Expansion {
            word: rest.to_owned(),
            reason: "its quotes cannot be told apart".to_owned(),
        }
        .into());
    };
    Ok(Some(Heredoc {
        name: plain.clone(),
        descriptor: match descriptor {
            "" => 0,
            digits => digits.parse().unwrap_or(u64::MAX),
        },
        expand: quotes(plain) == quotes(raw),
        chomp,
        content: String::new(),
    }))
}

fn quotes(word: &str) -> usize {
    word.matches(['\'', '"']).count()
}

/// Finds the heredocs that a line opens. A line that the lexer cannot read has none.
pub(crate) fn opened(line: &str) -> Result<Vec<Heredoc>> {
    let mut lexer = Lexer::new('\\');
    lexer.raw_quotes = true;
    lexer.raw_escapes = true;
    lexer.skip_unset = true;
    let words = match lexer.expand(line, &NoVariables) {
        Ok(expansion) => expansion.words,
        Err(_) => Vec::new(),
    };
    let found: Result<Vec<Option<Heredoc>>> = words.iter().map(|word| parse(word)).collect();
    Ok(found?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::{opened, parse};

    fn names(line: &str) -> Vec<String> {
        let found = opened(line).unwrap();
        found.into_iter().map(|heredoc| heredoc.name).collect()
    }

    #[test]
    fn reads_every_form() {
        let read = |word: &str| {
            let heredoc = parse(word).unwrap().unwrap();
            (
                heredoc.name,
                heredoc.descriptor,
                heredoc.expand,
                heredoc.chomp,
            )
        };
        assert_eq!(read("<<EOF"), ("EOF".to_owned(), 0, true, false));
        assert_eq!(read("<<-EOF"), ("EOF".to_owned(), 0, true, true));
        assert_eq!(read("3<<\"EOF\""), ("EOF".to_owned(), 3, false, false));
        assert_eq!(read("<< 'a b'"), ("a b".to_owned(), 0, false, false));
        assert_eq!(read("<<E\"O\"F"), ("EOF".to_owned(), 0, false, false));
        for none in ["<<", "<<-", "EOF", "<EOF", "<<<EOF", "a<<EOF", "<<a<b"] {
            assert_eq!(parse(none).unwrap(), None, "{none}");
        }
        assert!(parse("<<'a").is_err());
    }

    #[test]
    fn finds_heredocs_in_a_line() {
        assert_eq!(names("RUN cat <<A <<-B > f"), ["A", "B"]);
        // No shell would take the semicolon; BuildKit does.
        assert_eq!(names("RUN cat << A 2<<'B'; x"), ["A", "B;"]);
        assert_eq!(names("RUN echo \"<<A\" '<<B' \\<<C"), [""; 0]);
        assert_eq!(names("RUN echo it's <<A"), [""; 0]);
        assert_eq!(names("RUN echo ${x^^} <<A"), [""; 0]);
    }
}
