//! `.build-failures.log`: one line for each failed attempt, to be tailed and grepped. Logging can
//! never fail a build: what cannot be written is told once as a warning.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::event::Attempt;
use crate::file;
use crate::report::line::strip;

/// The file's name at a project's root.
pub const FILE_NAME: &str = ".build-failures.log";

/// The log, opened at the first line, so that a run without failures leaves no file.
#[derive(Debug)]
pub struct FailureLog {
    path: PathBuf,
    file: Option<File>,
    broken: bool,
}

impl FailureLog {
    /// Makes a log that will stand at this path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            broken: false,
        }
    }

    /// Appends a line. Returns a warning for the user the first time that it can't.
    pub fn append(&mut self, attempt: &Attempt) -> Option<String> {
        if self.broken {
            return None;
        }
        match self.try_append(&line(attempt)) {
            Ok(()) => None,
            Err(error) => {
                self.broken = true;
                Some(format!(
                    "failures cannot be logged to {}: {error}",
                    self.path.display()
                ))
            }
        }
    }

    fn try_append(&mut self, line: &str) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            // A repository may have put a link there, which leads to a file that runs what it holds.
            none => none.insert(file::append(&self.path)?),
        };
        // One write a line: lines of two processes do not mix.
        file.write_all(line.as_bytes())
    }
}

fn line(attempt: &Attempt) -> String {
    format!(
        "{} phase={} image={} host={} class={} attempt={} decision={:?} text={:?}\n",
        attempt.time,
        attempt.phase,
        word(&attempt.image),
        word(&attempt.host),
        attempt.class,
        attempt.attempt,
        attempt.decision,
        strip(&attempt.text).replace(['\n', '\t'], " ")
    )
}

/// Writes a name; one that no registry has is quoted and escaped, so that a line stays a line and a
/// field a field.
fn word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/@[]+".contains(c);
    if name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(text: &str) -> Attempt {
        Attempt {
            time: "2026-11-24T08:00:00Z".to_owned(),
            phase: sealift_failure::Phase::Token,
            image: "docker.io/library/busybox:1.36".to_owned(),
            host: "auth.docker.io".to_owned(),
            class: crate::error::Kind::Network,
            text: text.to_owned(),
            attempt: 2,
            decision: "retry in 1.2s".to_owned(),
        }
    }

    #[test]
    fn one_line_an_event_whatever_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut log = FailureLog::new(&path);
        assert!(!path.exists());
        assert_eq!(log.append(&attempt("i/o timeout")), None);
        assert_eq!(log.append(&attempt("two\nlines \"quoted\"")), None);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().next().unwrap(),
            "2026-11-24T08:00:00Z phase=token image=docker.io/library/busybox:1.36 \
             host=auth.docker.io class=network attempt=2 decision=\"retry in 1.2s\" \
             text=\"i/o timeout\""
        );
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn what_a_build_says_is_escaped() {
        let hostile = Attempt {
            host: "a b\u{9b}1m\nc".to_owned(),
            ..attempt("\u{1b}]0;title\u{7}two\nlines \"quoted\"")
        };
        assert_eq!(
            line(&hostile),
            "2026-11-24T08:00:00Z phase=token image=docker.io/library/busybox:1.36 \
             host=\"a b\\u{9b}1m\\nc\" class=network attempt=2 decision=\"retry in 1.2s\" \
             text=\"two lines \\\"quoted\\\"\"\n"
        );
    }

    #[test]
    fn a_link_that_a_repository_brought_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (folder.path().join("rc"), folder.path().join(FILE_NAME));
        std::fs::write(&target, "mine\n").unwrap();
        std::os::unix::fs::symlink("rc", &path).unwrap();
        let warning = FailureLog::new(&path).append(&attempt("$(touch x)"));
        let path = path.display();
        assert_eq!(
            warning.unwrap(),
            format!("failures cannot be logged to {path}: it is a symbolic link")
        );
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_warns_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = FailureLog::new(&folder.path().join("gone/x"));
        assert!(log.append(&attempt("a")).unwrap().contains("gone/x"));
        assert_eq!(log.append(&attempt("b")), None);
    }
}
