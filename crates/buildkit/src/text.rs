//! Text from outside, made fit for a terminal.

/// Replaces control characters but for tabs and line ends, each by one other character so that
/// columns stay: a Dockerfile or a build step must not steer the terminal that shows it.
pub(crate) fn printable(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' | '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        _ if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            '\u{fffd}'
        }
        _ => c,
    };
    text.replace("\r\n", "\n").chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let text = "a\tb\r\nc\x1b]0;x\x07\u{9b}2J\u{202e}é\x7f\r\n";
        assert_eq!(printable(text), "a\tb\nc␛]0;x␇\u{fffd}2J\u{fffd}é␡\n");
    }
}
