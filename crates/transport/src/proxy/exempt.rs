//! `NO_PROXY` with the semantics of Go's `golang.org/x/net/http/httpproxy`, which Docker, BuildKit
//! and containerd follow.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// A list of hosts that are reached without a proxy.
///
/// Loopback addresses and `localhost` are always exempt, as in Go.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    text: String,
    port: Option<u16>,
    rule: Rule,
}

#[derive(Clone, PartialEq, Eq)]
enum Rule {
    /// `*`: everything.
    All,
    /// An address.
    Address(IpAddr),
    /// A block of addresses.
    Block(IpNet),
    /// A domain, with a dot before it; `itself` says whether the domain is meant too.
    Domain { suffix: String, itself: bool },
}

impl NoProxy {
    /// Reads the value of `NO_PROXY`: entries separated by commas. Empty ones are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self {
            entries: text.split(',').filter_map(Entry::parse).collect(),
        }
    }

    /// Adds the entries of another list.
    pub fn extend(&mut self, other: &Self) {
        for entry in &other.entries {
            if !self.entries.contains(entry) {
                self.entries.push(entry.clone());
            }
        }
    }

    /// Says whether a host (a name or an address, IPv6 with or without brackets) and port are
    /// exempt, and if so by what.
    #[must_use]
    pub fn exempts(&self, host: &str, port: u16) -> Option<String> {
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.')
            .to_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|ip| ip.is_loopback()) {
            return Some("loopback never takes a proxy".to_owned());
        }
        let entry = self.entries.iter().find(|entry| {
            entry.port.is_none_or(|own| own == port) && entry.rule.fits(&host, address)
        })?;
        Some(format!("NO_PROXY has {}", entry.text))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        if text.is_empty() {
            return None;
        }
        let entry = |port, rule| {
            Some(Self {
                text: text.clone(),
                port,
                rule,
            })
        };
        if text == "*" {
            return entry(None, Rule::All);
        }
        if let Ok(block) = text.parse::<IpNet>() {
            return entry(None, Rule::Block(block));
        }
        let (host, port) = split_port(&text);
        if host.is_empty() {
            return None;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return entry(port, Rule::Address(address));
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        let (suffix, itself) = match host.starts_with('.') {
            true => (host.to_owned(), false),
            false => (format!(".{host}"), true),
        };
        entry(port, Rule::Domain { suffix, itself })
    }
}

/// Splits `host:port`; a bare IPv6 address has no port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = text.rsplit_once(':') else {
        return (text, None);
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !bracketed {
        return (text, None);
    }
    match port.parse() {
        Ok(port) => (host, Some(port)),
        Err(_) => (text, None),
    }
}

impl Rule {
    fn fits(&self, host: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Address(own) => address == Some(*own),
            Self::Block(block) => address.is_some_and(|ip| block.contains(&ip)),
            Self::Domain { suffix, itself } => {
                host.ends_with(suffix.as_str()) || (*itself && host == &suffix[1..])
            }
        }
    }
}

impl fmt::Display for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, entry) in self.entries.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            f.write_str(&entry.text)?;
        }
        Ok(())
    }
}

impl fmt::Debug for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoProxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Go's own table, in other words: (list, host, port, exempt).
    #[test]
    fn gos_rules_hold() {
        let cases = [
            ("example.com", "example.com", 80, true),
            ("example.com", "www.example.com", 80, true),
            ("example.com", "myexample.com", 80, false),
            (".example.com", "example.com", 80, false),
            (".example.com", "www.example.com", 80, true),
            ("*.example.com", "example.com", 80, false),
            ("*.example.com", "a.b.example.com", 443, true),
            ("*", "anything", 1, true),
            ("*example.com", "example.com", 80, false),
            ("example.com:8080", "example.com", 80, false),
            ("example.com:8080", "example.com", 8080, true),
            ("example.com:8080", "a.example.com", 8080, true),
            ("10.0.0.0/8", "10.1.2.3", 5000, true),
            ("10.0.0.0/8", "11.1.2.3", 5000, false),
            ("10.0.0.0/8", "ten.example", 5000, false),
            ("10.1.2.3", "10.1.2.3", 80, true),
            ("10.1.2.3:5000", "10.1.2.3", 80, false),
            ("10.1.2.3:5000", "10.1.2.3", 5000, true),
            ("fd00::/8", "[fd12::1]", 443, true),
            ("[fd12::1]:443", "[fd12::1]", 443, true),
            ("fd12::1", "fd12::1", 80, true),
            ("", "localhost", 80, true),
            ("", "127.5.5.5", 80, true),
            ("", "[::1]", 80, true),
            ("", "localhost.example", 80, false),
            (" a.example , b.example ", "b.example", 80, true),
            ("EXAMPLE.com", "www.Example.COM", 80, true),
            (",,", "x", 80, false),
            ("example.com", "example.com.", 80, true),
        ];
        for (list, host, port, exempt) in cases {
            let found = NoProxy::parse(list).exempts(host, port);
            assert_eq!(found.is_some(), exempt, "{list:?} {host} {port}: {found:?}");
        }
    }

    #[test]
    fn lists_print_and_join() {
        let mut list = NoProxy::parse("a, B:1");
        list.extend(&NoProxy::parse("b:1,10.0.0.0/8"));
        assert_eq!(list.to_string(), "a,b:1,10.0.0.0/8");
    }
}
