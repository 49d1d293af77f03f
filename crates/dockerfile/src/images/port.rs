//! The ports of EXPOSE: `[[address:]host:]port[-port][/protocol]`.

use std::net::IpAddr;

/// Checks one port, and says what is wrong with it.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    let (address, host, container) = match parts.as_slice() {
        [.., address, host, container] if parts.len() == 3 => {
            ((*address).to_owned(), *host, *container)
        }
        [host, container] => (String::new(), *host, *container),
        [front @ .., host, container] => (front.join(":"), *host, *container),
        _ => (String::new(), "", text),
    };
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    if container.is_empty() {
        return Err("a port");
    }
    if !matches!(
        protocol.to_lowercase().as_str(),
        "" | "tcp" | "udp" | "sctp"
    ) {
        return Err("the protocol tcp, udp or sctp");
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = bare.unwrap_or(&address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err("an address of digits");
    }
    let container = range(container).ok_or("ports from 0 to 65535")?;
    if !host.is_empty() {
        let host = range(host).ok_or("host ports from 0 to 65535")?;
        if container.1 - container.0 != host.1 - host.0 && container.1 != container.0 {
            return Err("ranges of one length");
        }
    }
    Ok(())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| crate::number::signed(text).and_then(|port| u16::try_from(port).ok());
    if start == end {
        return port(start).map(|port| (port, port));
    }
    let (start, end) = (port(start)?, port(end)?);
    (start <= end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn checks_ports() {
        for good in [
            "80",
            "0",
            "80/tcp",
            "80/UDP",
            "1-10/sctp",
            "8080:80",
            "1-2:80",
            "127.0.0.1:80:80",
            "[::1]:80:80",
            "::1:80:80",
            "1-3:4-6",
            "7-7",
            "80/",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "http",
            "70000",
            "-1",
            "80/icmp",
            "2-1",
            "1-3:4-5",
            "localhost:80:80",
            "/tcp",
            "80-",
            "1:",
            "x:80",
            "[::z]:80:80",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
