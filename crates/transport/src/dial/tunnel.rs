//! Tunnels through HTTP proxies: CONNECT (RFC 9110, 9.3.6).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stream;
use crate::error::Cause;
use crate::proxy::{Login, Proxy};

/// The longest response head that is read from a proxy.
const HEAD_LIMIT: usize = 16 << 10;

/// Returns the value of a `Proxy-Authorization` header.
pub(crate) fn basic(login: &Login) -> String {
    let plain = format!("{}:{}", login.user, login.password);
    format!("Basic {}", STANDARD.encode(plain))
}

/// Asks a proxy for a tunnel to `host:port`; afterwards the stream is the target's.
pub(super) async fn open(
    stream: &mut Stream,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), Cause> {
    let target = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(login) = &proxy.login {
        head.push_str(&format!("Proxy-Authorization: {}\r\n", basic(login)));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.map_err(Cause::Io)?;
    stream.flush().await.map_err(Cause::Io)?;
    let response = read_head(stream).await.map_err(Cause::Io)?;
    let line = response.lines().next().unwrap_or_default();
    let mut words = line.splitn(3, ' ');
    let protocol = words.next().unwrap_or_default();
    let status = words
        .next()
        .and_then(|word| word.parse::<StatusCode>().ok());
    match status {
        Some(status) if protocol.starts_with("HTTP/1.") && status.is_success() => Ok(()),
        Some(status) if protocol.starts_with("HTTP/1.") => {
            Err(proxy.refusal(status, &headers(&response)))
        }
        _ => Err(Cause::ProxyRefused {
            proxy: proxy.described(),
            reason: "what answers there is not an HTTP proxy".to_owned(),
            status: None,
        }),
    }
}

fn headers(head: &str) -> HeaderMap {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let pairs = lines.filter_map(|(name, value)| {
        let value = HeaderValue::from_str(value.trim()).ok()?;
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    });
    pairs.fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(name, value);
        headers
    })
}

/// Reads up to the empty line, byte by byte: what follows belongs to the tunnel.
async fn read_head(stream: &mut Stream) -> io::Result<String> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the proxy's response has no end",
            ));
        }
        let byte = stream.read_u8().await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "unexpected EOF from the proxy",
            ),
            _ => error,
        })?;
        head.push(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
