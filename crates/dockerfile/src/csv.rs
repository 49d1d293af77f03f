//! Comma-separated values on one line, by the rules of Go's `encoding/csv`: how flags with options of
//! their own are written.

use crate::error::{Cause, Result};

/// Splits one line of comma-separated values with Go's rules for quotes.
pub(crate) fn csv(text: &str) -> Result<Vec<String>> {
    let invalid = || Cause::Csv {
        list: text.to_owned(),
    };
    let mut rest = text.strip_suffix('\n').unwrap_or(text);
    if rest.is_empty() {
        return Err(invalid().into());
    }
    let mut fields = Vec::new();
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, behind) = match rest.split_once(',') {
                Some((field, behind)) => (field, Some(behind)),
                None => (rest, None),
            };
            if field.contains('"') {
                return Err(invalid().into());
            }
            fields.push(field.to_owned());
            match behind {
                Some(behind) => rest = behind,
                None => return Ok(fields),
            }
            continue;
        };
        let (field, behind) = csv_quoted(quoted).ok_or_else(invalid)?;
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if behind.is_empty() => return Ok(fields),
            None => return Err(invalid().into()),
        }
    }
}

/// Reads a quoted value behind its opening quote. Returns it and what stands behind it.
fn csv_quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (piece, behind) = rest.split_once('"')?;
        field.push_str(piece);
        match behind.strip_prefix('"') {
            Some(behind) => {
                field.push('"');
                rest = behind;
            }
            None => return Some((field, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::csv;

    #[test]
    fn splits_comma_separated_values() {
        assert_eq!(csv("a,b=c,").unwrap(), ["a", "b=c", ""]);
        assert_eq!(csv(r#""a,b","c""d",e"#).unwrap(), ["a,b", "c\"d", "e"]);
        for bad in ["", "a\"b", "\"a\"b", "\"a", "\"a\"\"", "\n"] {
            assert!(csv(bad).is_err(), "{bad:?}");
        }
    }
}
