//! Where a buildkitd listens, and how bytes get there. Dialling is `connect`'s.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use crate::{Error, Result};

/// The address of a buildkitd.
///
/// The written forms are `unix:///run/buildkit/buildkitd.sock`, `tcp://HOST:PORT`,
/// `docker-container://NAME`, `podman-container://NAME`,
/// `kube-pod://NAME?namespace=N&container=C&context=X`, `ssh://[USER@]HOST[:PORT]` and
/// `exec:COMMAND ARGUMENT…` (a command whose standard input and output are the connection, its
/// words split at blanks, quotes as in a shell). A `tcp` address takes TLS files as
/// `?ca=F&cert=F&key=F&servername=N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    endpoint: Endpoint,
}

/// What is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host and port, with TLS where there are files for it.
    Tcp { authority: String, tls: Option<Tls> },
    /// A command that speaks on its standard input and output.
    Command(Vec<String>),
}

/// The files that secure a TCP connection, all PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tls {
    /// Certificates that the server's one must come from; without it no server is trusted.
    pub(crate) ca: Option<PathBuf>,
    /// Our own certificate, for a server that asks for one.
    pub(crate) certificate: Option<PathBuf>,
    /// The private key of our certificate.
    pub(crate) key: Option<PathBuf>,
    /// The name that the server's certificate must carry, where it is not the host's.
    pub(crate) server_name: Option<String>,
}

impl Address {
    /// Makes the address of a socket in the file system.
    #[must_use]
    pub fn unix(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Self {
            text: format!("unix://{}", path.display()),
            endpoint: Endpoint::Unix(path.to_owned()),
        }
    }

    /// Parses one of the forms above.
    ///
    /// # Errors
    /// [`Error::Address`] for an unknown scheme, a missing part, or a character that a container's,
    /// pod's or host's name cannot have.
    pub fn parse(text: &str) -> Result<Self> {
        let error = |reason: &'static str| Error::Address {
            text: text.to_owned(),
            reason,
        };
        if let Some(command) = text.strip_prefix("exec:") {
            let words = split_words(command).ok_or_else(|| error("a quote is not closed"))?;
            if words.is_empty() {
                return Err(error("no command after exec:"));
            }
            return Ok(Self::command(text, words));
        }
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(error(
                    "the socket's path must be absolute: unix:///path/to/socket",
                ));
            }
            return Ok(Self::unix(path));
        }
        let url = Url::parse(text).map_err(|_| error(FORMS))?;
        let host = url.host_str().unwrap_or_default();
        match url.scheme() {
            "tcp" => tcp(&url).map(|endpoint| Self {
                text: text.to_owned(),
                endpoint,
            }),
            "docker-container" | "podman-container" => {
                let name = bare_name(&url).map_err(error)?;
                let engine = url.scheme().trim_end_matches("-container");
                let words = [engine, "exec", "-i", &name, "buildctl", "dial-stdio"];
                Ok(Self::command(text, words.map(str::to_owned).to_vec()))
            }
            "kube-pod" => Ok(Self::command(text, kube(&url).map_err(error)?)),
            "ssh" if !host.is_empty() && !host.starts_with('-') => {
                Ok(Self::command(text, ssh(&url)))
            }
            "ssh" => Err(error("no host")),
            _ => Err(error(FORMS)),
        }
    }

    /// Returns whether the daemon listens on a socket of this machine's file system.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(self.endpoint, Endpoint::Unix(_))
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn command(text: &str, words: Vec<String>) -> Self {
        Self {
            text: text.to_owned(),
            endpoint: Endpoint::Command(words),
        }
    }
}

const FORMS: &str = "expected one of unix:///PATH, tcp://HOST:PORT, docker-container://NAME, \
                     podman-container://NAME, kube-pod://NAME, ssh://HOST, exec:COMMAND";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

fn tcp(url: &Url) -> Result<Endpoint> {
    let error = |reason: &'static str| Error::Address {
        text: url.to_string(),
        reason,
    };
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| error("no host"))?;
    let port = url
        .port()
        .ok_or_else(|| error("no port; buildkitd's is often 1234"))?;
    let mut files = Tls::default();
    let mut given = false;
    for (key, value) in url.query_pairs() {
        given = true;
        match &*key {
            "ca" => files.ca = Some(PathBuf::from(&*value)),
            "cert" => files.certificate = Some(PathBuf::from(&*value)),
            "key" => files.key = Some(PathBuf::from(&*value)),
            "servername" => files.server_name = Some(value.into_owned()),
            _ => return Err(error("a parameter that is not ca, cert, key or servername")),
        }
    }
    Ok(Endpoint::Tcp {
        authority: format!("{host}:{port}"),
        tls: given.then_some(files),
    })
}

/// Reads the name after the scheme; it becomes a word of a command line and must look like a name.
fn bare_name(url: &Url) -> std::result::Result<String, &'static str> {
    let name = url.host_str().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.starts_with('-') || !name.chars().all(allowed) {
        return Err("the name after :// must be of letters, digits, '_', '.' and '-'");
    }
    if !matches!(url.path(), "" | "/") {
        return Err("nothing may follow the name");
    }
    Ok(name.to_owned())
}

fn kube(url: &Url) -> std::result::Result<Vec<String>, &'static str> {
    let name = bare_name(url)?;
    let mut words = vec!["kubectl".to_owned()];
    let mut container = None;
    for (key, value) in url.query_pairs() {
        match &*key {
            "namespace" | "context" => words.push(format!("--{key}={value}")),
            "container" => container = Some(format!("--container={value}")),
            _ => return Err("a parameter that is not namespace, container or context"),
        }
    }
    words.extend(["exec".to_owned(), "-i".to_owned()]);
    words.extend(container);
    words.push(name);
    words.extend(["--", "buildctl", "dial-stdio"].map(str::to_owned));
    Ok(words)
}

fn ssh(url: &Url) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    if let Some(port) = url.port() {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if !url.username().is_empty() {
        words.extend(["-l".to_owned(), url.username().to_owned()]);
    }
    words.extend([
        "--".to_owned(),
        url.host_str().unwrap_or_default().to_owned(),
    ]);
    words.extend(["buildctl", "dial-stdio"].map(str::to_owned));
    words
}

/// Splits a command into words at blanks; single and double quotes keep blanks, a backslash keeps
/// the next character outside single quotes. `None` where a quote stays open.
fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().extend(characters.next());
            }
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Vec<String> {
        match Address::parse(text).unwrap().endpoint {
            Endpoint::Command(words) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parses_each_form() {
        let unix = Address::parse("unix:///run/b k/s.sock").unwrap();
        assert_eq!(*unix.endpoint(), Endpoint::Unix("/run/b k/s.sock".into()));
        let tcp = Address::parse("tcp://[::1]:1234").unwrap();
        let authority = "[::1]:1234".to_owned();
        assert_eq!(
            *tcp.endpoint(),
            Endpoint::Tcp {
                authority,
                tls: None
            }
        );
        assert_eq!(
            command("docker-container://multiarch-builder0"),
            [
                "docker",
                "exec",
                "-i",
                "multiarch-builder0",
                "buildctl",
                "dial-stdio"
            ]
        );
        assert_eq!(
            command("kube-pod://b-0?namespace=ci&container=buildkitd"),
            [
                "kubectl",
                "--namespace=ci",
                "exec",
                "-i",
                "--container=buildkitd",
                "b-0",
                "--",
                "buildctl",
                "dial-stdio"
            ]
        );
        assert_eq!(
            command("ssh://me@builder:2222"),
            [
                "ssh",
                "-p",
                "2222",
                "-l",
                "me",
                "--",
                "builder",
                "buildctl",
                "dial-stdio"
            ]
        );
        assert_eq!(
            command(r#"exec:sh -c 'buildctl  dial-stdio' "a \" b""#),
            ["sh", "-c", "buildctl  dial-stdio", "a \" b"]
        );
    }

    #[test]
    fn reads_tls_files_from_the_query() {
        let address = Address::parse("tcp://h:1?ca=/c/ca.pem&cert=c.pem&key=k.pem").unwrap();
        let tls = Tls {
            ca: Some("/c/ca.pem".into()),
            certificate: Some("c.pem".into()),
            key: Some("k.pem".into()),
            server_name: None,
        };
        assert_eq!(
            *address.endpoint(),
            Endpoint::Tcp {
                authority: "h:1".to_owned(),
                tls: Some(tls)
            }
        );
    }

    #[test]
    fn refuses_what_it_cannot_dial() {
        for text in [
            "",
            "/run/s.sock",
            "unix://relative",
            "http://h:1",
            "tcp://h",
            "tcp://h:1?cacert=x",
            "docker-container://",
            "docker-container://-v",
            "docker-container://a/b",
            "kube-pod://p?pod=x",
            "exec:",
            "exec:sh -c 'x",
            "ssh://-oProxyCommand=x",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }
}
