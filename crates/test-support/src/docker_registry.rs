//! Debian's docker-registry (distribution 2.8), one process a value.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Http, Identity, Image, Process, Response, program, push_image};

/// `sealift:tide-and-lift` with bcrypt, which is the only form that docker-registry takes.
const HTPASSWD: &str = "sealift:$2y$05$IB4OXqrK7Oj0OZJ4WwDPF.r1gcVp5lkJChWnNvyWtOhXgRlrZAcHu\n";

/// How a registry is set up.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Demands Basic credentials: [`DockerRegistry::USER`] and [`DockerRegistry::PASSWORD`].
    pub password: bool,
    /// Serves HTTPS with this certificate.
    pub tls: Option<Identity>,
    /// Demands client certificates signed by this authority (PEM).
    pub client_authority: Option<String>,
    /// Keeps its content in this folder, which outlives it, in place of one of its own.
    pub storage: Option<PathBuf>,
}

/// A running registry.
#[derive(Debug)]
pub struct DockerRegistry {
    process: Option<Process>,
    address: SocketAddr,
    options: RegistryOptions,
    folder: TempDir,
}

/// A request that a registry has answered, from its access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Status code of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// The client's User-Agent.
    pub agent: String,
}

impl DockerRegistry {
    /// The account of a registry that demands a password.
    pub const USER: &'static str = "sealift";
    /// The password of that account.
    pub const PASSWORD: &'static str = "tide-and-lift";

    /// Starts a plain registry that anyone may read and write.
    ///
    /// # Panics
    /// Where docker-registry is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::with(RegistryOptions::default())
    }

    /// Starts a registry with options.
    ///
    /// # Panics
    /// Where docker-registry is missing or does not start.
    #[must_use]
    pub fn with(options: RegistryOptions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut registry = Self {
            process: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            options,
            folder,
        };
        registry.restart();
        registry
    }

    /// Starts the registry again after [`DockerRegistry::stop`], at the same address and with the
    /// same content.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&mut self) {
        self.stop();
        let settings = self.folder.path().join("config.yml");
        std::fs::write(&settings, self.settings()).expect("a temporary folder can be written");
        let log = self.folder.path().join("log");
        let printed = std::fs::read(&log).map_or(0, |bytes| bytes.len());
        let mut command = Command::new(program("docker-registry"));
        command.arg("serve").arg(&settings);
        let mut process = Process::start(command, &log);
        self.address = process.wait_until("its address", || {
            let log = std::fs::read(&log).unwrap_or_default();
            listening(&String::from_utf8_lossy(&log[printed.min(log.len())..]))
        });
        self.process = Some(process);
    }

    /// Ends the registry; its content stays for [`DockerRegistry::restart`].
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Returns its address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `127.0.0.1:PORT`, as references name it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// Returns the folder that holds its content.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        let own = || self.folder.path().join("storage");
        self.options.storage.clone().unwrap_or_else(own)
    }

    /// Stores an image under a tag. Where this registry demands TLS or a password, a plain one on
    /// the same folder takes the upload.
    ///
    /// # Panics
    /// Where the registry refuses it.
    pub fn push(&self, image: &Image, repository: &str, tag: &str) {
        if self.options.tls.is_some() || self.options.password {
            let plain = Self::with(RegistryOptions {
                storage: Some(self.storage()),
                ..RegistryOptions::default()
            });
            plain.push(image, repository, tag);
        } else {
            push_image(&Http::new(self.address), image, repository, tag);
        }
    }

    /// Asks a plain registry for a path below `/v2/`, taking manifests of all families.
    ///
    /// # Panics
    /// Where it does not answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        let types = [
            sealift_oci::MediaType::OCI_INDEX,
            sealift_oci::MediaType::OCI_MANIFEST,
            sealift_oci::MediaType::DOCKER_INDEX,
            sealift_oci::MediaType::DOCKER_MANIFEST,
        ];
        let accept = format!("{}, */*", types.join(", "));
        Http::new(self.address)
            .header("Accept", &accept)
            .get(&format!("/v2/{path}"))
    }

    /// Returns every request answered so far, by all processes of this value, uploads of
    /// [`DockerRegistry::push`] included. Count before and after to see what came between.
    #[must_use]
    pub fn requests(&self) -> Vec<Access> {
        let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter_map(access)
            .collect()
    }

    fn settings(&self) -> String {
        let mut text = format!(
            "version: 0.1\n\
             log: {{level: info, accesslog: {{disabled: false}}}}\n\
             storage:\n  \
               filesystem: {{rootdirectory: {}}}\n  \
               delete: {{enabled: true}}\n  \
               maintenance: {{uploadpurging: {{enabled: false}}}}\n",
            self.storage().display()
        );
        if self.options.password {
            let file = self.file("htpasswd", HTPASSWD);
            let _infallible = writeln!(
                text,
                "auth: {{htpasswd: {{realm: sealift-test, path: {}}}}}",
                file.display()
            );
        }
        let _infallible = writeln!(
            text,
            "http:\n  addr: \"{}\"\n  secret: not-a-secret",
            self.address
        );
        if let Some(identity) = &self.options.tls {
            let certificate = self.file("server.pem", &identity.certificate);
            let key = self.file("server-key.pem", &identity.key);
            let _infallible = writeln!(
                text,
                "  tls:\n    certificate: {}\n    key: {}",
                certificate.display(),
                key.display()
            );
        }
        if let Some(authority) = &self.options.client_authority {
            let file = self.file("clients.pem", authority);
            let _infallible = writeln!(text, "    clientcas: [{}]", file.display());
        }
        text
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a temporary folder can be written");
        Path::new(&path).to_owned()
    }
}

/// Finds the address in `msg="listening on 127.0.0.1:35261"`, with `, tls` after it for HTTPS.
fn listening(log: &str) -> Option<SocketAddr> {
    let rest = &log[log.find("listening on ")? + "listening on ".len()..];
    let end = rest.find(['"', ','])?;
    rest[..end].parse().ok()
}

/// Reads `127.0.0.1 - - [time] "GET /v2/ HTTP/1.1" 200 2 "referer" "agent"`; other lines are none.
fn access(line: &str) -> Option<Access> {
    let mut quoted = line.split('"');
    let front = quoted.next()?;
    if !front.ends_with("] ") {
        return None;
    }
    let mut request = quoted.next()?.split(' ');
    let mut figures = quoted.next()?.split_whitespace();
    let agent = quoted.nth(2)?;
    Some(Access {
        method: request.next()?.to_owned(),
        target: request.next()?.to_owned(),
        status: figures.next()?.parse().ok()?,
        bytes: figures.next()?.parse().ok()?,
        agent: agent.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{access, listening};

    #[test]
    fn reads_both_kinds_of_log_lines() {
        let line = r#"127.0.0.1 - - [24/Nov/2026:07:52:38 +0000] "POST /v2/a/b/blobs/uploads/ HTTP/1.1" 202 17 "" "curl/7.88.1""#;
        let found = access(line).unwrap();
        assert_eq!(found.method, "POST");
        assert_eq!(found.target, "/v2/a/b/blobs/uploads/");
        assert_eq!((found.status, found.bytes), (202, 17));
        assert_eq!(found.agent, "curl/7.88.1");
        let other =
            r#"time="2026-11-24T07:52:37Z" level=info msg="listening on 127.0.0.1:35261, tls""#;
        assert_eq!(access(other), None);
        assert_eq!(listening(other).unwrap().port(), 35261);
    }
}
