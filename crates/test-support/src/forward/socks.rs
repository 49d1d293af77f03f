//! A SOCKS5 proxy (RFC 1928) with passwords (RFC 1929): CONNECT only.

use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Protocol, Rules, join};

/// Speaks SOCKS5.
#[derive(Debug)]
pub struct Socks;

impl Protocol for Socks {
    const SCHEME: &'static str = "socks5h";

    async fn serve(rules: Arc<Rules>, client: TcpStream) -> Result<()> {
        serve(&rules, client).await
    }
}

async fn serve(rules: &Rules, mut client: TcpStream) -> Result<()> {
    let allowed = greet(rules, &mut client).await?;
    if !allowed {
        rules.note("", "SOCKS5", false);
        return Ok(());
    }
    let destination = destination(&mut client).await?;
    rules.note(&destination, "SOCKS5", true);
    let upstream = rules.connect(&destination).await;
    // Reply: version, code, reserved, then the bound address, which no client reads.
    let code = u8::from(upstream.is_err()) * 4;
    client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    join(client, upstream?).await;
    Ok(())
}

/// Agrees on a method and checks the password; tells whether the client is let through.
async fn greet(rules: &Rules, client: &mut TcpStream) -> Result<bool> {
    if client.read_u8().await? != 5 {
        return Err(Error::new(ErrorKind::InvalidData, "not SOCKS5"));
    }
    let methods = short_bytes(client).await?;
    let method = if rules.account.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        client.write_all(&[5, 0xff]).await?;
        return Ok(false);
    }
    client.write_all(&[5, method]).await?;
    let Some((name, password)) = &rules.account else {
        return Ok(true);
    };
    let _version = client.read_u8().await?;
    let given_name = short_bytes(client).await?;
    let given_password = short_bytes(client).await?;
    let right = given_name == name.as_bytes() && given_password == password.as_bytes();
    client.write_all(&[1, u8::from(!right)]).await?;
    Ok(right)
}

async fn destination(client: &mut TcpStream) -> Result<String> {
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => Ipv4Addr::from(client.read_u32().await?).to_string(),
        3 => String::from_utf8_lossy(&short_bytes(client).await?).into_owned(),
        4 => format!("[{}]", Ipv6Addr::from(client.read_u128().await?)),
        _ => return Err(Error::new(ErrorKind::InvalidData, "no address type")),
    };
    let port = client.read_u16().await?;
    Ok(format!("{host}:{port}"))
}

/// Reads bytes with their count before them.
async fn short_bytes(client: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(client.read_u8().await?)];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}
