//! Runs the `sealift` program in a home of its own, with nothing of the user's.

use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::process::unmount_below;
use crate::program;

/// The program with an isolated environment: home, store, Docker's and XDG's folders. All runs of
/// one value share them.
#[derive(Debug)]
pub struct Sealift {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    home: TempDir,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Outcome {
    /// Returns itself after a run that succeeded.
    ///
    /// # Panics
    /// Where it did not, with all that was printed.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(
            self.code,
            Some(0),
            "sealift failed\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Returns itself after a run that failed by itself.
    ///
    /// # Panics
    /// Where it succeeded or was ended by a signal, with all that was printed.
    #[track_caller]
    pub fn failure(self) -> Self {
        assert!(
            self.code.is_some_and(|code| code != 0),
            "sealift did not fail by itself ({:?})\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Sealift {
    /// Takes the program at `binary`: `env!("CARGO_BIN_EXE_sealift")` in sealift's own tests.
    ///
    /// # Panics
    /// Where no temporary folder can be made.
    #[must_use]
    pub fn new(binary: impl AsRef<Path>) -> Self {
        // A short name: Unix sockets below it must fit in 107 bytes.
        let home = tempfile::Builder::new()
            .prefix("sl")
            .tempdir()
            .expect("a temporary folder can be made");
        Self {
            binary: binary.as_ref().to_owned(),
            environment: Vec::new(),
            home,
        }
    }

    /// Sets a variable for every run.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the home folder; the store is in `sealift` below it, Docker's settings in `.docker`.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns `SEALIFT_HOME`.
    #[must_use]
    pub fn store_home(&self) -> PathBuf {
        self.home.path().join("sealift")
    }

    /// Returns the command for a run, for callers that change or watch it.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, folder: &Path, arguments: &[A]) -> Command {
        let home = self.home.path();
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", home)
            .env("TMPDIR", std::env::temp_dir())
            .env("SEALIFT_HOME", self.store_home())
            .env("DOCKER_CONFIG", home.join(".docker"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env("RUST_BACKTRACE", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// Where the program cannot be started.
    #[must_use]
    pub fn run<A: AsRef<OsStr>>(&self, folder: &Path, arguments: &[A]) -> Outcome {
        self.run_with_input(folder, arguments, b"")
    }

    /// Runs to the end, with these bytes as standard input.
    ///
    /// # Panics
    /// Where the program cannot be started.
    #[must_use]
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        arguments: &[A],
        input: &[u8],
    ) -> Outcome {
        let mut file = tempfile::tempfile().expect("a temporary file can be made");
        file.write_all(input)
            .and_then(|()| file.rewind())
            .expect("a temporary file can be written");
        let output = self
            .command(folder, arguments)
            .stdin(file)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a run, with its output thrown away, for callers that interrupt it.
    ///
    /// # Panics
    /// Where the program cannot be started.
    #[must_use]
    pub fn spawn<A: AsRef<OsStr>>(&self, folder: &Path, arguments: &[A]) -> Child {
        self.command(folder, arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()))
    }
}

impl Drop for Sealift {
    /// Ends the builder that the program keeps running between runs, or its folder would stay.
    fn drop(&mut self) {
        if self.store_home().join("builder").exists() {
            let _best_effort = self
                .command(self.home.path(), &["builder", "stop"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
        unmount_below(self.home.path());
    }
}

/// The machine's PATH, after the folder of the buildkitd that `tools/setup` compiled.
fn search_path() -> std::ffi::OsString {
    let buildkitd = program("buildkitd");
    let folder = buildkitd.parent().map(Path::to_owned).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}
