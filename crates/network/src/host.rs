//! A registry's or proxy's host as configurations write it: a name or an address, and maybe a port.

use std::fmt;
use std::net::IpAddr;

use sealift_config::{Reader, Sourced};
use serde::{Serialize, Serializer};

/// The registry that is meant where an image names none.
pub const HUB: &str = "docker.io";
/// The host that serves it.
pub const HUB_SERVER: &str = "registry-1.docker.io";

/// A host, in lower case, with its port where one is written: `mirror.corp:5000`, `[::1]:5000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl Host {
    /// Parses `name`, `name:port`, `[address]` or `[address]:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = split(text)?;
        let address = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let valid = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.split('.').all(is_label),
        };
        let port_valid = port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        });
        (valid && port_valid).then(|| Self(text.to_ascii_lowercase()))
    }

    /// Parses the host of a key, noting a mistake where it is none.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        name: &str,
        text: &Sourced<String>,
    ) -> Option<Self> {
        let host = Self::parse(&text.value);
        if host.is_none() {
            let reason = format!("{name}: expected a host such as registry.example.com:5000");
            reader.problem(text.from.clone(), reason);
        }
        host
    }

    /// Returns the host as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name or address without brackets and port.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = split(&self.0).map_or(self.0.as_str(), |(name, _)| name);
        name.trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns the port that is written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        split(&self.0)?.1?.parse().ok()
    }

    /// Returns the address, where the name is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.name().parse().ok()
    }

    /// Returns whether this is the machine itself: `localhost`, `127.0.0.0/8`, `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.name();
        name == "localhost"
            || name.ends_with(".localhost")
            || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Returns whether a proxy to the outside can hardly reach this: loopback, private and
    /// link-local addresses, names of one label, and the domains that are never public.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let name = self.name();
        match self.address() {
            Some(IpAddr::V4(address)) => {
                address.is_loopback() || address.is_private() || address.is_link_local()
            }
            Some(IpAddr::V6(address)) => {
                address.is_loopback()
                    || address.is_unique_local()
                    || address.is_unicast_link_local()
            }
            None => {
                let private = [".local", ".localhost", ".internal", ".lan", ".home.arpa"];
                !name.contains('.') || private.iter().any(|domain| name.ends_with(domain))
            }
        }
    }

    /// Returns the host that is dialled for this registry: Docker Hub has another name.
    #[must_use]
    pub fn server(&self) -> Self {
        if self.0 == HUB {
            Self(HUB_SERVER.to_owned())
        } else {
            self.clone()
        }
    }

    /// Returns the same host with the port of HTTPS written, or left out where it is written:
    /// folders of certificates are named either way.
    #[must_use]
    pub fn https_twin(&self) -> Option<Self> {
        match self.port() {
            None => Some(Self(format!("{}:443", self.0))),
            Some(443) => self
                .0
                .strip_suffix(":443")
                .map(|host| Self(host.to_owned())),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let (name, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) if !port.is_empty() => Some((name, Some(port))),
            None if rest.is_empty() => Some((name, None)),
            _ => None,
        };
    }
    match text.split_once(':') {
        Some((_, "")) => None,
        Some((name, port)) => Some((name, Some(port))),
        None => Some((text, None)),
    }
}

fn is_label(label: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, name, port, loopback, private) in [
            ("docker.io", "docker.io", None, false, false),
            ("M.corp:5000", "m.corp", Some(5000), false, false),
            ("localhost:5000", "localhost", Some(5000), true, true),
            ("127.9.9.9", "127.9.9.9", None, true, true),
            ("[::1]:5000", "::1", Some(5000), true, true),
            ("10.1.2.3:80", "10.1.2.3", Some(80), false, true),
            ("[fd00::1]", "fd00::1", None, false, true),
            ("registry", "registry", None, false, true),
            ("hub.lan", "hub.lan", None, false, true),
            ("8.8.8.8", "8.8.8.8", None, false, false),
        ] {
            let host = Host::parse(text).unwrap();
            let found = (
                host.name(),
                host.port(),
                host.is_loopback(),
                host.is_private(),
            );
            assert_eq!(found, (name, port, loopback, private), "{text}");
        }
        for text in [
            "",
            "a:",
            "a:b",
            "a:99999",
            "a/b",
            "https://a",
            "a b",
            "[::1",
            "[x]",
            "a..b",
            "user@a",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
        assert_eq!(
            Host::parse("docker.io").unwrap().server().as_str(),
            HUB_SERVER
        );
    }
}
