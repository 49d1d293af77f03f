//! The ways in which instructions split their arguments into words.

use crate::error::{Cause, Result};

/// The blanks that separate a keyword from its arguments, and arguments from each other.
fn is_separator(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Splits at the first run of blanks.
pub(crate) fn split_once(text: &str) -> Option<(&str, &str)> {
    let at = text.find(is_separator)?;
    Some((&text[..at], text[at..].trim_start_matches(is_separator)))
}

/// Takes a text as one word; an empty one as none.
pub(crate) fn whole(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    vec![text.to_owned()]
}

/// Splits at every run of blanks, whatever quotes there are.
pub(crate) fn blank_separated(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some((word, behind)) = split_once(rest) {
        words.push(word.to_owned());
        rest = behind;
    }
    if !rest.is_empty() || !words.is_empty() {
        words.push(rest.to_owned());
    }
    words
}

/// Splits at blanks outside of quotes. Quotes and escapes stay in the words.
pub(crate) fn quoted(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take().filter(|word| !word.is_empty()));
            continue;
        }
        let current = word.get_or_insert_default();
        match quote {
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            // An escape at the very end is dropped.
            let Some(escaped) = chars.next() else {
                break;
            };
            current.push(c);
            current.push(escaped);
            continue;
        }
        current.push(c);
    }
    words.extend(word.filter(|word| !word.is_empty()));
    words
}

/// Reads `name=value …`, or the old form `name value`, as name, value and separator in turn.
pub(crate) fn pairs(text: &str, keyword: &'static str, escape: char) -> Result<Vec<String>> {
    let words = quoted(text, escape);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.contains('=') {
        let Some((name, value)) = split_once(text) else {
            let word = first.clone();
            return Err(Cause::NoEquals { keyword, word }.into());
        };
        return Ok(vec![name.to_owned(), value.to_owned(), String::new()]);
    }
    let mut out = Vec::with_capacity(words.len() * 3);
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(Cause::NoEquals { keyword, word }.into());
        };
        out.extend([name, value, "="].map(str::to_owned));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{blank_separated, pairs, quoted};

    #[test]
    fn splits_at_blanks() {
        assert_eq!(blank_separated("a  b\tc"), ["a", "b", "c"]);
        assert_eq!(blank_separated("'a b'"), ["'a", "b'"]);
        assert!(blank_separated("").is_empty());
    }

    #[test]
    fn keeps_quotes_and_escapes_in_words() {
        assert_eq!(
            quoted(r#"a="b c" 'd e'f \ g"#, '\\'),
            [r#"a="b c""#, "'d e'f", r"\ g"]
        );
        assert_eq!(quoted(r#"a="\"" b\"#, '\\'), [r#"a="\"""#, "b"]);
        assert_eq!(quoted(r"a='\' b", '\\'), [r"a='\'", "b"]);
        assert_eq!(quoted("a=` b", '`'), ["a=` b"]);
    }

    #[test]
    fn reads_pairs_in_both_forms() {
        assert_eq!(pairs("a b c=d", "ENV", '\\').unwrap(), ["a", "b c=d", ""]);
        assert_eq!(
            pairs("a=b c=d=e", "ENV", '\\').unwrap(),
            ["a", "b", "=", "c", "d=e", "="]
        );
        assert!(pairs("a", "ENV", '\\').is_err());
        assert!(pairs("a=b c", "ENV", '\\').is_err());
    }
}
