//! The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?` and `\` in front of these.

use regex::{Regex, RegexBuilder};

use super::GROWTH_MAX;

/// Why an expansion ends early.
pub(super) const TOO_LONG: &str = "the result is more than 128 KiB longer than the text";

type Outcome<T> = Result<T, String>;

/// Removes the shortest or longest start that matches.
pub(super) fn trim_start(value: &str, pattern: &str, longest: bool) -> Outcome<String> {
    let matched = compile(pattern, longest, "^")?.find(value);
    Ok(value[matched.map_or(0, |found| found.end())..].to_owned())
}

/// Removes the shortest or longest end that matches. Both are turned round, so that the match
/// nearest to the end is found first.
pub(super) fn trim_end(value: &str, pattern: &str, longest: bool) -> Outcome<String> {
    let value: String = value.chars().rev().collect();
    let trimmed = trim_start(&value, &reversed(pattern), longest)?;
    Ok(trimmed.chars().rev().collect())
}

/// Replaces the first match, or every one. `$1` in the replacement of every match stands for a
/// group, and there are none: BuildKit's rule.
pub(super) fn replace(
    value: &str,
    pattern: &str,
    replacement: &str,
    every: bool,
) -> Outcome<String> {
    let regex = compile(pattern, true, "")?;
    if every {
        let growth = regex
            .find_iter(value)
            .count()
            .saturating_mul(replacement.len());
        if growth > value.len().saturating_add(GROWTH_MAX) {
            return Err(TOO_LONG.to_owned());
        }
        return Ok(regex.replace_all(value, replacement).into_owned());
    }
    Ok(match regex.find(value) {
        Some(found) => [&value[..found.start()], replacement, &value[found.end()..]].concat(),
        None => value.to_owned(),
    })
}

/// Turns a pattern round, keeping each escape in front of its character.
fn reversed(pattern: &str) -> String {
    let mut units: Vec<String> = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        units.push([Some(c), escaped].into_iter().flatten().collect());
    }
    units.into_iter().rev().collect()
}

fn compile(pattern: &str, longest: bool, anchor: &str) -> Outcome<Regex> {
    let mut text = anchor.to_owned();
    let mut chars = pattern
        .strip_prefix('\u{feff}')
        .unwrap_or(pattern)
        .chars()
        .peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => text.push_str(if longest { ".*" } else { ".*?" }),
            '?' => text.push('.'),
            // The escape of a } or / is there for ${…} only.
            '\\' if matches!(chars.peek(), Some('}' | '/')) => {}
            '\\' => match chars.next() {
                Some(c @ ('*' | '?' | '\\')) => text.push_str(&regex::escape(&c.to_string())),
                _ => return Err(format!("invalid escape in the pattern {pattern:?}")),
            },
            c => text.push_str(&regex::escape(&c.to_string())),
        }
    }
    RegexBuilder::new(&text)
        .build()
        .map_err(|_| format!("the pattern {pattern:?} is too large"))
}
