//! A real dockerd (Debian's docker.io, 20.10), without a bridge and without firewall rules.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{small_disk, unmount_below};
use crate::{Image, Process, Response, buildkit_image, program};

/// A running dockerd on a Unix socket, with state of its own.
#[derive(Debug)]
pub struct Dockerd {
    process: Process,
    folder: TempDir,
}

/// runc without CAP_SYS_RESOURCE, which small virtual machines lack and `--privileged` asks for.
const WRAPPER: &str = r#"#!/bin/sh
drop() { [ ! -f "$1" ] || sed -i -e 's/,"CAP_SYS_RESOURCE"//g' -e 's/"CAP_SYS_RESOURCE",//g' "$1"; }
take=
for word in "$@"; do
    case "$take" in
    bundle) drop "$word/config.json" ;;
    process) drop "$word" ;;
    esac
    take=
    case "$word" in
    --bundle | -b) take=bundle ;;
    --bundle=*) drop "${word#--bundle=}/config.json" ;;
    --process | -p) take=process ;;
    --process=*) drop "${word#--process=}" ;;
    esac
done
exec RUNC "$@"
"#;

impl Dockerd {
    /// Starts a dockerd.
    ///
    /// # Panics
    /// Where docker.io is not installed, or it does not become ready.
    #[must_use]
    pub fn start() -> Self {
        Self::with("{}")
    }

    /// Starts a dockerd with the text of a `daemon.json`.
    ///
    /// # Panics
    /// As [`Dockerd::start`].
    #[must_use]
    pub fn with(settings: &str) -> Self {
        Self::within(folder(), settings)
    }

    /// Starts a dockerd whose disk has room for so many megabytes.
    ///
    /// # Panics
    /// As [`Dockerd::start`], and where this process may not mount.
    #[must_use]
    pub fn cramped(megabytes: u32) -> Self {
        let folder = folder();
        small_disk(&folder.path().join("data"), megabytes);
        Self::within(folder, "{}")
    }

    fn within(folder: TempDir, settings: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let path = folder.path();
        let wrapper = path.join("runc-small");
        let runc = program("runc").display().to_string();
        std::fs::write(&wrapper, WRAPPER.replace("RUNC", &runc)).expect("a folder of our own");
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))
            .expect("a file of our own");
        std::fs::write(path.join("daemon.json"), settings).expect("a folder of our own");
        let mut command = Command::new(program("dockerd"));
        command
            .arg("--config-file")
            .arg(path.join("daemon.json"))
            .arg("--data-root")
            .arg(path.join("data"))
            .arg("--exec-root")
            .arg(path.join("run"))
            .arg("--pidfile")
            .arg(path.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", path.join("docker.sock").display()))
            .arg("--add-runtime")
            .arg(format!("small={}", wrapper.display()))
            .args(["--default-runtime=small", "--iptables=false"])
            .args(["--ip6tables=false", "--bridge=none", "--shutdown-timeout=2"]);
        let process = Process::start(command, &path.join("log"));
        let mut daemon = Self { process, folder };
        daemon.wait();
        daemon
    }

    fn wait(&mut self) {
        let socket = self.socket();
        self.process.wait_until("an answer to GET /_ping", || {
            get(&socket, "/_ping").filter(|response| response.status == 200)
        });
    }

    /// Returns the socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Returns `unix://PATH`, for `DOCKER_HOST`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Asks its API, for example for `/images/json`.
    ///
    /// # Panics
    /// Where it does not answer.
    #[must_use]
    pub fn get(&self, target: &str) -> Response {
        get(&self.socket(), target).unwrap_or_else(|| panic!("dockerd: no answer to GET {target}"))
    }

    /// Runs Docker's command line against it and returns what it printed.
    ///
    /// # Panics
    /// Where the command fails, with what it printed.
    pub fn docker<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        let output = Command::new(program("docker"))
            .args(arguments)
            .env("DOCKER_HOST", self.address())
            .env("DOCKER_CONFIG", self.folder.path())
            .output()
            .unwrap_or_else(|error| panic!("docker: {error}"));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "docker: {printed}{errors}");
        printed
    }

    /// Loads an image of one platform under a name.
    ///
    /// # Panics
    /// Where the daemon refuses it.
    pub fn load(&self, image: &Image, name: &str) {
        let archive = self.folder.path().join("load.tar");
        image.write_docker_archive(&archive, name);
        self.docker(&[OsStr::new("load"), OsStr::new("-i"), archive.as_os_str()]);
    }

    /// Runs buildkitd in a privileged container on the host's network, for
    /// `docker-container://NAME`, and waits until it answers. It ends with the daemon.
    ///
    /// # Panics
    /// Where it does not start, with the container's log.
    pub fn run_buildkitd(&self, name: &str) {
        const IMAGE: &str = "sealift-test/buildkit:local";
        self.load(&buildkit_image(), IMAGE);
        self.docker(&[
            "run",
            "-d",
            "--privileged",
            "--network=host",
            "--name",
            name,
            IMAGE,
        ]);
        let script = "for i in $(seq 300); do buildctl debug workers >/dev/null 2>&1 && exit 0; \
                      sleep 0.1; done; exit 1";
        let ready = Command::new(program("docker"))
            .args(["exec", name, "sh", "-c", script])
            .env("DOCKER_HOST", self.address())
            .env("DOCKER_CONFIG", self.folder.path())
            .status()
            .unwrap_or_else(|error| panic!("docker: {error}"));
        assert!(
            ready.success(),
            "buildkitd: {}",
            self.docker(&["logs", name])
        );
    }

    /// Returns all that it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.process.stop();
        unmount_below(self.folder.path());
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("dd")
        .tempdir()
        .expect("a temporary folder can be made")
}

fn get(socket: &std::path::Path, target: &str) -> Option<Response> {
    use std::io::Write;

    let mut stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
    let head = format!("GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    crate::http::read_response(std::io::BufReader::new(stream), false).ok()
}
