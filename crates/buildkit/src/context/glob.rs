//! Shell patterns by the rules of Go's `filepath.Match`: `*` and `?` match no slash, `[a-z]` and
//! `[^a-z]` match one character, a backslash takes the next character as it is.

use std::ops::RangeInclusive;

/// A malformed pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Debug)]
enum Token {
    Star,
    Any,
    Class {
        negated: bool,
        ranges: Vec<RangeInclusive<char>>,
    },
    Literal(char),
}

/// Returns whether a name matches a pattern as a whole.
pub(super) fn matches(pattern: &str, name: &str) -> Result<bool, Malformed> {
    let tokens = parse(pattern)?;
    let name: Vec<char> = name.chars().collect();
    Ok(matches_from(&tokens, &name))
}

fn parse(pattern: &str) -> Result<Vec<Token>, Malformed> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Literal(characters.next().ok_or(Malformed)?),
            '[' => parse_class(&mut characters)?,
            _ => Token::Literal(c),
        });
    }
    Ok(tokens)
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn parse_class(characters: &mut Characters<'_>) -> Result<Token, Malformed> {
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && characters.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_character(characters)?;
        let high = match characters.next_if_eq(&'-') {
            Some(_) => class_character(characters)?,
            None => low,
        };
        // As in Go, the class must go on: to another range or to its end.
        characters.peek().ok_or(Malformed)?;
        ranges.push(low..=high);
    }
}

fn class_character(characters: &mut Characters<'_>) -> Result<char, Malformed> {
    match characters.next() {
        None | Some('-' | ']') => Err(Malformed),
        Some('\\') => characters.next().ok_or(Malformed),
        Some(c) => Ok(c),
    }
}

/// Matches with one point to come back to: the last star.
fn matches_from(tokens: &[Token], name: &[char]) -> bool {
    let (mut t, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let here = match (tokens.get(t), name.get(n)) {
            (None, None) => return true,
            (Some(Token::Star), _) => {
                star = Some((t, n));
                t += 1;
                continue;
            }
            (Some(Token::Any), Some(c)) => *c != '/',
            (Some(Token::Class { negated, ranges }), Some(c)) => {
                ranges.iter().any(|range| range.contains(c)) != *negated
            }
            (Some(Token::Literal(literal)), Some(c)) => literal == c,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if here {
            t += 1;
            n += 1;
            continue;
        }
        match star {
            Some((at, from)) if from < name.len() && name[from] != '/' => {
                star = Some((at, from + 1));
                t = at + 1;
                n = from + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_go_does() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a/b", false),
            ("a*/b", "abc/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("*x", "xxx", true),
        ] {
            assert_eq!(matches(pattern, name), Ok(expected), "{pattern} {name}");
        }
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "a[", "[", "[^", "[^bc", "[a-b-c]", "\\", "ab\\", "[a",
        ] {
            assert_eq!(matches(pattern, "a"), Err(Malformed), "{pattern}");
        }
    }
}
