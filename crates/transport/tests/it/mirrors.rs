//! Several endpoints of one route: which is asked, left alone, and asked again.

use sealift_transport::{Anonymous, Class, Event, Refusal, Route, Snapshot};

use crate::parts::{get, hurried, plain, transport};
use crate::retries::fetch;
use crate::server::{Act, Server, Silent, answer};

#[tokio::test]
async fn an_origins_404_is_final_at_once() {
    let server = Server::start(|_| answer(404, &[], b"no")).await;
    let (transport, _) = transport(hurried());
    let error = fetch(&transport, &Route::direct(plain(&server.authority())))
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.attempts()), (Class::Absent, 1));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_mirrors_404_asks_the_next() {
    let one = Server::start(|_| answer(404, &[], b"no")).await;
    let two = Server::start(|_| answer(404, &[], b"no")).await;
    let origin = Server::start(|_| answer(200, &[], b"yes")).await;
    let route = Route::new(
        [plain(&one.authority()), plain(&two.authority())],
        plain(&origin.authority()),
    );
    let (transport, seen) = transport(hurried());
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "yes");
    assert_eq!(
        (
            one.requests().len(),
            two.requests().len(),
            origin.requests().len()
        ),
        (1, 1, 1)
    );
    let waits = seen.count(|event| matches!(event, Event::Waiting { .. }));
    assert_eq!(waits, 0, "failover has no delay");
}

#[tokio::test]
async fn an_error_has_the_last_answers_of_the_other_endpoints() {
    let mirror = Server::start(|_| answer(404, &[], b"no")).await;
    let origin = Server::start(|_| answer(401, &[], b"who")).await;
    let (transport, _) = transport(hurried());
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let error = fetch(&transport, &route).await.unwrap_err();
    assert_eq!(error.host(), origin.authority());
    let [other] = error.elsewhere() else {
        panic!("{error:?}");
    };
    assert_eq!(
        (other.host(), other.status()),
        (&*mirror.authority(), Some(404))
    );
    let route = Route::direct(plain(&origin.authority()));
    let alone = fetch(&transport, &route).await.unwrap_err();
    assert!(alone.elsewhere().is_empty());
}

#[tokio::test]
async fn a_dead_mirror_costs_one_time_out_a_run() {
    let silent = Silent::start().await;
    let origin = Server::start(|_| answer(200, &[], b"yes")).await;
    let route = Route::new([plain(&silent.authority)], plain(&origin.authority()));
    let (transport, seen) = transport(hurried());
    for _ in 0..20 {
        assert_eq!(fetch(&transport, &route).await.unwrap().body, "yes");
    }
    let failures = seen.count(|event| matches!(event, Event::AttemptFailed { .. }));
    assert_eq!(failures, 1);
    assert_eq!(
        seen.count(|event| matches!(event, Event::BreakerOpened { .. })),
        1
    );

    // The next run knows it too.
    let written = transport.health().to_json();
    let (next, seen) = crate::parts::transport(hurried());
    next.remember(&Snapshot::from_json(&written));
    assert_eq!(fetch(&next, &route).await.unwrap().body, "yes");
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
}

#[tokio::test]
async fn what_was_remembered_expires_and_garbage_is_ignored() {
    let (transport, _) = transport(hurried());
    transport.remember(&Snapshot::from_json(b"{\"endpoints\": 7}"));
    assert_eq!(transport.health(), Snapshot::default());
    let old = format!(
        "{{\"endpoints\":{{\"http://a\":{{\"rests_until\":{},\"changed\":1}}}}}}",
        u64::MAX / 2
    );
    transport.remember(&Snapshot::from_json(old.as_bytes()));
    assert_eq!(transport.health(), Snapshot::default());
}

#[tokio::test]
async fn a_mirror_that_is_down_for_a_moment_is_found_again_by_a_sole_route() {
    let server = Server::start(|hit| match hit.number {
        0..12 => vec![Act::Reset],
        _ => answer(200, &[], b"back"),
    })
    .await;
    let (transport, seen) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "back");
    let breaker = |event: &Event| {
        matches!(
            event,
            Event::BreakerOpened { .. } | Event::BreakerClosed { .. }
        )
    };
    assert_eq!(seen.count(breaker), 0, "it was asked again at once");
}

#[tokio::test]
async fn refused_documents_quarantine_their_endpoint() {
    let mirror = Server::start(|_| answer(200, &[], b"forged")).await;
    let origin = Server::start(|_| answer(200, &[], b"genuine")).await;
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let (transport, seen) = transport(hurried());
    let request = get("x").check(|document| match &document.body[..] {
        b"genuine" => Ok(()),
        _ => Err(Refusal::corrupt("digest mismatch")),
    });
    for _ in 0..3 {
        let done = transport
            .document(&route, &request, 100, &Anonymous)
            .await
            .unwrap();
        assert_eq!(done.body, "genuine");
    }
    assert_eq!(mirror.requests().len(), 1);
    assert_eq!(
        seen.count(|event| matches!(event, Event::Quarantined { .. })),
        1
    );
    assert!(transport.is_quarantined(&route.endpoints()[0]));
}

#[tokio::test]
async fn with_all_endpoints_in_quarantine_the_error_says_why() {
    let origin = Server::start(|_| answer(200, &[], b"forged")).await;
    let route = Route::direct(plain(&origin.authority()));
    let (transport, _) = transport(hurried());
    transport.quarantine(&route.endpoints()[0], "wrong bytes");
    let error = fetch(&transport, &route).await.unwrap_err();
    assert_eq!(error.class(), Class::Corrupt);
    assert!(error.text().contains("wrong bytes"), "{}", error.text());
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test]
async fn one_wrong_answer_of_a_lone_endpoint_is_not_the_end_of_all_others() {
    let wrong = Server::start(|_| answer(200, &[], b"forged")).await;
    let origin = Server::start(|hit| match hit.number {
        0 | 1 => answer(200, &[], b"forged"),
        _ => answer(200, &[], b"genuine"),
    })
    .await;
    let origin_alone = Route::direct(plain(&origin.authority()));
    let with_mirror = Route::new([plain(&wrong.authority())], plain(&origin.authority()));
    let (transport, _) = transport(hurried());
    let request = get("x").check(|document| match &document.body[..] {
        b"genuine" => Ok(()),
        _ => Err(Refusal::corrupt("digest mismatch")),
    });
    for route in [&origin_alone, &with_mirror] {
        let error = transport
            .document(route, &request, 100, &Anonymous)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Corrupt);
        assert!(error.text().contains("digest mismatch"), "{}", error.text());
    }
    for route in [&origin_alone, &with_mirror] {
        let done = transport.document(route, &request, 100, &Anonymous).await;
        assert_eq!(done.unwrap().body, "genuine");
    }
    assert_eq!(wrong.requests().len(), 1, "a mirror is done without");
}

#[tokio::test]
async fn a_rested_mirror_is_probed_by_one_request_and_used_again() {
    let origin = Server::start(|_| answer(200, &[], b"origin")).await;
    let mirror = Server::start(|hit| match hit.number {
        0..4 => vec![Act::Reset],
        _ => answer(200, &[], b"mirror"),
    })
    .await;
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let (first, seen) = transport(hurried());
    for _ in 0..6 {
        assert_eq!(fetch(&first, &route).await.unwrap().body, "origin");
    }
    assert_eq!(
        mirror.requests().len(),
        4,
        "four failures in a row open its breaker"
    );
    assert_eq!(
        seen.count(|event| matches!(event, Event::BreakerOpened { .. })),
        1
    );

    // The rest is over in what a later run remembers.
    let mut snapshot = first.health();
    let record = snapshot
        .endpoints
        .get_mut(&route.endpoints()[0].key())
        .unwrap();
    assert!(record.rests_until.is_some());
    record.rests_until = Some(record.changed - 100);
    let (later, seen) = transport(hurried());
    later.remember(&snapshot);
    let all = (0..5).map(|_| fetch(&later, &route));
    let bodies: Vec<_> = futures_util::future::join_all(all).await;
    assert!(bodies.into_iter().all(|done| done.is_ok()));
    assert_eq!(mirror.requests().len(), 5, "one of five finds out");
    assert_eq!(
        seen.count(|event| matches!(event, Event::BreakerClosed { .. })),
        1
    );
    assert_eq!(fetch(&later, &route).await.unwrap().body, "mirror");
}
