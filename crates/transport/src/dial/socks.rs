//! SOCKS5 with user and password (RFC 1928, RFC 1929). Names are always resolved by the proxy: its
//! DNS works where ours may not.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stream;
use crate::error::Cause;
use crate::proxy::Proxy;

/// Asks a SOCKS5 proxy for a connection to `host:port`; afterwards the stream is the target's.
pub(super) async fn open(
    stream: &mut Stream,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), Cause> {
    greet(stream, proxy).await?;
    let mut request = vec![5, 1, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => {
            request.push(1);
            request.extend(v4.octets());
        }
        Ok(IpAddr::V6(v6)) => {
            request.push(4);
            request.extend(v6.octets());
        }
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| Cause::Url {
                text: host.to_owned(),
            })?;
            request.extend([3, length]);
            request.extend(host.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    send(stream, &request).await?;
    let [version, reply, _, kind] = receive(stream).await?;
    if version != 5 {
        return Err(refused(proxy, "what answers there is not a SOCKS5 proxy"));
    }
    if reply != 0 {
        return Err(reply_cause(proxy, reply));
    }
    let rest = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(receive::<1>(stream).await?[0]),
        _ => return Err(refused(proxy, "malformed reply")),
    };
    let mut bound = vec![0; rest + 2];
    stream.read_exact(&mut bound).await.map_err(Cause::Io)?;
    Ok(())
}

async fn greet(stream: &mut Stream, proxy: &Proxy) -> Result<(), Cause> {
    let methods: &[u8] = if proxy.login.is_some() {
        &[5, 2, 0, 2]
    } else {
        &[5, 1, 0]
    };
    send(stream, methods).await?;
    let [version, method] = receive(stream).await?;
    if version != 5 {
        return Err(refused(proxy, "what answers there is not a SOCKS5 proxy"));
    }
    match (method, &proxy.login) {
        (0, _) => Ok(()),
        (2, Some(login)) => {
            let mut message = vec![1];
            for part in [&login.user, &login.password] {
                let length = u8::try_from(part.len())
                    .map_err(|_| refused(proxy, "user or password is longer than 255 bytes"))?;
                message.push(length);
                message.extend(part.as_bytes());
            }
            send(stream, &message).await?;
            match receive::<2>(stream).await? {
                [_, 0] => Ok(()),
                _ => Err(refused(proxy, "user or password is wrong")),
            }
        }
        _ => Err(refused(proxy, "it wants a user and a password")),
    }
}

fn refused(proxy: &Proxy, reason: &str) -> Cause {
    Cause::ProxyRefused {
        proxy: proxy.described(),
        reason: reason.to_owned(),
        status: None,
    }
}

/// Tells the failures of the target from those of the proxy itself: the former pass.
fn reply_cause(proxy: &Proxy, reply: u8) -> Cause {
    let (kind, text) = match reply {
        2 => return refused(proxy, "not allowed by its rules"),
        3 => (io::ErrorKind::NetworkUnreachable, "network is unreachable"),
        4 => (io::ErrorKind::HostUnreachable, "no route to host"),
        5 => (io::ErrorKind::ConnectionRefused, "connection refused"),
        6 => (io::ErrorKind::TimedOut, "connection timed out"),
        7 => return refused(proxy, "it does not know CONNECT"),
        8 => return refused(proxy, "it does not know this kind of address"),
        // Proxies say 1 for whatever else: names that do not resolve, most of all.
        _ => (io::ErrorKind::Other, "general failure: connection reset"),
    };
    Cause::Io(io::Error::new(kind, format!("behind {proxy}: {text}")))
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), Cause> {
    stream.write_all(bytes).await.map_err(Cause::Io)?;
    stream.flush().await.map_err(Cause::Io)
}

async fn receive<const N: usize>(stream: &mut Stream) -> Result<[u8; N], Cause> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(Cause::Io)?;
    Ok(bytes)
}
