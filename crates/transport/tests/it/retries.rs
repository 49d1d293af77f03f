//! What is repeated, where, how often, and what people are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use sealift_transport::{
    Anonymous, Class, Decision, Event, Phase, Reason, Request, Result, Route, Spent, Term,
    Transport,
};

use crate::parts::{Memory, get, hurried, plain, transport};
use crate::server::{Act, Hit, Server, answer, head, nobody};

pub(crate) async fn fetch(
    transport: &Transport,
    route: &Route,
) -> Result<sealift_transport::Document> {
    transport
        .document(route, &get("x"), 1 << 20, &Anonymous)
        .await
}

#[tokio::test]
async fn failures_of_the_network_are_repeated_until_one_succeeds() {
    let server = Server::start(|hit| match hit.number {
        0 => vec![Act::Reset],
        1 => answer(503, &[], b"busy"),
        2 => vec![
            Act::Send(head(200, &[], Some(9))),
            Act::Send(vec![1; 3]),
            Act::Close,
        ],
        3 => vec![Act::Close],
        _ => answer(200, &[], b"done"),
    })
    .await;
    let (transport, seen) = transport(hurried());
    let done = fetch(&transport, &Route::direct(plain(&server.authority())))
        .await
        .unwrap();
    assert_eq!(done.body, "done");
    assert_eq!(server.requests().len(), 5);
    let failures = seen.count(|event| {
        matches!(
            event,
            Event::AttemptFailed {
                class: Class::Network,
                ..
            }
        )
    });
    assert_eq!(failures, 4);
    let waits = seen.count(|event| {
        matches!(
            event,
            Event::Waiting {
                reason: Reason::Backoff { .. },
                ..
            }
        )
    });
    // What broke at once on a link that works was asked for again at once.
    assert_eq!(waits, 2);
    let totals = &transport.totals()[&server.authority()];
    assert_eq!((totals.requests, totals.failures[&Class::Network]), (5, 4));
}

#[tokio::test]
async fn the_budget_of_time_ends_a_request() {
    let server = Server::start(|_| vec![Act::Reset]).await;
    let mut settings = hurried();
    settings.retry.budget = Duration::from_millis(300);
    let (transport, seen) = transport(settings);
    let error = fetch(&transport, &Route::direct(plain(&server.authority())))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Network);
    assert!(error.attempts() > 3, "{error:?}");
    assert_eq!(error.attempts() as usize, server.requests().len());
    let ends = seen.count(|event| {
        matches!(
            event,
            Event::AttemptFailed {
                decision: Decision::GiveUp,
                ..
            }
        )
    });
    assert_eq!(ends, 1);
}

#[tokio::test]
async fn the_budget_of_time_ends_two_attempts_side_by_side_at_a_silent_server() {
    let server = Server::start(|_| vec![Act::Hang]).await;
    let mut settings = hurried();
    settings.hedge = true;
    // The second attempt begins after 2 s.
    settings.timeouts.first_byte = Duration::from_millis(2500);
    settings.retry.budget = Duration::from_secs(1);
    let (transport, _) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    // Without an end it would go on for as long as anybody waits.
    let end = tokio::time::timeout(Duration::from_secs(60), fetch(&transport, &route)).await;
    let error = end.unwrap().unwrap_err();
    assert_eq!(error.class(), Class::Network);
    assert_eq!((error.attempts(), server.requests().len()), (2, 2));
}

#[tokio::test]
async fn the_budgets_of_an_image_and_of_a_run_end_requests_too() {
    let server = Server::start(|_| vec![Act::Reset]).await;
    let route = Route::direct(plain(&server.authority()));
    let mut settings = hurried();
    let (patient, _) = transport(settings.clone());
    let limit = Duration::from_millis(300);
    let request = get("x").within(Some(Term::begin("image", limit)));
    let error = patient
        .document(&route, &request, 100, &Anonymous)
        .await
        .unwrap_err();
    assert!(error.attempts() > 3, "{error:?}");
    let of = "image";
    assert_eq!(error.spent(), Some(Spent::Term { of, limit }));
    let end = "attempts): given up, the image's budget of 0.3 s is used up";
    assert!(error.to_string().ends_with(end), "{error}");
    settings.retry.run = Some(limit);
    let (limited, _) = transport(settings);
    let error = fetch(&limited, &route).await.unwrap_err();
    assert!(error.attempts() > 3, "{error:?}");
    let of = Spent::RUN;
    assert_eq!(error.spent(), Some(Spent::Term { of, limit }));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let error = fetch(&limited, &route).await.unwrap_err();
    assert_eq!(error.attempts(), 1, "the run is over: one try, no retries");
}

#[tokio::test]
async fn endpoints_that_fail_in_turn_with_progress_end_with_the_budget_too() {
    // Each answer brings one more byte, then breaks off: without a budget it would go on and on.
    let act = |hit: &Hit| {
        let length = |from: u64| Some(1_000_000 - from);
        let head = match hit.range() {
            None => head(200, &[], length(0)),
            Some((from, _)) => {
                let range = format!("bytes {from}-999999/1000000");
                head(206, &[("Content-Range", &range)], length(from))
            }
        };
        vec![Act::Send(head), Act::Send(vec![1]), Act::Close]
    };
    let (one, two) = (Server::start(act).await, Server::start(act).await);
    let route = Route::new([plain(&one.authority())], plain(&two.authority()));
    let (transport, _) = transport(hurried());
    let limit = Duration::from_millis(500);
    let request = get("x")
        .size(1_000_000)
        .within(Some(Term::begin("image", limit)));
    let sink = Memory::new(1_000_000);
    let error = transport
        .download(&route, &request, &sink, &Anonymous)
        .await
        .unwrap_err();
    let of = "image";
    assert_eq!(error.spent(), Some(Spent::Term { of, limit }), "{error:?}");
}

#[tokio::test]
async fn a_count_can_cap_the_retries() {
    let server = Server::start(|_| answer(500, &[], b"")).await;
    let mut settings = hurried();
    settings.retry.attempts = Some(5);
    let (transport, _) = transport(settings);
    let error = fetch(&transport, &Route::direct(plain(&server.authority())))
        .await
        .unwrap_err();
    assert_eq!(
        (error.status(), server.requests().len()),
        (Some(500), 5),
        "five attempts in all"
    );
}

#[tokio::test]
async fn a_port_that_stays_closed_becomes_configuration() {
    let (transport, _) = transport(hurried());
    let error = fetch(&transport, &Route::direct(plain(&nobody().await)))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Config, "{error:?}");
    assert_eq!(error.attempts(), 8);
}

#[tokio::test]
async fn a_flaky_link_is_asked_again_in_no_time_and_never_by_more_than_two_at_a_token_server() {
    let under_way = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (open, peak) = (Arc::clone(&under_way), Arc::clone(&most));
    let server = Server::start(move |hit| {
        peak.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let done = Act::Count(Arc::clone(&open));
        let answer = match hit.number {
            0 => answer(200, &[], b"hello"),
            1..24 => vec![Act::Reset],
            _ => answer(200, &[], b"token"),
        };
        [vec![Act::Pause(Duration::from_millis(2)), done], answer].concat()
    })
    .await;
    let mut settings = hurried();
    settings.retry.base = Duration::from_secs(5);
    settings.retry.cap = Duration::from_secs(60);
    settings.hedge = true;
    let (transport, _) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "hello");
    let token = get("token").of(Phase::Token, "image");
    let ask = || transport.document(&route, &token, 100, &Anonymous);
    // With the growing delays, which begin at seconds, this would take minutes.
    let (one, two, three) = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::join!(ask(), ask(), ask())
    })
    .await
    .unwrap();
    for document in [one, two, three] {
        assert_eq!(document.unwrap().body, "token");
    }
    // The server may still hold a request that was given up here, beside the two under way.
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn what_has_listened_before_is_waited_for_and_what_never_did_is_not() {
    let server = Server::start(|_| answer(200, &[("Connection", "close")], b"up")).await;
    let port = server.port;
    let mut settings = hurried();
    settings.retry.base = Duration::from_millis(1);
    settings.retry.cap = Duration::from_millis(1);
    let (transport, seen) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    fetch(&transport, &route).await.unwrap();
    drop(server);
    let again = async {
        let failed = |event: &Event| matches!(event, Event::AttemptFailed { .. });
        while seen.count(failed) < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Server::on(port, |_| answer(200, &[], b"again")).await
    };
    let (done, _server) = tokio::join!(fetch(&transport, &route), again);
    assert_eq!(done.unwrap().body, "again");

    let nobody = Route::direct(plain(&nobody().await));
    let error = fetch(&transport, &nobody).await.unwrap_err();
    assert_eq!((error.class(), error.attempts()), (Class::Config, 8));
    assert_eq!(
        error.hint(),
        Some(
            "Nothing listens at this port of this machine, and nothing did in this run: start the service, or correct the port."
        )
    );
}

#[tokio::test]
async fn posts_are_not_repeated_unless_allowed() {
    let server = Server::start(|hit| match hit.number {
        0 | 2 => vec![Act::Reset],
        _ => answer(202, &[], b""),
    })
    .await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, _) = transport(hurried());
    let post = Request::new(Method::POST, "x");
    let error = transport
        .document(&route, &post, 100, &Anonymous)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), server.requests().len()),
        (Class::Network, 1)
    );
    let allowed = post.repeatable(true);
    // The second request succeeds, the third is reset and repeated.
    assert!(
        transport
            .document(&route, &allowed, 100, &Anonymous)
            .await
            .is_ok()
    );
    assert!(
        transport
            .document(&route, &allowed, 100, &Anonymous)
            .await
            .is_ok()
    );
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn what_ails_a_servers_machine_is_not_our_machines_failure() {
    for words in [
        "write /var/lib/x: no space left on device",
        "signal: killed",
    ] {
        let mirror = Server::start(move |_| answer(500, &[], words.as_bytes())).await;
        let origin = Server::start(|_| answer(200, &[], b"done")).await;
        let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
        let (transport, seen) = transport(hurried());
        assert_eq!(fetch(&transport, &route).await.unwrap().body, "done");
        let classes = seen.events().into_iter().filter_map(|event| match event {
            Event::AttemptFailed { class, .. } => Some(class),
            _ => None,
        });
        assert_eq!(classes.collect::<Vec<_>>(), [Class::Network], "{words}");
    }
}

#[tokio::test]
async fn that_something_is_not_there_is_no_failure_where_that_was_asked() {
    let server = Server::start(|_| answer(404, &[], b"")).await;
    let (transport, seen) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    for (request, failures) in [(get("x").whether(), 0), (get("x"), 1)] {
        let asked = transport.document(&route, &request, 100, &Anonymous).await;
        assert_eq!(asked.unwrap_err().class(), Class::Absent);
        let told = seen.count(|event| matches!(event, Event::AttemptFailed { .. }));
        let totals = transport.totals().remove(&server.authority()).unwrap();
        let counted: u64 = totals.failures.values().sum();
        assert_eq!((told, counted), (failures, failures as u64));
    }
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptEnded { .. })),
        1
    );
}

#[tokio::test]
async fn a_host_that_is_silent_is_named_while_it_is_waited_for() {
    let server = Server::start(|_| {
        let late = vec![Act::Pause(Duration::from_millis(450))];
        [late, answer(200, &[], b"late")].concat()
    })
    .await;
    let (transport, seen) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    assert_eq!(fetch(&transport, &route).await.unwrap().body, "late");
    let said = |event: &Event| match event {
        Event::Unanswered { subject, .. } => *subject.host == *server.authority(),
        _ => false,
    };
    assert_eq!(seen.count(said), 1);
}
