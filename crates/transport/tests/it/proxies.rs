//! Requests through proxies: absolute form, CONNECT, SOCKS5, with and without a login.

use std::sync::{Arc, Mutex};

use sealift_transport::proxy::{NoProxy, Proxy, ProxyChoice};
use sealift_transport::{Anonymous, Cause, Class, Refusal, Route, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::authority::{Authority, names};
use crate::parts::{https, hurried, once, plain};
use crate::server::{Server, answer, nobody};

/// What a proxy was asked for, and with which login.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A proxy of one of two kinds that sends every name to loopback.
pub(crate) struct Relay {
    pub address: String,
    asked: Asked,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn connect(login: Option<&'static str>) -> Self {
        Self::start(move |stream, asked| connect(stream, asked, login)).await
    }

    pub(crate) async fn socks(login: Option<(&'static str, &'static str)>) -> Self {
        Self::start(move |stream, asked| socks(stream, asked, login)).await
    }

    async fn start<F>(serve: impl Fn(TcpStream, Asked) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Asked::default();
        let log = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let done = serve(stream, Arc::clone(&log));
                open.spawn(async move {
                    done.await;
                });
            }
        });
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    pub(crate) fn asked(&self) -> Vec<(String, Option<String>)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn connect(mut stream: TcpStream, asked: Asked, login: Option<&str>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1)?.to_owned();
    let sent = head
        .lines()
        .find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    asked
        .lock()
        .unwrap()
        .push((target.clone(), sent.map(str::to_owned)));
    if login.is_some() && sent != login {
        stream
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            .await
            .ok()?;
        return None;
    }
    let port = target.rsplit(':').next()?;
    let Ok(mut upstream) = TcpStream::connect(format!("127.0.0.1:{port}")).await else {
        stream
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            .await
            .ok()?;
        return None;
    };
    stream
        .write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
        .await
        .ok()?;
    copy_bidirectional(&mut stream, &mut upstream)
        .await
        .ok()
        .map(|_| ())
}

async fn socks(mut stream: TcpStream, asked: Asked, login: Option<(&str, &str)>) -> Option<()> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).await.ok()?;
    let mut methods = vec![0; usize::from(start[1])];
    stream.read_exact(&mut methods).await.ok()?;
    let mut sent = None;
    if let Some((user, password)) = login {
        if !methods.contains(&2) {
            stream.write_all(&[5, 0xff]).await.ok()?;
            return None;
        }
        stream.write_all(&[5, 2]).await.ok()?;
        stream.read_u8().await.ok()?;
        let mut parts = Vec::new();
        for _ in 0..2 {
            let mut part = vec![0; usize::from(stream.read_u8().await.ok()?)];
            stream.read_exact(&mut part).await.ok()?;
            parts.push(String::from_utf8(part).unwrap());
        }
        let right = parts == [user, password];
        sent = Some(parts.join(":"));
        stream.write_all(&[1, u8::from(!right)]).await.ok()?;
        if !right {
            return None;
        }
    } else {
        stream.write_all(&[5, 0]).await.ok()?;
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.ok()?;
    assert_eq!(request[3], 3, "names are resolved by the proxy");
    let mut name = vec![0; usize::from(stream.read_u8().await.ok()?)];
    stream.read_exact(&mut name).await.ok()?;
    let port = stream.read_u16().await.ok()?;
    let name = String::from_utf8(name).unwrap();
    asked.lock().unwrap().push((format!("{name}:{port}"), sent));
    let upstream = TcpStream::connect(("127.0.0.1", port)).await;
    let code = if upstream.is_ok() { 0 } else { 5 };
    stream
        .write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .ok()?;
    copy_bidirectional(&mut stream, &mut upstream.ok()?)
        .await
        .ok()
        .map(|_| ())
}

fn through(proxy: &str) -> Settings {
    let mut settings = hurried();
    let proxy = Proxy::parse(proxy).unwrap();
    settings.proxies.http = Some(proxy.clone());
    settings.proxies.https = Some(proxy);
    settings
}

/// A server with TLS for `registry.example`, and settings that trust it.
async fn secure(settings: Settings) -> (Server, Settings) {
    let authority = Authority::new();
    let config = authority.server(&names(&["registry.example"]), None);
    let server = Server::secure(config, |_| answer(200, &[], b"ok")).await;
    let settings = Settings {
        tls: authority.trusted(),
        ..settings
    };
    (server, settings)
}

#[tokio::test]
async fn plain_requests_go_in_absolute_form() {
    let proxy = Server::start(|hit| {
        assert_eq!(
            (hit.method.as_str(), hit.target.as_str()),
            ("GET", "http://registry.example/x")
        );
        assert_eq!(hit.header("host"), Some("registry.example"));
        // user:pass
        assert_eq!(
            hit.header("proxy-authorization"),
            Some("Basic dXNlcjpwYXNz")
        );
        answer(200, &[], b"by proxy")
    })
    .await;
    let settings = through(&format!("http://user:pass@{}", proxy.authority()));
    let done = once(settings, plain("registry.example")).await.unwrap();
    assert_eq!(done.body, "by proxy");
}

#[tokio::test]
async fn https_goes_through_a_tunnel_with_a_login() {
    let proxy = Relay::connect(Some("Basic dXNlcjpwYXNz")).await;
    let (server, settings) = secure(through(&format!("http://user:pass@{}", proxy.address))).await;
    let name = format!("registry.example:{}", server.port);
    let done = once(settings, https(&name)).await.unwrap();
    assert_eq!(done.body, "ok");
    assert_eq!(
        proxy.asked(),
        [(name, Some("Basic dXNlcjpwYXNz".to_owned()))]
    );
    let hit = &server.requests()[0];
    assert_eq!(hit.target, "/x", "inside, the request is as usual");
    assert_eq!(hit.header("proxy-authorization"), None);
}

#[tokio::test]
async fn a_login_that_the_proxy_refuses_is_configuration() {
    let proxy = Relay::connect(Some("Basic other")).await;
    let settings = through(&format!("http://user:pass@{}", proxy.address));
    let error = once(settings, https("registry.example")).await.unwrap_err();
    assert_eq!(
        (error.class(), error.status()),
        (Class::Config, None),
        "{error:?}"
    );
    let shown = format!("{error} {error:?} {}", error.text());
    assert!(
        !shown.contains("pass@") && !shown.contains("user"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_proxy_that_cannot_reach_its_target_is_the_network() {
    let proxy = Relay::connect(None).await;
    let dead = nobody().await.replace("127.0.0.1", "registry.example");
    let error = once(through(&proxy.address), https(&dead))
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.status()),
        (Class::Network, None),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_dead_proxy_is_named() {
    let dead = nobody().await;
    let error = once(through(&dead), https("registry.example"))
        .await
        .unwrap_err();
    assert!(
        matches!(error.cause(), Cause::ProxyUnreachable { .. }),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Config);
    assert!(error.text().contains(&dead), "{}", error.text());
}

#[tokio::test]
async fn what_is_no_proxy_is_told() {
    let server = crate::server::Server::start(|_| {
        vec![crate::server::Act::Send(
            b"220 smtp.example ESMTP\r\n\r\n".to_vec(),
        )]
    })
    .await;
    let error = once(through(&server.authority()), https("registry.example"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(
        error.text().contains("is not an HTTP proxy"),
        "{}",
        error.text()
    );
}

#[tokio::test]
async fn socks_resolves_names_and_logs_in() {
    let proxy = Relay::socks(Some(("user", "pass"))).await;
    let (server, settings) =
        secure(through(&format!("socks5://user:pass@{}", proxy.address))).await;
    let name = format!("registry.example:{}", server.port);
    assert_eq!(once(settings, https(&name)).await.unwrap().body, "ok");
    assert_eq!(proxy.asked(), [(name, Some("user:pass".to_owned()))]);
}

#[tokio::test]
async fn socks_carries_plain_http_too() {
    let proxy = Relay::socks(None).await;
    let server = Server::start(|hit| {
        assert_eq!(hit.target, "/x");
        answer(200, &[], b"ok")
    })
    .await;
    let name = format!("registry.example:{}", server.port);
    let settings = through(&format!("socks5h://{}", proxy.address));
    assert_eq!(once(settings, plain(&name)).await.unwrap().body, "ok");
}

#[tokio::test]
async fn socks_failures_have_their_classes() {
    let wants = Relay::socks(Some(("user", "pass"))).await;
    for proxy in [
        format!("socks5://{}", wants.address),
        format!("socks5://user:wrong@{}", wants.address),
    ] {
        let error = once(through(&proxy), https("registry.example"))
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Config, "{error:?}");
    }
    let open = Relay::socks(None).await;
    let dead = nobody().await.replace("127.0.0.1", "registry.example");
    let settings = through(&format!("socks5://{}", open.address));
    let error = once(settings, https(&dead)).await.unwrap_err();
    assert_eq!(error.class(), Class::Network, "{error:?}");
}

#[tokio::test]
async fn a_proxy_inside_tls_is_spoken_to() {
    // The outer TLS ends in a server of ours that answers like a proxy for plain HTTP.
    let authority = Authority::new();
    let config = authority.server(&names(&["127.0.0.1"]), None);
    let proxy = Server::secure(config, |hit| answer(200, &[], hit.target.as_bytes())).await;
    let mut settings = through(&format!("https://{}", proxy.authority()));
    settings.tls = authority.trusted();
    let done = once(settings, plain("registry.example")).await.unwrap();
    assert_eq!(done.body, "http://registry.example/x");
}

#[tokio::test]
async fn exemptions_and_choices_of_hosts_hold() {
    let proxy = Relay::connect(None).await;
    let (server, mut settings) = secure(through(&proxy.address)).await;
    // Loopback never takes a proxy.
    let mut direct = settings.clone();
    direct.tls.skip_verify = true;
    assert!(once(direct, https(&server.authority())).await.is_ok());
    assert!(proxy.asked().is_empty());
    // An exempt name is dialed, and does not exist.
    settings.proxies.no_proxy = NoProxy::parse("registry.invalid");
    let name = format!("registry.invalid:{}", server.port);
    let error = once(settings.clone(), https(&name)).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::Lookup { .. }), "{error:?}");
    // An endpoint's own choice wins over both.
    let via = ProxyChoice::Via(Proxy::parse(&proxy.address).unwrap());
    settings.tls.skip_verify = true;
    assert!(once(settings, https(&name).with_proxy(via)).await.is_ok());
    assert_eq!(proxy.asked().len(), 1);
}

const LOGIN: &str = "The proxy asks for a user and a password, or refuses these: set them in its address (http://USER:PASSWORD@HOST:PORT).";
const FOREIGN: &str = "The proxy asks for a login that sealift does not speak (NTLM, Negotiate): point it to a local proxy that does, such as cntlm or px, or ask for Basic.";
const CLOSED: &str = "The proxy lets nothing through to this host: log in at the proxy, have the host allowed, or exempt the host (NO_PROXY).";
const BEHIND: &str = "The proxy does not reach the server: it, or its own way out, fails.";

/// Answers of proxies: status, headers, how they end the error's text, its class and its hint.
type Answer = (
    u16,
    &'static [(&'static str, &'static str)],
    &'static str,
    Class,
    &'static str,
);

const ANSWERS: &[Answer] = &[
    (
        407,
        &[
            ("Proxy-Authenticate", "NTLM"),
            ("Proxy-Authenticate", "Negotiate"),
        ],
        "refuses: 407 Proxy Authentication Required; it accepts NTLM, Negotiate",
        Class::Config,
        FOREIGN,
    ),
    (
        407,
        &[
            ("Proxy-Authenticate", "Negotiate"),
            ("Proxy-Authenticate", "Basic realm=\"x\""),
        ],
        "refuses: 407 Proxy Authentication Required; it accepts Negotiate, Basic",
        Class::Config,
        LOGIN,
    ),
    (
        403,
        &[("X-Squid-Error", "ERR_ACCESS_DENIED 0")],
        "refuses: 403 Forbidden",
        Class::Config,
        CLOSED,
    ),
    (
        302,
        &[
            ("Location", "http://login.example/portal?session=secret"),
            ("Proxy-Status", "p; error=x"),
        ],
        "refuses: 302 Found; it leads to http://login.example/portal",
        Class::Config,
        CLOSED,
    ),
    (
        503,
        &[("X-Squid-Error", "ERR_DNS_FAIL 0")],
        "refuses: 503 Service Unavailable",
        Class::Network,
        BEHIND,
    ),
];

#[tokio::test]
async fn a_proxys_refusal_is_the_proxys_and_says_where_it_was_set() {
    for &(status, headers, end, class, hint) in ANSWERS {
        let proxy = Server::start(move |_| answer(status, headers, b"<html>")).await;
        let address = format!("http://user:secret@{}", proxy.authority());
        let chosen = Proxy::parse(&address)
            .unwrap()
            .set_by("variable HTTPS_PROXY".to_owned());
        let mut settings = hurried();
        settings.proxies.http = Some(chosen.clone());
        settings.proxies.https = Some(chosen);
        for endpoint in [https("registry.example"), plain("registry.example")] {
            // In absolute form a redirect is the server's, as far as can be seen.
            if status == 302 && endpoint == plain("registry.example") {
                continue;
            }
            let error = once(settings.clone(), endpoint).await.unwrap_err();
            let text = format!(
                "proxy http://***@{} (set by variable HTTPS_PROXY) {end}",
                proxy.authority()
            );
            assert_eq!(
                (error.text(), error.class(), error.hint(), error.status()),
                (text, class, Some(hint), None)
            );
        }
    }
}

#[tokio::test]
async fn a_servers_refusal_through_a_proxy_stays_the_servers() {
    let proxy = Server::start(|_| answer(403, &[], b"no")).await;
    let error = once(through(&proxy.authority()), plain("registry.example"));
    let error = error.await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Auth, Some(403)));
}

#[tokio::test]
async fn a_login_page_of_a_proxy_is_named() {
    let page = [("Content-Type", "text/html")];
    let proxy = Server::start(move |_| answer(200, &page, b"<html>Log in</html>")).await;
    let (transport, _) = crate::parts::transport(through(&proxy.authority()));
    let request = crate::parts::get("x")
        .once()
        .check(|_| Err(Refusal::corrupt("no manifest")));
    let route = Route::direct(plain("registry.example"));
    let done = transport.document(&route, &request, 1000, &Anonymous).await;
    let error = done.unwrap_err();
    let text = format!(
        "proxy http://{} refuses: a web page was returned instead of the answer",
        proxy.authority()
    );
    assert_eq!(
        (error.text(), error.class(), error.hint()),
        (text, Class::Config, Some(CLOSED))
    );
}
