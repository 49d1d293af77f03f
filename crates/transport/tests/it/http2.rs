//! HTTP/2: shared by small requests, never used for ranges, its own failures.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sealift_transport::{Anonymous, Class, Event, Phase, Remedy, Route, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, names};
use crate::parts::{Memory, get, https, hurried, transport};

/// A body in pieces that may end in an error, which resets its stream.
struct Pieces(Vec<Result<Bytes, ()>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let next = self.0.remove(0);
        let broken = || io::Error::other("broken");
        Poll::Ready(Some(next.map(Frame::data).map_err(|()| broken())))
    }
}

type Answer = Arc<dyn Fn(usize, &Request<Incoming>) -> Vec<Result<Bytes, ()>> + Send + Sync>;

struct Server {
    authority: String,
    settings: Settings,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server that offers HTTP/2 and ends each connection in order (GOAWAY) after some
    /// requests.
    async fn start(
        most: usize,
        answer: impl Fn(usize, &Request<Incoming>) -> Vec<Result<Bytes, ()>> + Send + Sync + 'static,
    ) -> Self {
        let issuer = Authority::new();
        let mut config = issuer.server(&names(&["127.0.0.1"]), None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (connections, requests) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (opened, asked) = (Arc::clone(&connections), Arc::clone(&requests));
        let answer: Answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                let opened = Arc::clone(&opened);
                open.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        opened.fetch_add(1, Ordering::SeqCst);
                        serve(stream, most, answer, asked).await;
                    }
                });
            }
        });
        Self {
            authority,
            settings: Settings {
                tls: issuer.trusted(),
                ..hurried()
            },
            connections,
            requests,
            _tasks: tasks,
        }
    }
}

async fn serve(
    stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    most: usize,
    answer: Answer,
    asked: Arc<AtomicUsize>,
) {
    let here = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(tokio::sync::Notify::new());
    let (count, bell) = (Arc::clone(&here), Arc::clone(&enough));
    let service = service_fn(move |request: Request<Incoming>| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        if count.fetch_add(1, Ordering::SeqCst) + 1 >= most {
            bell.notify_one();
        }
        let version = request.version();
        let body = Pieces(answer(number, &request));
        async move {
            let builder = Response::builder().header("x-version", format!("{version:?}"));
            Ok::<_, Infallible>(builder.body(body).unwrap())
        }
    });
    let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if !two {
        let connection = hyper::server::conn::http1::Builder::new();
        let _ = connection
            .serve_connection(TokioIo::new(stream), service)
            .await;
        return;
    }
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = enough.notified() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

fn whole(text: &'static str) -> Vec<Result<Bytes, ()>> {
    vec![Ok(Bytes::from_static(text.as_bytes()))]
}

#[tokio::test]
async fn small_requests_share_one_connection() {
    let server = Server::start(usize::MAX, |_, request| {
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.headers()["accept-encoding"], "identity");
        whole("two")
    })
    .await;
    let (transport, seen) = transport(server.settings.clone());
    let route = Route::direct(https(&server.authority));
    let request = get("x");
    let first = transport
        .document(&route, &request, 100, &Anonymous)
        .await
        .unwrap();
    assert_eq!(
        (&first.body[..], first.header("x-version")),
        (&b"two"[..], Some("HTTP/2.0"))
    );
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let (transport, route, request) = (transport.clone(), route.clone(), request.clone());
        tasks.spawn(async move { transport.document(&route, &request, 100, &Anonymous).await });
    }
    while let Some(done) = tasks.join_next().await {
        assert_eq!(done.unwrap().unwrap().body, "two");
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 51);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
}

#[tokio::test]
async fn a_goaway_costs_nothing() {
    let server = Server::start(3, |_, _| whole("ok")).await;
    let (transport, _) = transport(server.settings.clone());
    let route = Route::direct(https(&server.authority));
    for _ in 0..20 {
        let done = transport
            .document(&route, &get("x"), 100, &Anonymous)
            .await
            .unwrap();
        assert_eq!(done.body, "ok");
    }
    assert!(server.connections.load(Ordering::SeqCst) >= 6);
}

#[tokio::test]
async fn a_stream_that_is_reset_is_the_network() {
    let server = Server::start(usize::MAX, |number, _| match number {
        0..3 => vec![Ok(Bytes::from_static(b"ha")), Err(())],
        _ => whole("whole"),
    })
    .await;
    let (transport, seen) = transport(server.settings.clone());
    let route = Route::direct(https(&server.authority));
    let done = transport
        .document(&route, &get("x"), 100, &Anonymous)
        .await
        .unwrap();
    assert_eq!(done.body, "whole");
    let failures: Vec<(Class, String)> = seen
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::AttemptFailed { class, text, .. } => Some((class, text)),
            _ => None,
        })
        .collect();
    assert_eq!(failures.len(), 3);
    for (class, text) in failures {
        assert_eq!(class, Class::Network, "{text}");
        let verdict = sealift_failure::classify(Phase::Blob, &text, None);
        assert_eq!(
            (verdict.class, verdict.remedy),
            (Class::Network, Remedy::Backoff),
            "{text}"
        );
    }
}

#[tokio::test]
async fn large_content_has_connections_of_its_own() {
    let server = Server::start(usize::MAX, |_, request| {
        assert_eq!(
            request.version(),
            Version::HTTP_11,
            "ranges do not share a connection"
        );
        vec![
            Ok(Bytes::from(vec![7; 1 << 20])),
            Ok(Bytes::from(vec![7; 1 << 20])),
        ]
    })
    .await;
    let (transport, _) = transport(server.settings.clone());
    let route = Route::direct(https(&server.authority));
    let sink = Memory::new(2 << 20);
    let request = sealift_transport::Request::get("blob")
        .of(Phase::Blob, "image")
        .size(2 << 20);
    transport
        .download(&route, &request, &sink, &Anonymous)
        .await
        .unwrap();
    assert!(sink.bytes().iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn http2_can_be_switched_off() {
    let server = Server::start(usize::MAX, |_, request| {
        assert_eq!(request.version(), Version::HTTP_11);
        whole("one")
    })
    .await;
    let (transport, _) = transport(Settings {
        http2: false,
        ..server.settings.clone()
    });
    let route = Route::direct(https(&server.authority));
    let done = transport
        .document(&route, &get("x"), 100, &Anonymous)
        .await
        .unwrap();
    assert_eq!(done.body, "one");
}

#[tokio::test]
async fn dropping_the_transport_closes_its_connections() {
    let server = Server::start(usize::MAX, |_, _| whole("ok")).await;
    let route = Route::direct(https(&server.authority));
    for round in 1..=3 {
        let (transport, _) = transport(server.settings.clone());
        transport
            .document(&route, &get("x"), 100, &Anonymous)
            .await
            .unwrap();
        drop(transport);
        let metrics = tokio::runtime::Handle::current().metrics();
        for _ in 0..100 {
            // The server's own: its accept loop and a task for each connection still open.
            if metrics.num_alive_tasks() <= 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(
            metrics.num_alive_tasks() <= 1,
            "round {round}: a task outlives its transport"
        );
    }
}
