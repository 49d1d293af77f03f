//! `RUN --mount=…`: what is mounted, from where, and the rules between options.

use crate::error::{Cause, Result};

/// A mount with its options as text: variables are expanded when the step is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The value of the flag as written.
    pub text: String,
    /// The stage or image it takes files from, if it names one. This option never expands.
    pub from: Option<String>,
}

impl Mount {
    /// Reads the flag's value. Only `from` is checked here; the rest may hold variables.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut from = None;
        for field in csv(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
                None => (field.to_lowercase(), None),
            };
            if let (Some(value), "from") = (&value, key.as_str()) {
                let dollar = value.find('$');
                if dollar.is_some_and(|at| at + 1 != value.len()) {
                    return Err(Cause::NotExpanded {
                        option: "RUN --mount=from",
                        value: value.clone(),
                    }
                    .into());
                }
                from = Some(value.clone()).filter(|value| !value.is_empty());
            }
        }
        Ok(Self {
            text: text.to_owned(),
            from,
        })
    }
}

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
    use super::{Mount, csv};

    #[test]
    fn splits_comma_separated_values() {
        assert_eq!(csv("a,b=c,").unwrap(), ["a", "b=c", ""]);
        assert_eq!(csv(r#""a,b","c""d",e"#).unwrap(), ["a,b", "c\"d", "e"]);
        for bad in ["", "a\"b", "\"a\"b", "\"a", "\"a\"\"", "\n"] {
            assert!(csv(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reads_from_before_anything_is_expanded() {
        let from = |text: &str| Mount::parse(text).map(|mount| mount.from);
        assert_eq!(from("type=$T,from=a,from=b").unwrap().as_deref(), Some("b"));
        assert_eq!(from("FROM=a$").unwrap().as_deref(), Some("a$"));
        assert_eq!(from("from=,target=/x").unwrap(), None);
        assert_eq!(from("from").unwrap(), None);
        assert!(from("from=$x").is_err());
        assert!(from("from=a${x}").is_err());
    }
}
