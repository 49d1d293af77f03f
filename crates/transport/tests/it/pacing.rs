//! How fast a host is asked: what it says of its limits, and what it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sealift_transport::{Event, Reason, Route};

use crate::parts::{hurried, plain, transport};
use crate::retries::fetch;
use crate::server::{Act, Server, answer};

#[tokio::test]
async fn retry_after_is_obeyed_up_to_its_cap() {
    for (value, asked) in [
        ("31536000", 31_536_000),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 1),
    ] {
        let server = Server::start(move |hit| match hit.number {
            0 => answer(429, &[("Retry-After", value)], b""),
            _ => answer(200, &[], b"ok"),
        })
        .await;
        let (transport, seen) = transport(hurried());
        let start = Instant::now();
        let route = Route::direct(plain(&server.authority()));
        assert_eq!(fetch(&transport, &route).await.unwrap().body, "ok");
        assert!(
            start.elapsed() >= Duration::from_millis(300),
            "the cap is waited for"
        );
        let told = seen.events().into_iter().find_map(|event| match event {
            Event::Waiting {
                reason: Reason::RetryAfter { asked },
                millis,
                ..
            } => Some((asked, millis)),
            _ => None,
        });
        let (said, waited) = told.expect("the wait is announced");
        assert!(said >= asked, "{said}");
        assert_eq!(waited, 300);
    }
}

#[tokio::test]
async fn a_429_paces_the_whole_host() {
    let server = Server::start(|hit| match (hit.number, hit.target.as_str()) {
        (0, _) => answer(429, &[("Retry-After", "1")], b""),
        _ => answer(200, &[], b"ok"),
    })
    .await;
    let (transport, seen) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let start = Instant::now();
    let (one, two) = tokio::join!(fetch(&transport, &route), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fetch(&transport, &route).await
    });
    assert!(one.is_ok() && two.is_ok());
    assert!(start.elapsed() >= Duration::from_millis(300));
    let paced = seen.count(|event| {
        matches!(
            event,
            Event::Waiting {
                reason: Reason::Paced,
                ..
            }
        )
    });
    assert!(
        paced >= 1,
        "the other request waits too: {:?}",
        seen.events()
    );
}

#[tokio::test]
async fn a_429_goes_to_the_next_endpoint_where_there_is_one() {
    let mirror = Server::start(|_| answer(429, &[("Retry-After", "1000")], b"")).await;
    let origin = Server::start(|_| answer(200, &[], b"yes")).await;
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let (transport, _) = transport(hurried());
    for _ in 0..3 {
        assert_eq!(fetch(&transport, &route).await.unwrap().body, "yes");
    }
    assert_eq!(
        mirror.requests().len(),
        1,
        "the mirror is left alone while it is paced"
    );
}

#[tokio::test]
async fn the_hubs_limit_is_told_and_respected() {
    let hub = Server::start(|_| {
        let headers = [
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "0;w=21600"),
        ];
        answer(200, &headers, b"hub")
    })
    .await;
    let other = Server::start(|_| answer(200, &[], b"other")).await;
    let route = Route::new([plain(&hub.authority())], plain(&other.authority()));
    let (transport, seen) = transport(hurried());
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "hub");
    let told = seen.count(|event| {
        matches!(
            event,
            Event::RateLimit {
                limit: 100,
                remaining: 0,
                window: 21600,
                ..
            }
        )
    });
    assert_eq!(told, 1);
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "other");
}

#[tokio::test]
async fn a_retry_after_that_is_over_already_is_no_leave_to_ask_at_once() {
    for status in [503, 429] {
        for past in ["0", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            let server =
                Server::start(move |_| answer(status, &[("Retry-After", past)], b"")).await;
            let mut settings = hurried();
            settings.retry.base = Duration::from_millis(40);
            settings.retry.cap = Duration::from_millis(40);
            settings.retry.attempts = Some(8);
            let (transport, seen) = transport(settings);
            let route = Route::direct(plain(&server.authority()));
            fetch(&transport, &route).await.unwrap_err();
            let waits = seen.events().into_iter().filter_map(|event| match event {
                Event::Waiting { millis, .. } => Some(millis),
                _ => None,
            });
            let waits: Vec<u64> = waits.collect();
            assert!(
                waits.iter().any(|millis| *millis > 5),
                "{status}: {waits:?}"
            );
        }
    }
}

#[tokio::test]
async fn patience_with_a_slow_answer_grows() {
    let server = Server::start(|hit| match hit.number {
        // A proxy cache that fetches first: each answer takes longer than the first time-out.
        0..8 => [
            vec![Act::Pause(Duration::from_millis(700))],
            answer(200, &[], b"late"),
        ]
        .concat(),
        _ => vec![Act::Reset],
    })
    .await;
    let mut settings = hurried();
    settings.timeouts.first_byte = Duration::from_millis(150);
    settings.retry.attempts = Some(5);
    let (transport, _) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "late");
}

#[tokio::test]
async fn small_requests_to_a_host_are_bounded() {
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, top) = (Arc::clone(&open), Arc::clone(&most));
    let server = Server::start(move |_| {
        top.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let wait = Act::Pause(Duration::from_millis(20));
        let done = Act::Count(Arc::clone(&now));
        [vec![wait, done], answer(200, &[], b"ok")].concat()
    })
    .await;
    let mut settings = hurried();
    settings.limits.requests_per_host = 3;
    let (transport, _) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    let all = (0..30).map(|_| fetch(&transport, &route));
    let done = futures_util::future::join_all(all).await;
    assert!(done.into_iter().all(|done| done.is_ok()));
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert!(server.connections() <= 3, "{}", server.connections());
}
