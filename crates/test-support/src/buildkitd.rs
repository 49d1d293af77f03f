//! A real buildkitd with its runc worker.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{small_disk, unmount_below};
use crate::{Process, program};

/// A running buildkitd on a Unix socket, with state of its own.
#[derive(Debug)]
pub struct Buildkitd {
    process: Process,
    folder: TempDir,
}

impl Buildkitd {
    /// Starts one with its default settings.
    ///
    /// # Panics
    /// Where buildkitd or runc is missing, or it does not become ready.
    #[must_use]
    pub fn start() -> Self {
        Self::with("", &[], &[])
    }

    /// Starts one with the text of a `buildkitd.toml`, more environment (nothing else is inherited
    /// but PATH) and more arguments.
    ///
    /// # Panics
    /// As [`Buildkitd::start`].
    #[must_use]
    pub fn with(settings: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::within(folder(), settings, environment, arguments)
    }

    /// Starts one whose disk has room for so many megabytes.
    ///
    /// # Panics
    /// As [`Buildkitd::start`], and where this process may not mount.
    #[must_use]
    pub fn cramped(megabytes: u32) -> Self {
        let folder = folder();
        small_disk(&folder.path().join("root"), megabytes);
        Self::within(folder, "", &[], &[])
    }

    fn within(
        folder: TempDir,
        settings: &str,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let file = folder.path().join("buildkitd.toml");
        std::fs::write(&file, settings).expect("a temporary folder can be written");
        let runc = program("runc");
        let mut command = Command::new(program("buildkitd"));
        command
            .arg("--config")
            .arg(&file)
            .arg("--root")
            .arg(folder.path().join("root"))
            .arg("--addr")
            .arg(format!("unix://{}", socket(folder.path()).display()))
            .arg("--otel-socket-path")
            .arg(socket(folder.path()).with_extension("otel"))
            .args(["--containerd-worker=false", "--oci-worker=true"])
            .args(["--oci-worker-net=host", "--oci-worker-binary"])
            .arg(runc)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            .envs(environment.iter().copied());
        let mut process = Process::start(command, &folder.path().join("log"));
        let address = format!("unix://{}", socket(folder.path()).display());
        process.wait_until("an answer to buildctl debug workers", || {
            let workers = Command::new(program("buildctl"))
                .args(["--addr", &address, "debug", "workers"])
                .output();
            workers.ok().filter(|output| output.status.success())
        });
        Self { process, folder }
    }

    /// Returns `unix://PATH`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Returns the socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// Returns all that it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Ends it with SIGKILL, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

impl Drop for Buildkitd {
    fn drop(&mut self) {
        self.process.stop();
        unmount_below(self.folder.path());
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("bk")
        .tempdir()
        .expect("a temporary folder can be made")
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("buildkitd.sock")
}
