//! Bodies that are sent.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use sealift_transport::{
    Anonymous, Cause, Class, Event, Patience, Payload, Phase, Reason, Request, Route, Spent, Stage,
    Term,
};

use crate::parts::{data, hurried, plain, transport};
use crate::server::{Act, Server, answer};

fn put() -> Request {
    Request::new(Method::PUT, "blob").of(Phase::Push, "image")
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_with_its_length() {
    let server = Server::start(|_| answer(201, &[("Location", "/done")], b"")).await;
    let (transport, seen) = transport(hurried());
    let bytes = data(1_000_000, 1);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let payload = Payload::File {
        file: Arc::new(file),
        range: 1000..900_000,
    };
    let route = Route::direct(plain(&server.authority()));
    let done = transport
        .upload(&route, &put(), &payload, &Anonymous)
        .await
        .unwrap();
    assert_eq!(
        (done.status.as_u16(), done.header("location")),
        (201, Some("/done"))
    );
    let hit = &server.requests()[0];
    assert_eq!(hit.header("content-length"), Some("899000"));
    assert!(hit.body == bytes[1000..900_000]);
    let sent: u64 = seen
        .events()
        .iter()
        .map(|event| match event {
            Event::Sent { bytes, .. } => *bytes,
            _ => 0,
        })
        .sum();
    assert_eq!(sent, 899_000);
    assert_eq!(transport.totals()[&server.authority()].sent, 899_000);
}

#[tokio::test]
async fn a_large_body_is_told_while_it_goes_out() {
    const SIZE: usize = 128 << 20;
    let server = Server::start(|_| answer(201, &[], b"")).await;
    let (transport, _) = transport(hurried());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let request = put().sending(move |sent| hears.lock().unwrap().push(sent));
    let route = Route::direct(plain(&server.authority()));
    let payload = Payload::Bytes(Bytes::from(vec![7; SIZE]));
    let sent = transport.upload(&route, &request, &payload, &Anonymous);
    sent.await.unwrap();
    let heard = heard.lock().unwrap().clone();
    assert!(heard.len() > 1 && heard.is_sorted(), "{heard:?}");
    assert_eq!(heard.last(), Some(&(SIZE as u64)));
}

#[tokio::test]
async fn a_put_is_sent_again_whole() {
    let server = Server::start(|hit| match hit.number {
        0 => vec![Act::Reset],
        1 => answer(503, &[], b""),
        _ => answer(201, &[], b""),
    })
    .await;
    let (transport, _) = transport(hurried());
    let payload = Payload::Bytes(Bytes::from(data(100_000, 2)));
    let route = Route::direct(plain(&server.authority()));
    transport
        .upload(&route, &put(), &payload, &Anonymous)
        .await
        .unwrap();
    assert_eq!(server.requests().len(), 3);
    assert!(
        server
            .requests()
            .iter()
            .all(|hit| hit.body.len() == 100_000)
    );
}

#[tokio::test]
async fn a_patch_is_the_callers_to_resume() {
    let server = Server::start(|_| vec![Act::Reset]).await;
    let (transport, _) = transport(hurried());
    let payload = Payload::Bytes(Bytes::from_static(b"chunk"));
    let route = Route::direct(plain(&server.authority()));
    let patch = Request::new(Method::PATCH, "upload").of(Phase::Push, "image");
    let error = transport
        .upload(&route, &patch, &payload, &Anonymous)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.attempts(), server.requests().len()),
        (Class::Network, 1, 1)
    );
}

#[tokio::test]
async fn an_empty_post_says_so() {
    let server = Server::start(|_| answer(202, &[], b"")).await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let post = Request::new(Method::POST, "uploads/").of(Phase::Push, "image");
    transport
        .upload(&route, &post, &Payload::Empty, &Anonymous)
        .await
        .unwrap();
    assert_eq!(server.requests()[0].header("content-length"), Some("0"));
    assert_eq!(server.requests()[0].target, "/uploads/");
}

#[tokio::test]
async fn an_absolute_place_is_used_as_it_is() {
    let storage = Server::start(|_| answer(201, &[], b"")).await;
    let registry = Server::start(|_| answer(500, &[], b"")).await;
    let (transport, _) = transport(hurried());
    let place = format!("http://{}/upload?state=abc%3D", storage.authority());
    let request = Request::at(Method::PUT, place.parse().unwrap()).of(Phase::Push, "image");
    let route = Route::direct(plain(&registry.authority()));
    let payload = Payload::Bytes(Bytes::from_static(b"x"));
    transport
        .upload(&route, &request, &payload, &Anonymous)
        .await
        .unwrap();
    assert_eq!(storage.requests()[0].target, "/upload?state=abc%3D");
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_stops_reading_is_a_stall() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let _held = listener.accept().await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let (transport, _) = transport(hurried());
    let payload = Payload::Bytes(Bytes::from(vec![0; 64 << 20]));
    let route = Route::direct(plain(&authority));
    let error = transport
        .upload(&route, &put().once(), &payload, &Anonymous)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error.cause(),
            Cause::Timeout {
                stage: Stage::Send,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Network);
}

#[tokio::test]
async fn a_file_that_shrank_is_the_disks_failure() {
    let server = Server::start(|_| answer(201, &[], b"")).await;
    let (transport, _) = transport(hurried());
    let payload = Payload::File {
        file: Arc::new(tempfile::tempfile().unwrap()),
        range: 0..1000,
    };
    let route = Route::direct(plain(&server.authority()));
    let error = transport
        .upload(&route, &put(), &payload, &Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error.cause(), Cause::Source(_)), "{error:?}");
    assert_eq!((error.class(), error.attempts()), (Class::Disk, 1));
}

#[tokio::test]
async fn work_that_its_owner_takes_up_again_waits_as_repeated_requests_do_within_its_budgets() {
    let server = Server::start(|_| answer(503, &[], b"busy")).await;
    let mut settings = hurried();
    settings.retry.attempts = Some(1);
    let (transport, seen) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    let limit = Duration::from_millis(200);
    let mut patience = Patience::new(Some(Term::begin("image", limit)));
    let mut tries = 0;
    let error = loop {
        let payload = Payload::Bytes(Bytes::from_static(b"x"));
        let sent = transport.upload(&route, &put(), &payload, &Anonymous).await;
        tries += 1;
        if let Err(error) = transport.wait_after(sent.unwrap_err(), &mut patience).await {
            break error;
        }
    };
    let of = "image";
    assert_eq!(error.spent(), Some(Spent::Term { of, limit }));
    assert!(tries > 3, "{tries}");
    let told = seen.count(|event| {
        matches!(event, Event::Waiting { subject, reason: Reason::Backoff { class: Class::Network }, millis }
            if *subject.host == *server.authority() && *subject.label == *"image" && *millis > 0)
    });
    assert_eq!(told, tries - 1);
    assert!(transport.totals()[&server.authority()].lost_ms > 0);
}
