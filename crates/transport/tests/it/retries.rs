//! What is repeated, where, how often, and what people are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method};
use sealift_transport::{
    Anonymous, Authorizer, Challenge, Class, Decision, Endpoint, Event, Phase, Reason, Refusal,
    Request, Result, Route, Snapshot, Spent, Term, Transport,
};

use crate::parts::{Memory, get, hurried, plain, transport};
use crate::server::{Act, Hit, Server, Silent, answer, head, nobody};

async fn fetch(transport: &Transport, route: &Route) -> Result<sealift_transport::Document> {
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
    assert_eq!(server.hits().len(), 5);
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
    assert_eq!(error.attempts() as usize, server.hits().len());
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
        (error.status(), server.hits().len()),
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
async fn an_origins_404_is_final_at_once() {
    let server = Server::start(|_| answer(404, &[], b"no")).await;
    let (transport, _) = transport(hurried());
    let error = fetch(&transport, &Route::direct(plain(&server.authority())))
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.attempts()), (Class::Absent, 1));
    assert_eq!(server.hits().len(), 1);
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
        (one.hits().len(), two.hits().len(), origin.hits().len()),
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
    assert_eq!(most.load(Ordering::SeqCst), 2);
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
        mirror.hits().len(),
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
    assert_eq!((error.class(), server.hits().len()), (Class::Network, 1));
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
    assert_eq!(server.hits().len(), 4);
}

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
    assert_eq!(server.hits().len(), 5);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(|_| answer(200, &[], b"ok")).await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, _) = transport(hurried());
    for _ in 0..10 {
        assert!(fetch(&transport, &route).await.is_ok());
    }
    assert_eq!((server.hits().len(), server.connections()), (10, 1));
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
    assert_eq!(mirror.hits().len(), 1);
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
    assert_eq!(origin.hits().len(), 0);
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
    assert_eq!(wrong.hits().len(), 1, "a mirror is done without");
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

/// Hands out tokens: the first is stale.
struct Tokens {
    fetched: AtomicUsize,
    asked: AtomicUsize,
}

impl Authorizer for Tokens {
    fn authorization<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>>> {
        let token = format!("Bearer t{}", self.fetched.load(Ordering::SeqCst));
        Box::pin(async move { Ok(Some(HeaderValue::from_str(&token).unwrap())) })
    }

    fn challenged<'a>(&'a self, challenge: Challenge<'a>) -> BoxFuture<'a, Result<bool>> {
        assert_eq!(challenge.headers["www-authenticate"], "Bearer realm=\"r\"");
        self.asked.fetch_add(1, Ordering::SeqCst);
        let more = self.fetched.load(Ordering::SeqCst) < 1;
        if more {
            self.fetched.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async move { Ok(more) })
    }
}

fn tokens() -> Arc<Tokens> {
    Arc::new(Tokens {
        fetched: AtomicUsize::new(0),
        asked: AtomicUsize::new(0),
    })
}

#[tokio::test]
async fn a_challenge_is_answered_once_for_each_new_token() {
    let server = Server::start(|hit| match hit.header("authorization") {
        Some("Bearer t1") => answer(200, &[], b"in"),
        _ => answer(401, &[("WWW-Authenticate", "Bearer realm=\"r\"")], b""),
    })
    .await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, seen) = transport(hurried());
    let tokens = tokens();
    let request = get("x");
    let done = transport
        .document(&route, &request, 100, &*tokens)
        .await
        .unwrap();
    assert_eq!(done.body, "in");
    assert_eq!(server.hits().len(), 2);
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_the_end() {
    let server =
        Server::start(|_| answer(401, &[("WWW-Authenticate", "Bearer realm=\"r\"")], b"")).await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, _) = transport(hurried());
    let tokens = tokens();
    let request = get("x");
    let error = transport
        .document(&route, &request, 100, &*tokens)
        .await
        .unwrap_err();
    assert_eq!((error.class(), server.hits().len()), (Class::Auth, 2));
    assert_eq!(tokens.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn too_many_failed_logins_stop_all_logins_at_that_host() {
    let server = Server::start(|_| {
        answer(
            429,
            &[("Retry-After", "1")],
            b"toomanyrequests: too many failed login attempts",
        )
    })
    .await;
    let route = Route::direct(plain(&server.authority()));
    let (transport, _) = transport(hurried());
    let tokens = tokens();
    let request = get("x");
    for _ in 0..4 {
        let error = transport
            .document(&route, &request, 100, &*tokens)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Auth, "{error:?}");
    }
    assert_eq!(server.hits().len(), 1, "one is enough");
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
    assert_eq!(server.hits().len(), 10);
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
    assert_eq!(server.hits().len(), 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.hits().len(), 1, "nothing goes on behind its back");
}

/// Fetches each token from a server of its own, as registries do.
struct FromRealm {
    transport: Transport,
    realm: Route,
}

impl Authorizer for FromRealm {
    fn authorization<'a>(
        &'a self,
        _endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<Option<HeaderValue>>> {
        Box::pin(async {
            let request = Request::get("token").of(Phase::Token, "image").once();
            let token = self
                .transport
                .document(&self.realm, &request, 1000, &Anonymous)
                .await?;
            Ok(Some(HeaderValue::from_bytes(&token.body).unwrap()))
        })
    }

    fn challenged<'a>(&'a self, _: Challenge<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}

#[tokio::test]
async fn failing_tokens_are_retried_by_the_request_that_waits_for_them() {
    let realm = Server::start(|hit| match hit.number {
        0..8 => vec![Act::Reset],
        _ => answer(200, &[], b"Bearer fresh"),
    })
    .await;
    let registry = Server::start(|hit| match hit.header("authorization") {
        Some("Bearer fresh") => answer(200, &[], b"in"),
        _ => answer(401, &[], b""),
    })
    .await;
    let (transport, seen) = transport(hurried());
    let tokens = FromRealm {
        transport: transport.clone(),
        realm: Route::direct(plain(&realm.authority())),
    };
    let route = Route::direct(plain(&registry.authority()));
    let done = transport
        .document(&route, &get("x"), 100, &tokens)
        .await
        .unwrap();
    assert_eq!(done.body, "in");
    assert_eq!((realm.hits().len(), registry.hits().len()), (9, 1));
    let host = realm.authority();
    let told = seen.count(|event| match event {
        Event::AttemptFailed { subject, .. } => {
            subject.phase == Phase::Token && *subject.host == *host
        }
        _ => false,
    });
    assert_eq!(
        told, 8,
        "each failure is told once, with its own phase and host"
    );
    assert_eq!(transport.totals()[&host].failures[&Class::Network], 8);
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
        mirror.hits().len(),
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
    assert_eq!(mirror.hits().len(), 5, "one of five finds out");
    assert_eq!(
        seen.count(|event| matches!(event, Event::BreakerClosed { .. })),
        1
    );
    assert_eq!(fetch(&later, &route).await.unwrap().body, "mirror");
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
