//! Mirrors and origins as configurations write them: a URL, or a host with a path.

use sealift_config::{Place, Reader, Sourced};

use super::endpoint::{Endpoint, Scheme};
use super::findings::Candidate;
use super::host::Host;

/// A host and a path, and the scheme where one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// `http` or `https`, where it is written.
    pub scheme: Option<Scheme>,
    /// The host.
    pub host: Host,
    /// The path without slashes at its ends.
    pub path: String,
}

/// Why a text is no location. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Another scheme.
    #[error("the scheme must be http or https")]
    Scheme,
    /// A name or password in the URL.
    #[error("a password has no place in a mirror's URL: use `docker login`")]
    UserInfo,
    /// A query or fragment.
    #[error("a mirror's URL has no '?' and no '#'")]
    Query,
    /// No host.
    #[error("expected a URL such as https://mirror.example.com or mirror.example.com:5000/path")]
    Host,
    /// A path that leaves the host, or has empty parts.
    #[error("the path has an empty part, or '.' or '..'")]
    Path,
}

impl Location {
    /// Parses `[http[s]://]host[:port][/path]`.
    ///
    /// # Errors
    /// [`LocationError`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let scheme = match scheme.to_ascii_lowercase().as_str() {
                    "http" => Scheme::Http,
                    "https" => Scheme::Https,
                    _ => return Err(LocationError::Scheme),
                };
                (Some(scheme), rest)
            }
            None => (None, text),
        };
        if rest.contains('@') {
            return Err(LocationError::UserInfo);
        }
        if rest.contains(['?', '#']) {
            return Err(LocationError::Query);
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = Host::parse(host).ok_or(LocationError::Host)?;
        let path = path.trim_matches('/');
        let valid =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_whitespace);
        if !path.is_empty() && !path.split('/').all(valid) {
            return Err(LocationError::Path);
        }
        Ok(Self {
            scheme,
            host,
            path: path.to_owned(),
        })
    }

    /// Makes a mirror whose path stands before the repositories' names: `/v2/path/library/x`, as
    /// BuildKit and Docker's containerd store ask it.
    #[must_use]
    pub fn mirror(self, from: Place) -> Candidate {
        let scheme = self.scheme.unwrap_or(Scheme::Https);
        let mut endpoint = Endpoint::new(self.host, scheme, from);
        endpoint.prefix = self.path;
        Candidate {
            endpoint,
            explicit: self.scheme.is_some(),
        }
    }
}

/// Parses the URL of a mirror, noting a mistake where it is none.
pub fn mirror(reader: &mut Reader<'_>, name: &str, text: &Sourced<String>) -> Option<Candidate> {
    match Location::parse(&text.value) {
        Ok(location) => Some(location.mirror(text.from.clone())),
        Err(error) => {
            reader.problem(text.from.clone(), format!("{name}: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        for (text, scheme, host, path) in [
            ("https://m.corp", Some(Scheme::Https), "m.corp", ""),
            ("HTTP://m.corp:5000/", Some(Scheme::Http), "m.corp:5000", ""),
            ("https://m.corp/hub/", Some(Scheme::Https), "m.corp", "hub"),
            ("m.corp/a/b", None, "m.corp", "a/b"),
            ("127.0.0.1:5000", None, "127.0.0.1:5000", ""),
            ("http://[::1]:5000/x", Some(Scheme::Http), "[::1]:5000", "x"),
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.scheme, scheme, "{text}");
            assert_eq!(
                (location.host.as_str(), location.path.as_str()),
                (host, path),
                "{text}"
            );
        }
        for (text, error) in [
            ("", LocationError::Host),
            ("https://", LocationError::Host),
            ("ftp://m", LocationError::Scheme),
            ("https://u:hunter2@m", LocationError::UserInfo),
            ("https://m?x", LocationError::Query),
            ("https://m/a/../b", LocationError::Path),
            ("https://m/a//b", LocationError::Path),
            ("https://m:x", LocationError::Host),
        ] {
            assert_eq!(Location::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
