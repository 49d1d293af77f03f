//! A real dockerd (Debian's docker.io, 20.10), without a bridge and without firewall rules.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Process, Response, program};

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
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::Builder::new()
            .prefix("dd")
            .tempdir()
            .expect("a temporary folder can be made");
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
            .args(["--ip6tables=false", "--bridge=none"]);
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

    /// Returns all that it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn get(socket: &std::path::Path, target: &str) -> Option<Response> {
    use std::io::Write;

    let mut stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
    let head = format!("GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    crate::http::read_response(std::io::BufReader::new(stream), false).ok()
}
