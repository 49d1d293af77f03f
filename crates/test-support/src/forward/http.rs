//! An HTTP proxy: CONNECT, and plain requests in absolute form (RFC 9112, 3.2.2).

use std::io::Result;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Protocol, Rules, join};
use crate::faulty::basic_account;
use crate::wire::Head;

/// Speaks HTTP.
#[derive(Debug)]
pub struct Http;

impl Protocol for Http {
    const SCHEME: &'static str = "http";

    async fn serve(rules: Arc<Rules>, stream: TcpStream) -> Result<()> {
        serve(&rules, stream).await
    }
}

/// Serves one connection: a tunnel, or one plain request.
async fn serve(rules: &Rules, stream: TcpStream) -> Result<()> {
    let mut client = BufReader::new(stream);
    let Some(mut head) = Head::read(&mut client).await? else {
        return Ok(());
    };
    let (method, target) = head.request();
    let (method, target) = (method.to_owned(), target.to_owned());
    let plain = target.strip_prefix("http://");
    let (authority, path) = match plain.map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        Some((authority, path)) => (authority.to_owned(), format!("/{path}")),
        None => (target.clone(), String::new()),
    };
    let destination = with_port(&authority);
    let account = head.header("proxy-authorization").and_then(basic_account);
    let allowed = rules.account.is_none() || rules.account == account;
    rules.note(&destination, &method, allowed);
    if !allowed {
        let mut refusal = Head::new("HTTP/1.1 407 Proxy Authentication Required".to_owned());
        refusal.set("Proxy-Authenticate", r#"Basic realm="sealift-test""#);
        return finish(client.get_mut(), refusal).await;
    }
    let Ok(mut upstream) = rules.connect(&destination).await else {
        let head = Head::new("HTTP/1.1 502 Bad Gateway".to_owned());
        return finish(client.get_mut(), head).await;
    };
    if method == "CONNECT" {
        let established = Head::new("HTTP/1.1 200 Connection established".to_owned());
        established.write(client.get_mut()).await?;
    } else {
        head.first = format!("{method} {path} HTTP/1.1");
        head.remove("proxy-authorization");
        head.remove("proxy-connection");
        head.set("Connection", "close");
        head.write(&mut upstream).await?;
    }
    let early = client.buffer().to_vec();
    upstream.write_all(&early).await?;
    join(client.into_inner(), upstream).await;
    Ok(())
}

async fn finish(stream: &mut TcpStream, mut head: Head) -> Result<()> {
    head.set("Content-Length", "0");
    head.set("Connection", "close");
    head.write(stream).await?;
    stream.shutdown().await
}

fn with_port(authority: &str) -> String {
    let end = authority.rfind(']').unwrap_or_default();
    if authority[end..].contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    }
}
