//! Where a Docker daemon listens: what `DOCKER_HOST` and the files beside it say, and how a stream to
//! it is opened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use url::Url;

use super::tls;
use crate::error::{Error, Kind, Result};

const SOCKET: &str = "/var/run/docker.sock";
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a Docker daemon listens.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP: host and port, with TLS or plain.
    Tcp(String, Option<Arc<ClientConfig>>),
    /// The standard input and output of a command: an ssh client's, with its arguments.
    Command {
        /// The address, as it was written.
        address: String,
        /// The program and its arguments.
        words: Vec<String>,
    },
}

/// Bytes to and from a daemon.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream to a daemon, and the daemon's process where the system tells it.
pub(super) struct Dialled {
    pub(super) stream: Box<dyn Stream>,
    pub(super) process: Option<i32>,
    /// The command that carries the stream; it ends with this value.
    pub(super) carrier: Option<tokio::process::Child>,
}

impl Endpoint {
    /// Reads an address in the form of `DOCKER_HOST`; without one, the usual socket. Where there is a
    /// folder of certificates (`DOCKER_CERT_PATH`), TCP is spoken with TLS by its `ca.pem`, `cert.pem`
    /// and `key.pem`; what is missing of them is not used.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a form that is not `unix://PATH`, `tcp://HOST:PORT` or
    /// `ssh://[USER@]HOST[:PORT]`, [`Kind::Config`] for certificates that can't be used.
    pub fn find(address: Option<&str>, certificates: Option<&Path>) -> Result<Self> {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Ok(Self::Unix(PathBuf::from(SOCKET)));
        };
        let refused = |reason: &str| {
            let what = format!("invalid address of docker {address:?}: {reason}");
            Error::new(Kind::Usage, what)
                .hint("set DOCKER_HOST to unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST")
        };
        let (scheme, rest) = address
            .split_once("://")
            .ok_or_else(|| refused("no scheme"))?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(refused("the path of its socket is not absolute")),
            "tcp" | "http" | "https" => {
                let host = rest.trim_end_matches('/');
                if host.is_empty() || host.contains(['/', '@']) {
                    return Err(refused("it is not a host with a port"));
                }
                let tls = match certificates {
                    Some(folder) => Some(Arc::new(tls::client(folder)?)),
                    None if scheme == "https" => return Err(refused("https needs certificates")),
                    None => None,
                };
                Ok(Self::Tcp(with_port(host, tls.is_some()), tls))
            }
            "ssh" => {
                let words = ssh(address).ok_or_else(|| refused("it names no host for ssh"))?;
                let address = address.to_owned();
                Ok(Self::Command { address, words })
            }
            _ => Err(refused("sealift reaches docker over unix, tcp and ssh")),
        }
    }

    /// Opens a stream.
    pub(super) async fn dial(&self) -> Result<Dialled> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await {
            Ok(dialled) => dialled.map_err(|error| self.unreachable(error)),
            Err(_) => Err(self.unreachable(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn connect(&self) -> io::Result<Dialled> {
        let mut process = None;
        let mut carrier = None;
        let stream: Box<dyn Stream> = match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                process = stream.peer_cred()?.pid();
                Box::new(stream)
            }
            Self::Tcp(host, None) => Box::new(TcpStream::connect(host).await?),
            Self::Tcp(host, Some(tls)) => {
                let stream = TcpStream::connect(host).await?;
                let name = host
                    .rsplit_once(':')
                    .map_or(host.as_str(), |(name, _)| name);
                let name = name
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned();
                let name = ServerName::try_from(name).map_err(io::Error::other)?;
                let connector = TlsConnector::from(Arc::clone(tls));
                Box::new(connector.connect(name, stream).await?)
            }
            Self::Command { words, .. } => {
                let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
                let mut child = Command::new(program)
                    .args(arguments)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()?;
                let pipes = child.stdout.take().zip(child.stdin.take());
                let (output, input) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
                carrier = Some(child);
                Box::new(tokio::io::join(output, input))
            }
        };
        Ok(Dialled {
            stream,
            process,
            carrier,
        })
    }

    fn unreachable(&self, error: io::Error) -> Error {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "run as a member of the group that owns the socket, usually docker"
            }
            io::ErrorKind::InvalidData => {
                "put the authority of docker's certificate into ca.pem in the folder DOCKER_CERT_PATH"
            }
            _ => "start docker, or set DOCKER_HOST to the address of one",
        };
        Error::new(Kind::Config, format!("cannot reach docker at {self}"))
            .because(error)
            .hint(hint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host, _) => write!(f, "tcp://{host}"),
            Self::Command { address, .. } => f.write_str(address),
        }
    }
}

/// Returns the command that reaches docker on another machine, as docker's own client does; nothing
/// if the address has no host, or one that ssh would take for an option.
fn ssh(address: &str) -> Option<Vec<String>> {
    let url = Url::parse(address).ok()?;
    let host = url.host_str().filter(|host| !host.starts_with('-'))?;
    let mut words = vec!["ssh", "-o", "ConnectTimeout=10", "-T"];
    if !url.username().is_empty() {
        words.extend(["-l", url.username()]);
    }
    let port = url.port().map(|port| port.to_string());
    if let Some(port) = &port {
        words.extend(["-p", port]);
    }
    words.extend(["--", host, "docker", "system", "dial-stdio"]);
    Some(words.into_iter().map(str::to_owned).collect())
}

fn with_port(host: &str, tls: bool) -> String {
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        return host.to_owned();
    }
    let port = if tls { TLS_PORT } else { PLAIN_PORT };
    format!("{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<String> {
        Endpoint::find(Some(text), None).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn reads_addresses_as_docker_writes_them() {
        let usual = Endpoint::find(None, None).unwrap().to_string();
        assert_eq!(usual, "unix:///var/run/docker.sock");
        for (given, understood) in [
            ("", "unix:///var/run/docker.sock"),
            (
                "unix:///run/user/1/docker.sock",
                "unix:///run/user/1/docker.sock",
            ),
            ("tcp://127.0.0.1", "tcp://127.0.0.1:2375"),
            ("tcp://[::1]:2376/", "tcp://[::1]:2376"),
        ] {
            assert_eq!(find(given).unwrap(), understood);
        }
    }

    #[test]
    fn ssh_is_asked_for_dockers_own_tunnel() {
        let endpoint = Endpoint::find(Some("ssh://build@far:2222"), None).unwrap();
        assert_eq!(endpoint.to_string(), "ssh://build@far:2222");
        let Endpoint::Command { words, .. } = endpoint else {
            panic!("{endpoint:?}");
        };
        assert_eq!(
            words.join(" "),
            "ssh -o ConnectTimeout=10 -T -l build -p 2222 -- far docker system dial-stdio"
        );
    }

    #[test]
    fn refuses_other_forms_and_says_which_there_are() {
        for text in [
            "docker.sock",
            "unix://a",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "tcp://",
            "tcp://a/b",
            "tcp://user@a",
            "https://a",
            "npipe:////./pipe/x",
        ] {
            let error = find(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.message().contains(text), "{}", error.render());
            assert!(error.hints()[0].contains("ssh://USER@HOST"));
        }
    }

    #[test]
    fn certificates_that_can_not_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let find = || Endpoint::find(Some("tcp://docker"), Some(folder.path()));
        assert_eq!(find().unwrap().to_string(), "tcp://docker:2376");
        let path = folder.path().join("ca.pem");
        std::fs::write(
            &path,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        let error = find().unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let path = path.display().to_string();
        assert!(error.message().contains(&path), "{}", error.render());
    }
}
