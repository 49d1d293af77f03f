//! The lines of a Dockerfile that an error or a warning is about.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer};

use crate::proto::pb;
use crate::text::printable;

/// A source file and the places in it that something is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Name of the file, as the frontend knows it.
    pub filename: String,
    /// The whole file.
    pub text: String,
    /// The places.
    pub ranges: Vec<Range>,
}

/// A place in a source file. Lines count from 1, characters from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First line.
    pub first_line: u32,
    /// Character in the first line.
    pub first_character: u32,
    /// Last line, included.
    pub last_line: u32,
    /// Character in the last line.
    pub last_character: u32,
}

impl Excerpt {
    /// Returns the first and the last line of all places together, cut to the lines there are.
    #[must_use]
    pub fn lines(&self) -> Option<RangeInclusive<u32>> {
        let first = self.ranges.iter().map(|range| range.first_line).min()?;
        let last = self.ranges.iter().map(|range| range.last_line).max()?;
        let count = u32::try_from(self.text.lines().count()).unwrap_or(u32::MAX);
        (1..=count)
            .contains(&first)
            .then(|| first..=last.clamp(first, count))
    }

    /// Returns whether a line is part of one of the places.
    fn marks(&self, line: u32) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|range| (range.first_line..=range.last_line).contains(&line))
    }

    /// Returns the lines of the places and `around` more on either side: number, text, marked.
    #[must_use]
    pub fn window(&self, around: u32) -> Vec<(u32, &str, bool)> {
        let Some(lines) = self.lines() else {
            return Vec::new();
        };
        let first = lines.start().saturating_sub(around).max(1);
        let last = lines.end().saturating_add(around);
        (1..)
            .zip(self.text.lines())
            .filter(|(number, _)| (first..=last).contains(number))
            .map(|(number, text)| (number, text, self.marks(number)))
            .collect()
    }

    /// Returns the `--platform` of the stage that the first place is in, as it is written; a stage
    /// that is based on another one has that one's.
    pub(crate) fn stage_platform(&self) -> Option<&str> {
        let line = usize::try_from(*self.lines()?.start()).ok()?;
        let mut stages: Vec<(&str, Option<&str>)> = Vec::new();
        for line in self.text.lines().take(line) {
            let mut words = line.split_whitespace();
            let word = words.next().unwrap_or_default();
            if !word.eq_ignore_ascii_case("FROM") {
                continue;
            }
            let (flags, words): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with("--"));
            let own = flags
                .iter()
                .find_map(|flag| flag.strip_prefix("--platform="));
            let base = words.first().copied().unwrap_or_default();
            let mut earlier = stages.iter().rev();
            let earlier = earlier.find(|(name, _)| name.eq_ignore_ascii_case(base));
            let platform = own.or(earlier.and_then(|(_, platform)| *platform));
            stages.push((words.get(2).copied().unwrap_or_default(), platform));
        }
        stages.last()?.1
    }

    pub(crate) fn from_proto(info: pb::SourceInfo, ranges: Vec<pb::Range>) -> Self {
        let position = |position: Option<pb::Position>| {
            let pb::Position { line, character } = position.unwrap_or_default();
            Position { line, character }
        };
        let ranges = ranges.into_iter().map(|range| {
            let (start, end) = (position(range.start), position(range.end));
            Range::new(&start, &end)
        });
        Self {
            filename: printable(&info.filename),
            text: printable(&String::from_utf8_lossy(&info.data)),
            ranges: ranges.collect(),
        }
    }

    /// Reads the JSON of an `errdefs.Source`.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        let source: Source = serde_json::from_slice(json).ok()?;
        let info = source.info?;
        let ranges = source.ranges.iter();
        Some(Self {
            filename: printable(&info.filename),
            text: printable(&String::from_utf8_lossy(&info.data)),
            ranges: ranges
                .map(|range| Range::new(&range.start, &range.end))
                .collect(),
        })
    }
}

impl Range {
    fn new(start: &Position, end: &Position) -> Self {
        let number = |n: i32| n.max(0).unsigned_abs();
        Self {
            first_line: number(start.line),
            first_character: number(start.character),
            last_line: number(end.line.max(start.line)),
            last_character: number(end.character),
        }
    }
}

#[derive(Deserialize)]
struct Source {
    info: Option<Info>,
    #[serde(default)]
    ranges: Vec<JsonRange>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    filename: String,
    #[serde(default, deserialize_with = "base64")]
    data: Vec<u8>,
}

#[derive(Deserialize)]
struct JsonRange {
    #[serde(default)]
    start: Position,
    #[serde(default)]
    end: Position,
}

#[derive(Deserialize, Default)]
struct Position {
    #[serde(default)]
    line: i32,
    #[serde(default)]
    character: i32,
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    use base64::Engine as _;
    let text = String::deserialize(deserializer)?;
    let engine = base64::engine::general_purpose::STANDARD;
    engine.decode(text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_json_and_shows_a_window() {
        let json =
            br#"{"info":{"filename":"Dockerfile","data":"RlJPTSBhClJVTiBiClJVTiBjClJVTiBkCg=="},
            "ranges":[{"start":{"line":2},"end":{"line":2,"character":5}}]}"#;
        let excerpt = Excerpt::from_json(json).unwrap();
        assert_eq!(excerpt.lines(), Some(2..=2));
        assert_eq!(
            excerpt.window(1),
            [
                (1, "FROM a", false),
                (2, "RUN b", true),
                (3, "RUN c", false)
            ]
        );
    }

    #[test]
    fn a_place_outside_the_file_gives_no_lines() {
        let at = |line| Position { line, character: 0 };
        let range = Range::new(&at(9), &at(12));
        let excerpt = Excerpt {
            filename: "Dockerfile".to_owned(),
            text: "FROM a\n".to_owned(),
            ranges: vec![range],
        };
        assert_eq!(excerpt.lines(), None);
        assert!(excerpt.window(3).is_empty());
        assert!(Excerpt::from_json(b"[]").is_none());
    }

    #[test]
    fn a_stage_has_a_platform() {
        let text = "FROM --platform=$BUILDPLATFORM a AS one\nRUN x\n\nfrom One as two\nRUN y\nFROM b\nRUN z\nFROM --platform=linux/arm64 two\nRUN q\n";
        let platform = |line| {
            let at = |line| Position { line, character: 0 };
            let excerpt = Excerpt {
                filename: String::new(),
                text: text.to_owned(),
                ranges: vec![Range::new(&at(line), &at(line))],
            };
            excerpt.stage_platform().map(str::to_owned)
        };
        let build = Some("$BUILDPLATFORM".to_owned());
        assert_eq!([2, 5].map(platform), [build.clone(), build]);
        assert_eq!([7, 9].map(platform), [None, Some("linux/arm64".to_owned())]);
    }
}
