//! `NAME=VALUE` options: build arguments and labels.

use crate::error::{Error, Kind, Result};

/// Parses `--build-arg` options. `NAME` alone takes its value from the environment; where it is
/// not set there, the argument is left unset, as docker does. The last of several counts.
///
/// # Errors
/// [`Kind::Usage`] for an empty name.
pub fn build_args<'a>(
    options: &[String],
    environment: impl Fn(&str) -> Option<&'a str>,
) -> Result<Vec<(String, String)>> {
    let mut arguments: Vec<(String, String)> = Vec::new();
    for option in options {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option.as_str(), environment(option)),
        };
        if name.is_empty() {
            return Err(malformed("--build-arg", option));
        }
        arguments.retain(|(known, _)| known != name);
        if let Some(value) = value {
            arguments.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(arguments)
}

/// Parses `NAME=VALUE` options whose value may be left out, as in `--label`.
///
/// # Errors
/// [`Kind::Usage`] for an empty name.
pub fn pairs(flag: &str, options: &[String]) -> Result<Vec<(String, String)>> {
    options
        .iter()
        .map(
            |option| match option.split_once('=').unwrap_or((option, "")) {
                ("", _) => Err(malformed(flag, option)),
                (name, value) => Ok((name.to_owned(), value.to_owned())),
            },
        )
        .collect()
}

fn malformed(flag: &str, option: &str) -> Error {
    Error::new(Kind::Usage, format!("{flag} {option:?} has no name"))
        .hint(format!("write {flag} NAME=VALUE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_args_like_docker() {
        let options = ["A=1", "B=x=y", "HOME", "UNSET", "A=2", "E="].map(str::to_owned);
        let home = |name: &str| (name == "HOME").then_some("/h");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            build_args(&options, home).unwrap(),
            [
                pair("B", "x=y"),
                pair("HOME", "/h"),
                pair("A", "2"),
                pair("E", "")
            ]
        );
        assert!(build_args(&["=x".to_owned()], home).is_err());
        assert!(pairs("--label", &[String::new()]).is_err());
    }
}
