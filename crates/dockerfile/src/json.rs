//! The little JSON that Dockerfiles have in them: an array of arguments, an object with `syntax`.
//!
//! It accepts exactly what Go's `encoding/json` does, where serde_json is stricter (a lone
//! surrogate becomes U+FFFD), since what is no JSON silently becomes a shell command.

/// A member of the outermost array or object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A string.
    Text(String),
    /// Anything else; its inside is checked and dropped.
    Other,
}

/// Reads a document that is one array. None where it is not, or is no JSON.
pub(crate) fn array(text: &str) -> Option<Vec<Value>> {
    let mut scanner = Scanner::new(text);
    let mut values = Vec::new();
    scanner.expect(b'[')?;
    if !scanner.accept(b']') {
        loop {
            values.push(scanner.value()?);
            if scanner.accept(b']') {
                break;
            }
            scanner.expect(b',')?;
        }
    }
    scanner.end().then_some(values)
}

/// Reads a document that is one object. None where it is not, or is no JSON.
pub(crate) fn object(text: &str) -> Option<Vec<(String, Value)>> {
    let mut scanner = Scanner::new(text);
    let mut members = Vec::new();
    scanner.expect(b'{')?;
    if !scanner.accept(b'}') {
        loop {
            scanner.blank();
            let key = scanner.text()?;
            scanner.expect(b':')?;
            members.push((key, scanner.value()?));
            if scanner.accept(b'}') {
                break;
            }
            scanner.expect(b',')?;
        }
    }
    scanner.end().then_some(members)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.blank();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }

    fn end(&mut self) -> bool {
        self.blank();
        self.at == self.text.len()
    }

    fn value(&mut self) -> Option<Value> {
        self.blank();
        if self.peek()? == b'"' {
            return self.text().map(Value::Text);
        }
        self.skip()?;
        Some(Value::Other)
    }

    /// Checks a value of any depth without recursion.
    fn skip(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            self.blank();
            match self.peek()? {
                bracket @ (b'[' | b'{') => {
                    self.at += 1;
                    if !self.accept(closing(bracket)) {
                        open.push(bracket);
                        self.key(bracket)?;
                        continue;
                    }
                }
                b'"' => self.text().map(drop)?,
                _ => self.scalar()?,
            }
            loop {
                let Some(&bracket) = open.last() else {
                    return Some(());
                };
                if self.accept(b',') {
                    self.key(bracket)?;
                    break;
                }
                self.expect(closing(bracket))?;
                open.pop();
            }
        }
    }

    fn key(&mut self, bracket: u8) -> Option<()> {
        if bracket == b'{' {
            self.blank();
            self.text()?;
            self.expect(b':')?;
        }
        Some(())
    }

    fn scalar(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let length = rest
            .find(|c: char| !matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '+' | '-' | '.'))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        (matches!(word, "true" | "false" | "null") || is_number(word)).then_some(())
    }

    fn text(&mut self) -> Option<String> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let c = self.text[self.at..].chars().next()?;
            self.at += c.len_utf8();
            match c {
                '"' => return Some(out),
                '\\' => out.push(self.escape()?),
                '\0'..='\u{1f}' => return None,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex()?;
                self.at += 4;
                self.character(unit)
            }
            _ => return None,
        })
    }

    /// Joins a surrogate with the one behind it; a lone one becomes U+FFFD.
    fn character(&mut self, unit: u16) -> char {
        if let Some(c) = char::from_u32(u32::from(unit)) {
            return c;
        }
        if self.text[self.at..].starts_with("\\u") {
            let behind = Scanner {
                text: self.text,
                at: self.at + 2,
            };
            if let Some(low) = behind.hex()
                && let Some(Ok(c)) = char::decode_utf16([unit, low]).next()
            {
                self.at += 6;
                return c;
            }
        }
        char::REPLACEMENT_CHARACTER
    }

    fn hex(&self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| u16::from_str_radix(digits, 16).ok())?
    }
}

const fn closing(bracket: u8) -> u8 {
    if bracket == b'[' { b']' } else { b'}' }
}

/// Returns whether a word is a JSON number that a double can hold.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
        && word.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::{Value, array, object};

    fn texts(text: &str) -> Option<Vec<Value>> {
        array(text)
    }

    #[test]
    fn reads_arrays_as_go_does() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(texts("[]"), Some(vec![]));
        assert_eq!(
            texts(r#" [ "a" , "b\u0041\n" ] "#),
            Some(vec![text("a"), text("bA\n")])
        );
        assert_eq!(
            texts(r#"["\ud83d\ude00","\ud83d"]"#),
            Some(vec![text("😀"), text("\u{fffd}")])
        );
        assert_eq!(
            texts(r#"[1, -0.5e3, null, [["x"], {"a": [{}]}], {}]"#),
            Some(vec![Value::Other; 5])
        );
    }

    #[test]
    fn refuses_what_is_no_array() {
        for bad in [
            "",
            "[",
            "[,]",
            r#"["a",]"#,
            r#"["a"] x"#,
            r#"['a']"#,
            "[01]",
            "[1.]",
            "[1e999]",
            r#"["\x"]"#,
            "[\"\t\"]",
            "[[}]",
            r#"[{"a"}]"#,
            r#"{"a":1}"#,
            "[tru]",
            r#"["\u12"]"#,
            r#"["\u+123"]"#,
            "[-]",
            "[+1]",
        ] {
            assert_eq!(array(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_objects_and_deep_nests() {
        assert_eq!(
            object(r#"{"a": {"b": [1]}, "syntax": "x"}"#),
            Some(vec![
                ("a".to_owned(), Value::Other),
                ("syntax".to_owned(), Value::Text("x".to_owned()))
            ])
        );
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(array(&deep), Some(vec![Value::Other]));
    }
}
