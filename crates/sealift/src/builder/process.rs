//! The managed builder: a buildkitd of the user's own, started when first needed, kept between
//! runs, stopped by `sealift builder stop`. Its folder holds everything:
//!
//! ```text
//! builder/lock            held while it is started or stopped
//! builder/use             held, shared, by each command that builds with it
//! builder/buildkitd.toml  what it was started with
//! builder/buildkitd.pid   its process
//! builder/buildkitd.log   what it says
//! builder/root/           its cache
//! builder/socket-folder   where its socket is, if this folder's path is too long for one
//! ```

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sealift_buildkit::{Address, Client};
use tokio::net::UnixStream;

use super::lock::{self, Silence};
use super::program::{Programs, with_many_files};
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::file;

/// How long buildkitd may take to answer for the first time.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Longer paths of sockets are refused by buildkitd on every system, as the shortest limit is 104.
const SOCKET_PATH_MAX: usize = 104;
/// How much of the log an error shows.
const LOG_TAIL: u64 = 2048;

/// A managed buildkitd, running or not.
#[derive(Debug, Clone)]
pub struct Process {
    folder: PathBuf,
    socket: PathBuf,
}

/// How the daemon is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The programs.
    pub programs: Programs,
    /// Text of its buildkitd.toml.
    pub configuration: String,
    /// Whether that names mirrors.
    pub mirrors: bool,
    /// Variables added to its environment.
    pub environment: Vec<(String, String)>,
}

/// A running daemon that is not stopped for another configuration while this lives.
#[derive(Debug)]
pub struct Hold {
    /// How it came to run.
    pub state: State,
    _users: File,
}

/// How a managed daemon came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was started now.
    Started,
    /// It ran, as it should be.
    Running,
    /// It runs with another configuration, and others build with it.
    Outdated,
}

impl Process {
    /// Names the daemon of this state folder; a folder in `runtime` is for its socket where the path
    /// is too long for one.
    #[must_use]
    pub fn new(folder: &Path, runtime: &Path) -> Self {
        let mut socket = folder.join("buildkitd.sock");
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            socket = short_folder(folder, runtime).join("buildkitd.sock");
        }
        Self {
            folder: folder.to_owned(),
            socket,
        }
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::unix(&self.socket)
    }

    /// Returns its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("buildkitd.log")
    }

    /// Returns its process number, if it runs.
    #[must_use]
    pub fn running(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.join("buildkitd.pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        // The number may have gone to another process since: ours names its socket.
        let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let socket = self.socket.as_os_str().as_encoded_bytes();
        command
            .windows(socket.len())
            .any(|part| part == socket && owner == file::us())
            .then_some(pid)
    }

    /// Makes sure that it runs with this configuration and answers; starts it, or starts it again
    /// where its configuration changed and nobody builds with it.
    ///
    /// # Errors
    /// [`Kind::Builder`] where it ends at once or does not answer, with its log's last lines.
    pub async fn ensure(&self, launch: &Launch, events: &Events) -> Result<Hold> {
        file::private_folder(&self.folder)?;
        let _lock = lock::take(&self.folder.join("lock"), events).await?;
        let users = lock::open(&self.folder.join("use"))?;
        let share = |state| {
            users
                .lock_shared()
                .map_err(|error| file::failed("use", &self.folder, error))?;
            let users = users
                .try_clone()
                .map_err(|error| file::failed("use", &self.folder, error))?;
            Ok(Hold {
                state,
                _users: users,
            })
        };
        let wanted = fingerprint(launch);
        let known = std::fs::read_to_string(self.folder.join("launch")).unwrap_or_default();
        if let Some(process) = self.running() {
            let answers = self.answers(process).await;
            if answers && known == wanted {
                return share(State::Running);
            }
            if answers && users.try_lock().is_err() {
                return share(State::Outdated);
            }
            self.terminate().await?;
        }
        let child = self.start(launch)?;
        self.wait(child, events).await?;
        file::write_bytes(&self.folder.join("launch"), wanted.as_bytes())?;
        share(State::Started)
    }

    /// Stops it. Returns whether it ran.
    ///
    /// # Errors
    /// [`Kind::Builder`] where it does not end.
    pub async fn stop(&self, events: &Events) -> Result<bool> {
        if !self.folder.exists() {
            return Ok(false);
        }
        let _lock = lock::take(&self.folder.join("lock"), events).await?;
        self.terminate().await
    }

    fn start(&self, launch: &Launch) -> Result<Child> {
        let configuration = self.folder.join("buildkitd.toml");
        file::write_bytes(&configuration, launch.configuration.as_bytes())?;
        let log = self.log();
        let open = || File::options().create(true).append(true).open(&log);
        let mut output = open().map_err(|error| file::failed("use", &log, error))?;
        rotate(&mut output, &log)?;
        let errors = open().map_err(|error| file::failed("use", &log, error))?;
        if let Some(folder) = self.socket.parent().filter(|folder| *folder != self.folder) {
            file::private_folder(folder)?;
            let name = folder.as_os_str().as_encoded_bytes();
            file::write_bytes(&self.folder.join("socket-folder"), name)?;
        }
        drop(std::fs::remove_file(&self.socket));
        let mut command = Command::new(&launch.programs.buildkitd);
        command
            .arg("--root")
            .arg(self.folder.join("root"))
            .arg("--addr")
            .arg(format!("unix://{}", self.socket.display()))
            // By default all daemons of a user share one place, and take it from each other.
            .arg("--otel-socket-path")
            .arg(self.socket.with_extension("otel"))
            .arg("--config")
            .arg(&configuration)
            // It outlives us: what only our caller has, such as a CI job's tokens, is not for it.
            .env_clear()
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .env("HOME", &self.folder)
            .env("PATH", &launch.programs.path)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Out of the terminal's group: Ctrl-C ends our build, not the builder.
            .process_group(0);
        let child = with_many_files(|| command.spawn()).map_err(|error| {
            let program = launch.programs.buildkitd.display();
            Error::new(Kind::Builder, format!("cannot start {program}")).because(error)
        })?;
        let number = child.id().to_string();
        file::write_bytes(&self.folder.join("buildkitd.pid"), number.as_bytes())?;
        Ok(child)
    }

    async fn wait(&self, mut child: Child, events: &Events) -> Result<()> {
        let start = Instant::now();
        let mut silence = Silence::default();
        while start.elapsed() < START_LIMIT {
            silence.note(start, events, || {
                let log = self.log();
                format!(
                    "buildkitd (process {}) to start; its log is {}",
                    child.id(),
                    log.display()
                )
            });
            if self.answers(child.id()).await {
                return Ok(());
            }
            // Asked of the child itself: right after its start /proc does not show its words yet.
            if !matches!(child.try_wait(), Ok(None)) {
                return Err(self.failed("ended right after it was started"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(self.terminate().await);
        Err(self.failed(&format!(
            "did not answer within {} s",
            START_LIMIT.as_secs()
        )))
    }

    /// Returns whether this process of ours, and nobody else, answers at the socket.
    async fn answers(&self, process: u32) -> bool {
        let Ok(stream) = UnixStream::connect(&self.socket).await else {
            return false;
        };
        let listens = stream.peer_cred().ok().and_then(|peer| peer.pid());
        if listens.and_then(|listens| u32::try_from(listens).ok()) != Some(process) {
            return false;
        }
        match Client::connect(&self.address()).await {
            Ok(client) => client
                .workers()
                .await
                .is_ok_and(|workers| !workers.is_empty()),
            Err(_) => false,
        }
    }

    async fn terminate(&self) -> Result<bool> {
        let Some(pid) = self.running() else {
            return Ok(false);
        };
        let start = Instant::now();
        self.signal(pid, Signal::TERM)?;
        while self.running().is_some() {
            if start.elapsed() > STOP_LIMIT {
                self.signal(pid, Signal::KILL)?;
                tokio::time::sleep(Duration::from_millis(200)).await;
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(std::fs::remove_file(self.folder.join("buildkitd.pid")));
        Ok(true)
    }

    fn signal(&self, pid: u32, signal: Signal) -> Result<()> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(number) = number else { return Ok(()) };
        match kill_process(number, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => {
                let text = format!("cannot stop the builder (process {pid})");
                Err(Error::new(Kind::Builder, text).because(std::io::Error::from(error)))
            }
        }
    }

    fn failed(&self, what: &str) -> Error {
        let log = self.log();
        let tail = tail(&log).unwrap_or_default();
        let error = Error::new(Kind::Builder, format!("the managed buildkitd {what}"))
            .excerpt(tail.clone())
            .hint(format!("its whole log is {}", log.display()));
        if tail.contains("operation not permitted") || tail.contains("permission denied") {
            return error.hint("run as root, or name a builder that runs: --builder ADDRESS");
        }
        error
    }
}

/// What decides whether a running daemon still fits: its program and configuration, and the
/// kernel's list of emulators, since buildkitd reads that only when it starts.
fn fingerprint(launch: &Launch) -> String {
    let mut emulators: Vec<String> = std::fs::read_dir("/proc/sys/fs/binfmt_misc")
        .map(|entries| {
            let names = entries.flatten().map(|entry| entry.file_name());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        })
        .unwrap_or_default();
    emulators.retain(|name| name.starts_with("qemu-"));
    emulators.sort();
    let text = format!(
        "{}\n{}\n{:?}\n{:?}\n{emulators:?}",
        launch.programs.buildkitd.display(),
        launch.configuration,
        launch.environment,
        launch.programs.path
    );
    // Proxies in the environment may hold passwords: only a digest is stored.
    sealift_oci::Digest::sha256(text.as_bytes()).to_string()
}

/// Returns a folder of ours with a short path: the one that was used last, else a new one whose name
/// nobody can guess.
fn short_folder(folder: &Path, runtime: &Path) -> PathBuf {
    let kept = std::fs::read_to_string(folder.join("socket-folder")).ok();
    let kept = kept
        .map(PathBuf::from)
        .filter(|kept| file::is_private(kept));
    kept.unwrap_or_else(|| {
        let random = std::hash::RandomState::new().build_hasher().finish();
        runtime.join(format!("sealift-{random:016x}"))
    })
}

/// Keeps one older log once this one is large.
fn rotate(file: &mut File, path: &Path) -> Result<()> {
    const LIMIT: u64 = 16 << 20;
    let length = file
        .metadata()
        .map_err(|error| file::failed("use", path, error))?
        .len();
    if length > LIMIT {
        std::fs::rename(path, path.with_extension("log.1"))
            .map_err(|error| file::failed("use", path, error))?;
        *file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| file::failed("use", path, error))?;
    }
    Ok(())
}

fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))
        .ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_long_path_moves_the_socket() {
        let short = Process::new(Path::new("/h/builder"), Path::new("/run/user/0"));
        assert_eq!(short.socket, Path::new("/h/builder/buildkitd.sock"));
        let deep = PathBuf::from("/x".repeat(60));
        let long = Process::new(&deep, Path::new("/run/user/0"));
        assert!(long.socket.starts_with("/run/user/0"));
        assert!(long.socket.as_os_str().len() < SOCKET_PATH_MAX);
        let other = Process::new(&deep, Path::new("/run/user/0"));
        assert_ne!(long.socket, other.socket);
    }

    #[test]
    fn a_short_folder_is_used_again_only_while_it_is_ours_alone() {
        let state = tempfile::tempdir().unwrap();
        let runtime = tempfile::tempdir().unwrap();
        let first = short_folder(state.path(), runtime.path());
        file::private_folder(&first).unwrap();
        std::fs::write(state.path().join("socket-folder"), first.to_str().unwrap()).unwrap();
        assert_eq!(short_folder(state.path(), runtime.path()), first);
        std::fs::set_permissions(&first, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(short_folder(state.path(), runtime.path()), first);
    }

    #[tokio::test]
    async fn whoever_listens_in_our_place_is_not_taken_for_our_builder() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::new(folder.path(), folder.path());
        let listener = tokio::net::UnixListener::bind(&process.socket).unwrap();
        let asked = process.answers(1);
        let heard = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes)
                .await
                .unwrap();
            bytes
        };
        let (answers, bytes) = tokio::join!(asked, heard);
        assert!(!answers);
        assert_eq!(bytes, b"", "nothing is said to it");
    }

    #[test]
    fn another_process_with_the_number_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::new(folder.path(), folder.path());
        let number = std::process::id().to_string();
        std::fs::write(folder.path().join("buildkitd.pid"), number).unwrap();
        assert_eq!(process.running(), None);
    }
}
