//! The Go programs of `tools/`, which answer with what BuildKit and containerd themselves do.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::{program, repository_root};

/// A running program that answers each line of JSON with one. Dropping it ends the program.
#[derive(Debug)]
pub struct Oracle {
    name: String,
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Oracle {
    /// Compiles and starts the program of this name; Go compiles again only what changed.
    ///
    /// # Panics
    /// Where Go is missing, or the program does not compile or start.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let built = folder.path().join(name);
        let status = Command::new(program("go"))
            .args(["build", "-buildvcs=false", "-o"])
            .arg(&built)
            .arg(format!("./{name}"))
            .current_dir(repository_root().join("tools"))
            .status()
            .expect("go starts");
        assert!(status.success(), "tools/{name} does not compile");
        let mut child = Command::new(&built)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name: name.to_owned(),
            questions: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("its output is a pipe")),
            child,
            _folder: folder,
        }
    }

    /// Asks it, and waits for its answer.
    ///
    /// # Panics
    /// Where it ends, or answers in another form.
    pub fn ask<A: DeserializeOwned>(&mut self, question: &impl Serialize) -> A {
        let mut line = serde_json::to_string(question).expect("a question has a JSON form");
        let questions = self.questions.as_mut().expect("its input is a pipe");
        writeln!(questions, "{line}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let asked = std::mem::take(&mut line);
        let read = self.answers.read_line(&mut line);
        let read = read.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        assert!(read > 0, "{} ended at {asked}", self.name);
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{} answers {line}: {error}", self.name))
    }
}

impl Drop for Oracle {
    /// It ends with its input.
    fn drop(&mut self) {
        drop(self.questions.take());
        let _status = self.child.wait();
    }
}
