//! Groups of options that commands share, and the values that they are read into.

pub mod build_line;
pub mod input;
pub mod network;
pub mod result;
pub mod steps;

use std::time::Duration;

use clap::{Args, ValueEnum};
use sealift_oci::Platform;

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t, value_name = "KIND")]
    pub progress: Progress,
    /// Shows more: -v each retry, -vv each request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A live view on a terminal, lines elsewhere
    #[default]
    Auto,
    /// Lines
    Plain,
    /// JSON on standard output, one object per line
    Json,
    /// Errors only
    Quiet,
}

/// Which builder is used.
#[derive(Debug, Clone, Args)]
pub struct BuilderArgs {
    /// A buildkitd's address: unix://PATH, tcp://HOST:PORT, docker-container://NAME, exec:COMMAND
    /// [default: BUILDKIT_HOST, else a local one that sealift starts]
    #[arg(long, value_name = "ADDRESS")]
    pub builder: Option<String>,
}

/// Parses a platform of a list; buildx allows blanks behind the commas.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_platform(text: &str) -> Result<Platform, String> {
    Platform::parse(text.trim()).map_err(|error| error.to_string())
}

/// Leaves out what was given before: the same image or platform twice is one.
#[must_use]
pub fn once<T: PartialEq>(given: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for one in given {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

/// Parses a time such as `500ms`, `90s`, `10m`, `1h30m`, or seconds as a bare number.
///
/// # Errors
/// Says the form that is wanted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let form = || format!("{text:?} is not a valid duration; write it like 90s, 10m or 1h30m");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
        let number: u32 = rest[..digits].parse().map_err(|_| form())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(form()),
        };
        total += unit * number;
        rest = &rest[letters..];
    }
    if text.is_empty() {
        Err(form())
    } else {
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        for text in ["", "x", "10x", "m", "5s3", "-1s"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
