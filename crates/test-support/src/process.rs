//! A daemon that a test started: its log, its readiness and its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a daemon may take to become ready: generous, as other tests run beside it.
const READY: Duration = Duration::from_secs(60);
/// How long a daemon may take to end after SIGTERM, before SIGKILL.
const END: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A running program whose output goes to a file. Dropping it ends the program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with its output appended to `log`.
    ///
    /// # Panics
    /// Where the program cannot be started.
    #[must_use]
    pub fn start(mut command: Command, log: &Path) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = output.try_clone().expect("an open file can be duplicated");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name,
            child,
            log: log.to_owned(),
        }
    }

    /// Polls until `ready` gives a value.
    ///
    /// # Panics
    /// Where the program ends first, or a minute passes; with the end of its log.
    pub fn wait_until<T>(&mut self, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = ready() {
                return value;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "{} ended ({status}) before {what}:\n{}",
                    self.name,
                    self.tail()
                );
            }
            assert!(
                start.elapsed() < READY,
                "{}: no {what} within {READY:?}:\n{}",
                self.name,
                self.tail()
            );
            sleep(POLL);
        }
    }

    /// Returns all that the program has printed.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns the process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the program with SIGTERM, after twenty seconds with SIGKILL, and waits for its end.
    pub fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _gone = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < END {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(POLL);
        }
        self.kill();
    }

    /// Ends the program with SIGKILL.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Makes a folder that is a file system of its own, with room for so many megabytes.
///
/// # Panics
/// Where this process may not mount.
pub(crate) fn small_disk(folder: &Path, megabytes: u32) {
    std::fs::create_dir_all(folder).expect("a folder can be made");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
        .arg(folder)
        .status();
    let mounted = mounted.is_ok_and(|status| status.success());
    assert!(
        mounted,
        "{}: a small disk cannot be mounted",
        folder.display()
    );
}

/// Detaches the file systems that a daemon has left mounted below its folder, which could not be
/// removed otherwise.
pub(crate) fn unmount_below(folder: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(folder)) {
        let _best_effort = Command::new("umount").args(["--lazy", point]).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
