//! Connections that are kept, hedged, dropped and tried.

use std::time::Duration;

use sealift_transport::{Event, Route};

use crate::parts::{hurried, plain, transport};
use crate::retries::fetch;
use crate::server::{Act, Server, Silent, answer};

#[tokio::test]
async fn an_idle_connection_that_died_costs_nothing() {
    let server = Server::start(|_| [answer(200, &[], b"ok"), vec![Act::Close]].concat()).await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, seen) = transport(hurried());
    for _ in 0..5 {
        assert!(fetch(&transport, &route).await.is_ok());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(|_| answer(200, &[], b"ok")).await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, _) = transport(hurried());
    for _ in 0..10 {
        assert!(fetch(&transport, &route).await.is_ok());
    }
    assert_eq!((server.requests().len(), server.connections()), (10, 1));
}

#[tokio::test]
async fn slow_documents_are_asked_for_twice() {
    let server = Server::start(|hit| match hit.number {
        // Eight fast ones teach what is usual; then one never answers.
        8 => vec![Act::Hang],
        _ => answer(200, &[], b"ok"),
    })
    .await;
    let mut settings = hurried();
    settings.hedge = true;
    settings.timeouts.first_byte = Duration::from_secs(30);
    let (transport, seen) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    for _ in 0..9 {
        assert!(fetch(&transport, &route).await.is_ok());
    }
    assert_eq!(server.requests().len(), 10);
    assert_eq!(seen.count(|event| matches!(event, Event::Hedged { .. })), 1);
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
}

#[tokio::test]
async fn a_hedge_finds_the_origin_while_a_mirror_hangs() {
    let silent = Silent::start().await;
    let origin = Server::start(|_| answer(200, &[], b"yes")).await;
    let route = Route::new([plain(&silent.authority)], plain(&origin.authority()));
    let mut settings = hurried();
    settings.hedge = true;
    settings.timeouts.connect = Duration::from_secs(60);
    let (transport, seen) = transport(settings);
    for _ in 0..3 {
        assert_eq!(fetch(&transport, &route).await.unwrap().body, "yes");
    }
    assert_eq!(
        seen.count(|event| matches!(event, Event::Hedged { .. })),
        1,
        "then it is known dead"
    );
}

#[tokio::test]
async fn dropping_a_request_closes_its_connection() {
    let server = Server::start(|_| vec![Act::Hang]).await;
    let route = Route::direct(plain(&server.authority()));
    let mut settings = hurried();
    settings.timeouts.first_byte = Duration::from_secs(60);
    let (transport, _) = transport(settings);
    let asked = tokio::time::timeout(Duration::from_millis(200), fetch(&transport, &route)).await;
    assert!(asked.is_err());
    assert_eq!(server.requests().len(), 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        server.requests().len(),
        1,
        "nothing goes on behind its back"
    );
}

#[tokio::test]
async fn names_with_several_addresses_are_tried_on_all_of_them() {
    // Where localhost is ::1 too, nothing listens there.
    let server = Server::start(|_| answer(200, &[], b"ok")).await;
    let (transport, seen) = transport(hurried());
    let route = Route::direct(plain(&format!("localhost:{}", server.port)));
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "ok");
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
}
