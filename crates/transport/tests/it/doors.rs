//! The two doors for others' traffic: requests whose answers pass as they are, and raw connections.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, header};
use sealift_transport::proxy::{NoProxy, Proxy};
use sealift_transport::{Cause, Class, Payload, Request, Response, Route, Settings, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::parts::{get, hurried, plain, transport};
use crate::proxies::Relay;
use crate::server::{Act, Server, answer, head, nobody};

async fn whole(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(piece) = response.next().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    body
}

/// Fails to compile for a future that no task could run.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

fn pieces(list: &[&'static str]) -> Vec<io::Result<Bytes>> {
    let bytes = list
        .iter()
        .map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
    bytes.collect()
}

#[tokio::test]
async fn every_status_passes_with_its_body_and_is_asked_for_once() {
    let server = Server::start(|hit| {
        let status = hit.target[1..].parse().unwrap();
        let location = [("Location", "/200"), ("Content-Encoding", "gzip")];
        answer(status, &location, format!("body of {status}").as_bytes())
    })
    .await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let statuses = [
        200, 206, 302, 307, 401, 403, 404, 407, 410, 429, 500, 502, 503,
    ];
    for status in statuses {
        let request = get(&status.to_string());
        let response = transport
            .open(&route, &request, &Payload::Empty)
            .await
            .unwrap();
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(response.headers["content-encoding"], "gzip");
        assert_eq!(
            whole(response).await,
            format!("body of {status}").as_bytes()
        );
    }
    assert_eq!(server.requests().len(), statuses.len());
    assert_eq!(
        server.connections(),
        1,
        "bodies that were read give connections back"
    );
}

#[tokio::test]
async fn headers_pass_as_they_are() {
    let server = Server::start(|_| answer(200, &[], b"")).await;
    let (transport, _) = transport(hurried());
    let request = get("x")
        .header(
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer own"),
        )
        .header(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd"))
        .header(header::USER_AGENT, HeaderValue::from_static("pip/26"));
    let route = Route::direct(plain(&server.authority()));
    transport
        .open(&route, &request, &Payload::Empty)
        .await
        .unwrap();
    let hit = &server.requests()[0];
    let sent = ["authorization", "accept-encoding", "user-agent", "host"];
    let authority = server.authority();
    assert_eq!(
        sent.map(|name| hit.header(name).unwrap()),
        ["Bearer own", "zstd", "pip/26", authority.as_str()]
    );
}

#[tokio::test]
async fn a_body_is_read_before_it_ends_and_its_faults_are_told_apart() {
    let begun = [head(200, &[], Some(10)), b"first".to_vec()].concat();
    let faults = [(Act::Hang, "stalls"), (Act::Close, "ends")];
    for (fault, how) in faults {
        let acts = vec![Act::Send(begun.clone()), fault];
        let server = Server::start(move |_| acts.clone()).await;
        let (transport, _) = transport(hurried());
        let route = Route::direct(plain(&server.authority()));
        let opened = sendable(transport.open(&route, &get("x"), &Payload::Empty)).await;
        let mut response = opened.unwrap();
        assert_eq!(response.next().await.unwrap().unwrap(), "first");
        let error = response.next().await.unwrap_err();
        match (how, error.cause()) {
            ("stalls", Cause::Timeout { stage, .. }) => assert_eq!(*stage, Stage::Body),
            ("ends", Cause::Short) => {}
            _ => panic!("{how}: {error:?}"),
        }
        assert!(
            response.next().await.unwrap().is_none(),
            "nothing follows a failure"
        );
        assert_eq!(server.requests().len(), 1);
    }
}

/// A server that reports what arrives of one request's body, and answers at the end mark.
async fn listener(end: &'static str) -> (String, mpsc::UnboundedReceiver<String>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        let mut buffer = [0; 1024];
        while !text.ends_with(end) {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "closed after {text}");
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            sender.send(text.clone()).unwrap();
        }
        stream.write_all(&answer_bytes()).await.unwrap();
        let _closed = stream.read_u8().await;
    });
    (authority, receiver, tasks)
}

fn answer_bytes() -> Vec<u8> {
    [head(201, &[], Some(4)), b"done".to_vec()].concat()
}

#[tokio::test]
async fn an_upload_goes_out_as_it_comes() {
    let cases = [
        (Some(10), "world", "content-length: 10"),
        (None, "0\r\n\r\n", "transfer-encoding: chunked"),
    ];
    for (length, end, declared) in cases {
        let (authority, mut arrived, _tasks) = listener(end).await;
        let (transport, _) = transport(hurried());
        let (sender, receiver) = mpsc::unbounded_channel::<&'static str>();
        let source = stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((Ok(Bytes::from_static(piece.as_bytes())), receiver))
        });
        let payload = Payload::stream(length, source);
        let request = Request::new(Method::PUT, "x");
        let route = Route::direct(plain(&authority));
        let feed = async {
            sender.send("hello").unwrap();
            let mut seen = String::new();
            while !seen.contains("hello") {
                seen = arrived.recv().await.unwrap();
            }
            // Longer than any time-out of the transport: who sends may take their time.
            tokio::time::sleep(hurried().timeouts.stall * 2).await;
            sender.send("world").unwrap();
            drop(sender);
            seen
        };
        let (response, seen) = tokio::join!(transport.open(&route, &request, &payload), feed);
        let response = response.unwrap();
        assert!(seen.to_lowercase().contains(declared), "{seen}");
        assert_eq!(response.status, 201);
        assert_eq!(whole(response).await, b"done");
    }
}

#[tokio::test]
async fn a_stream_is_sent_once_but_moves_on_while_nothing_of_it_went_out() {
    let (transport, _) = transport(hurried());
    let good = Server::start(|hit| answer(200, &[], &hit.body)).await;
    let route = Route::new([plain(&nobody().await)], plain(&good.authority()));
    let payload = Payload::stream(Some(8), stream::iter(pieces(&["all ", "here"])));
    let request = Request::new(Method::PUT, "x");
    let response = transport.open(&route, &request, &payload).await.unwrap();
    assert_eq!(whole(response).await, b"all here");

    let bad = Server::start(|_| vec![Act::Reset]).await;
    let route = Route::direct(plain(&bad.authority()));
    let payload = Payload::stream(Some(8), stream::iter(pieces(&["all ", "gone"])));
    let error = transport
        .open(&route, &request, &payload)
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.attempts()), (Class::Network, 1));
    assert_eq!(bad.requests().len(), 1);
}

/// A server of raw bytes: it sends each line back in capitals.
async fn shouting() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 64];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                buffer[..count].make_ascii_uppercase();
                stream.write_all(&buffer[..count]).await.unwrap();
            }
        }
    });
    (port, tasks)
}

#[tokio::test]
async fn connections_pass_bytes_both_ways_over_addresses_and_proxies() {
    let (port, _tasks) = shouting().await;
    let http = Relay::connect(None).await;
    let socks = Relay::socks(Some(("user", "secret"))).await;
    let through = |proxy: &str| {
        let mut settings = hurried();
        settings.proxies.https = Some(Proxy::parse(proxy).unwrap());
        settings.proxies.no_proxy = NoProxy::default();
        settings
    };
    // `localhost` has an address of each family as a rule, and the server listens at one of them.
    let direct = [
        (hurried(), format!("127.0.0.1:{port}")),
        (hurried(), format!("localhost:{port}")),
    ];
    let named = format!("far.example:{port}");
    let proxied = [
        (through(&http.address), named.clone()),
        (
            through(&format!("socks5://user:secret@{}", socks.address)),
            named.clone(),
        ),
    ];
    for (settings, authority) in direct.into_iter().chain(proxied) {
        let (transport, _) = transport(settings);
        let mut stream = sendable(transport.connect(&authority, None)).await.unwrap();
        for word in ["not http", "at all"] {
            stream.write_all(word.as_bytes()).await.unwrap();
            let mut back = vec![0; word.len()];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back, word.to_uppercase().as_bytes(), "{authority}");
        }
    }
    let asked = [http.asked(), socks.asked()];
    assert!(
        asked
            .iter()
            .all(|asked| asked.len() == 1 && asked[0].0 == named),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_an_error_of_its_kind() {
    let mut settings: Settings = hurried();
    settings.retry.attempts = Some(1);
    let (transport, _) = transport(settings);
    let refused = transport.connect(&nobody().await, None).await;
    let refused = refused.err().unwrap();
    assert!(
        matches!(refused.cause(), Cause::Connect { .. }),
        "{refused:?}"
    );
    for authority in ["", "a b:1", "user@host:1"] {
        let wrong = transport.connect(authority, None).await.err().unwrap();
        assert!(
            matches!(wrong.cause(), Cause::Url { .. }),
            "{authority}: {wrong:?}"
        );
    }
}
