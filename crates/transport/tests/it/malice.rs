//! Servers that mean harm with the means of HTTP itself: heads, chunks, trailers, ranges,
//! redirects and delays. None of them may exhaust us, hold us, or put words into another's mouth.

use std::time::Duration;

use sealift_transport::{Anonymous, Cause, Class, Document, Error, Phase, Request, Route, Stage};

use crate::parts::{Memory, get, hurried, plain, transport};
use crate::server::{Act, Server, answer, head, nobody};

/// More than any of these may take, and far less than for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one attempt at a server with this script comes to.
async fn once(acts: Vec<Act>) -> Result<Document, Error> {
    let server = Server::start(move |_| acts.clone()).await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let request = get("x").once();
    let asked = transport.document(&route, &request, 1 << 20, &Anonymous);
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("it ends")
}

/// How much memory this process has ever used, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.unwrap().split_whitespace().nth(1);
    words.unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_head_that_drips_times_out() {
    // Each byte comes in time for any time-out that begins anew with it.
    let text = head(200, &[("X-Slow", &"x".repeat(2000))], Some(0));
    let error = once(vec![Act::Slowly(text, 50)]).await.unwrap_err();
    let stage = matches!(
        error.cause(),
        Cause::Timeout {
            stage: Stage::FirstByte,
            ..
        }
    );
    assert!(stage, "{error:?}");
}

#[tokio::test]
async fn a_megabyte_of_headers_is_refused() {
    let long = "x".repeat(1 << 20);
    let error = once(vec![Act::Send(head(200, &[("X-Long", &long)], Some(0)))]).await;
    assert!(matches!(error.unwrap_err().cause(), Cause::Http(_)));
    let many: Vec<(&str, &str)> = vec![("X-Many", "y"); 20_000];
    let error = once(vec![Act::Send(head(200, &many, Some(0)))]).await;
    assert!(matches!(error.unwrap_err().cause(), Cause::Http(_)));
}

#[tokio::test]
async fn interim_answers_without_end_time_out() {
    for interim in ["100 Continue", "103 Early Hints"] {
        let one = format!("HTTP/1.1 {interim}\r\nLink: </a>; rel=preload\r\n\r\n");
        let error = once(vec![Act::Forever(one.repeat(100).into_bytes())]).await;
        let error = error.unwrap_err();
        assert_eq!(error.class(), Class::Network, "{error:?}");
    }
}

#[tokio::test]
async fn chunks_that_say_too_much_are_refused() {
    let start = head(200, &[("Transfer-Encoding", "chunked")], None);
    let before = peak();
    let bombs: [(&[u8], Vec<u8>); 4] = [
        // An extension without end, a size without end, trailers without end, chunks of nothing.
        (b"5;x=", vec![b'y'; 4096]),
        (b"", vec![b'0'; 4096]),
        (b"5\r\nhello\r\n0\r\n", b"X-Trailer: y\r\n".repeat(300)),
        (
            b"5\r\nhello\r\n",
            b"1;ext=\"yyyyyyyyyyyyyyyyyyyy\"\r\nz\r\n".repeat(100),
        ),
    ];
    for (first, more) in bombs {
        let acts = vec![
            Act::Send(start.clone()),
            Act::Send(first.to_vec()),
            Act::Forever(more.clone()),
        ];
        let error = once(acts).await.unwrap_err();
        let known = matches!(error.class(), Class::Network | Class::Corrupt);
        assert!(known, "{:?}: {error:?}", String::from_utf8_lossy(first));
    }
    assert!(peak() - before < 64 << 20, "{} bytes", peak() - before);
}

#[tokio::test]
async fn trailers_are_no_headers() {
    let mut bytes = head(200, &[("Transfer-Encoding", "chunked")], None);
    bytes.extend(b"5\r\nhello\r\n0\r\nETag: \"evil\"\r\nContent-Type: text/evil\r\n\r\n");
    let done = once(vec![Act::Send(bytes)]).await.unwrap();
    assert_eq!(done.body, "hello");
    assert_eq!(done.header("etag"), None);
    assert_eq!(done.header("content-type"), None);
}

#[tokio::test]
async fn two_lengths_are_none() {
    let twice = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello!!";
    let error = once(vec![Act::Send(twice.to_vec())]).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::Http(_)), "{error:?}");
    for length in ["-5", "5, 6", "0x5", "99999999999999999999999999"] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello");
        let error = once(vec![Act::Send(text.into_bytes()), Act::Close]).await;
        assert!(error.is_err(), "{length}: {error:?}");
    }
}

/// A second answer that comes with the first is no answer to the next request.
#[tokio::test]
async fn answers_that_nobody_asked_for_are_not_believed() {
    let server = Server::start(|hit| {
        let mut bytes = head(200, &[], Some(4));
        bytes.extend(format!("n{:03}", hit.number).into_bytes());
        bytes.extend(head(200, &[], Some(4)));
        bytes.extend(b"evil");
        vec![Act::Send(bytes)]
    })
    .await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    for number in 0..20 {
        let done = transport
            .document(&route, &get("x"), 100, &Anonymous)
            .await
            .unwrap();
        assert_ne!(done.body, "evil", "request {number}");
    }
}

#[tokio::test]
async fn parts_that_nobody_asked_for_are_no_content() {
    let parts = "--b\r\nContent-Range: bytes 0-4/10\r\n\r\nhello\r\n--b--\r\n";
    let multi = [("Content-Type", "multipart/byteranges; boundary=b")];
    let other = [("Content-Range", "bytes 50-149/200")];
    // Both have the size that the content should have.
    for (headers, body) in [(&multi, parts.as_bytes()), (&other, &[7; 100][..])] {
        let size = body.len();
        let acts = answer(206, headers, body);
        let server = Server::start(move |_| acts.clone()).await;
        let (transport, _) = transport(hurried());
        let route = Route::direct(plain(&server.authority()));
        let sink = Memory::new(size);
        let request = Request::get("blob")
            .of(Phase::Blob, "image")
            .size(size as u64);
        let asked = transport.download(&route, &request, &sink, &Anonymous);
        let error = tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("it ends");
        assert_eq!(error.unwrap_err().class(), Class::Corrupt);
        assert!(
            server.requests().len() < 10,
            "{} requests",
            server.requests().len()
        );
    }
}

#[tokio::test]
async fn what_stands_in_a_location_is_neither_sent_nor_shown() {
    let other = Server::start(|hit| {
        assert_eq!(hit.header("authorization"), None);
        assert!(!hit.target.contains("secret"), "{}", hit.target);
        answer(200, &[], b"content")
    })
    .await;
    let place = format!("http://user:secret@{}/x", other.authority());
    let acts = answer(307, &[("Location", &place)], b"");
    assert_eq!(once(acts).await.unwrap().body, "content");
    let place = format!("http://user:secret@{}/x", nobody().await);
    let acts = answer(307, &[("Location", &place)], b"");
    let error = once(acts).await.unwrap_err();
    let shown = format!("{error} {error:?} {}", error.text());
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn absurd_delays_are_cut() {
    let absurd = [
        "99999999999999999999999999999999",
        "18446744073709551615",
        "-1",
        "1e300",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "\u{1}",
    ];
    for (status, delay) in [429, 503].into_iter().flat_map(|s| absurd.map(|d| (s, d))) {
        let server = Server::start(move |hit| match hit.number {
            0 => answer(status, &[("Retry-After", delay)], b""),
            _ => answer(200, &[], b"ok"),
        })
        .await;
        let (transport, _) = transport(hurried());
        let route = Route::direct(plain(&server.authority()));
        let request = get("x");
        let asked = transport.document(&route, &request, 100, &Anonymous);
        let done = tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("it ends");
        // A header that is no header is no HTTP, and may be asked for again.
        assert_eq!(done.unwrap().body, "ok", "{status} {delay:?}");
    }
}

#[tokio::test]
async fn absurd_limits_of_requests_are_ignored() {
    let limits = [
        ("ratelimit-limit", "0;w=0"),
        (
            "ratelimit-remaining",
            "-99999999999999999999;w=99999999999999999999",
        ),
        ("ratelimit-reset", "99999999999999999999"),
    ];
    let acts = answer(200, &limits, b"ok");
    let server = Server::start(move |_| acts.clone()).await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    for _ in 0..3 {
        let request = get("x");
        let asked = transport.document(&route, &request, 100, &Anonymous);
        let done = tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("it ends");
        assert_eq!(done.unwrap().body, "ok");
    }
}
