//! Where a Docker daemon listens: what `DOCKER_HOST` and the files beside it say, and how a stream to
//! it is opened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::error::{Error, Kind, Result};

const SOCKET: &str = "/var/run/docker.sock";
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a Docker daemon listens.
#[derive(Debug, Clone)]
pub enum DockerEndpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP: host and port, with TLS or plain.
    Tcp(String, Option<Arc<ClientConfig>>),
}

/// Bytes to and from a daemon.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl DockerEndpoint {
    /// Reads an address in the form of `DOCKER_HOST`; without one, the usual socket. Where there is a
    /// folder of certificates (`DOCKER_CERT_PATH`), TCP is spoken with TLS by its `ca.pem`, `cert.pem`
    /// and `key.pem`; what is missing of them is not used.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a form that is not `unix://PATH` or `tcp://HOST:PORT`, [`Kind::Config`] for
    /// certificates that can't be used.
    pub fn find(address: Option<&str>, certificates: Option<&Path>) -> Result<Self> {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Ok(Self::Unix(PathBuf::from(SOCKET)));
        };
        let refused = |reason: &str| {
            let what = format!("invalid address of docker {address:?}: {reason}");
            Error::new(Kind::Usage, what).hint("set DOCKER_HOST to unix:///PATH or tcp://HOST:PORT")
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
                    Some(folder) => Some(Arc::new(client(folder)?)),
                    None if scheme == "https" => return Err(refused("https needs certificates")),
                    None => None,
                };
                Ok(Self::Tcp(with_port(host, tls.is_some()), tls))
            }
            _ => Err(refused("sealift speaks to docker over unix and tcp")),
        }
    }

    /// Opens a stream.
    pub(super) async fn dial(&self) -> Result<Box<dyn Stream>> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await {
            Ok(dialled) => dialled.map_err(|error| self.unreachable(error)),
            Err(_) => Err(self.unreachable(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp(host, None) => Ok(Box::new(TcpStream::connect(host).await?)),
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
                Ok(Box::new(connector.connect(name, stream).await?))
            }
        }
    }

    fn unreachable(&self, error: io::Error) -> Error {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "run as a member of the group that owns the socket, usually docker"
            }
            io::ErrorKind::InvalidData => {
                "docker's own authority belongs into ca.pem in the folder DOCKER_CERT_PATH"
            }
            _ => "start docker, or set DOCKER_HOST to the address of one",
        };
        Error::new(Kind::Config, format!("cannot reach docker at {self}"))
            .because(error)
            .hint(hint)
    }
}

impl fmt::Display for DockerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host, _) => write!(f, "tcp://{host}"),
        }
    }
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

/// Makes the client's side of TLS from docker's three files.
fn client(folder: &Path) -> Result<ClientConfig> {
    let unusable = |name: &str, cause: Box<dyn std::error::Error + Send + Sync>| {
        let path = folder.join(name);
        let what = format!("cannot use {} for docker", path.display());
        Error::new(Kind::Config, what).because(cause)
    };
    let read = |name: &str| match std::fs::read(folder.join(name)) {
        Ok(pem) => Ok(Some(pem)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(name, error.into())),
    };
    let chain = |name: &str, pem: &[u8]| {
        let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        found.map_err(|error| unusable(name, error.into()))
    };
    let mut roots = RootCertStore::empty();
    match read("ca.pem")? {
        Some(pem) => {
            for certificate in chain("ca.pem", &pem)? {
                let added = roots.add(certificate);
                added.map_err(|error| unusable("ca.pem", error.into()))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            roots.add_parsable_certificates(found);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("", error.into()))?
        .with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (read("cert.pem")?, read("key.pem")?) else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_slice(&key);
    let key = key.map_err(|error| unusable("key.pem", error.into()))?;
    builder
        .with_client_auth_cert(chain("cert.pem", &certificate)?, key)
        .map_err(|error| unusable("cert.pem", error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<String> {
        DockerEndpoint::find(Some(text), None).map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn reads_addresses_as_docker_writes_them() {
        let usual = DockerEndpoint::find(None, None).unwrap().to_string();
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
    fn refuses_other_forms_and_says_which_there_are() {
        for text in [
            "docker.sock",
            "unix://a",
            "ssh://host",
            "tcp://",
            "tcp://a/b",
            "tcp://user@a",
            "https://a",
            "npipe:////./pipe/x",
        ] {
            let error = find(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.message().contains(text), "{}", error.render());
            assert!(error.hints()[0].contains("tcp://HOST:PORT"));
        }
    }

    #[test]
    fn certificates_that_can_not_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let find = || DockerEndpoint::find(Some("tcp://docker"), Some(folder.path()));
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
