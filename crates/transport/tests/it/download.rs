//! Large content over bad networks: resumed, continued elsewhere, in ranges side by side.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_transport::{Anonymous, Class, Event, Reason, Route, Sink};

use crate::fetch::{Fetch, blob, cut, good, serving, small_ranges};
use crate::parts::{data, hurried, plain, transport};
use crate::server::{Act, Server, answer, content, parts};

#[tokio::test]
async fn small_content_is_one_plain_request() {
    let bytes = data(50_000, 1);
    let server = good(&bytes).await;
    let fetch = Fetch::new(hurried(), &bytes);
    let from = fetch.from(&server).await;
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].header("range"), None);
    assert_eq!(
        server.requests()[0].header("accept-encoding"),
        Some("identity")
    );
    assert_eq!((from.bytes(), from.size()), (50_000, Some(50_000)));
}

#[tokio::test]
async fn large_content_comes_in_ranges_side_by_side() {
    let bytes = data(2_000_000, 2);
    let server = serving(&bytes, move |_, head, body| {
        vec![Act::Send(head), Act::Slowly(body, 400_000)]
    })
    .await;
    let fetch = Fetch::new(small_ranges(), &bytes);
    fetch.from(&server).await;
    assert!(
        server.connections() > 4,
        "the width grew: {}",
        server.connections()
    );
    assert!(
        server.connections() <= 16,
        "to its cap: {}",
        server.connections()
    );
    assert!(
        server
            .requests()
            .iter()
            .all(|hit| hit.header("range").is_some())
    );
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let bytes = data(300_000, 3);
    let server = good(&bytes).await;
    let fetch = Fetch::new(hurried(), &bytes);
    fetch.sink.write_at(0, &bytes[..100_000]).unwrap();
    let second = &bytes[200_000..250_000];
    fetch.sink.write_at(200_000, second).unwrap();
    let from = fetch.from(&server).await;
    assert_eq!(from.bytes(), 150_000);
    let ranges: Vec<Range<u64>> = from.parts().into_iter().map(|(range, _)| range).collect();
    assert_eq!(ranges, [100_000..200_000, 250_000..300_000]);
    let nothing = fetch.from(&server).await;
    assert_eq!(
        (nothing.bytes(), server.requests().len()),
        (0, 2),
        "a whole sink asks for nothing"
    );
}

#[tokio::test]
async fn a_cut_body_goes_on_at_the_byte_reached() {
    let bytes = data(90_000, 4);
    let server = serving(&bytes, move |_, head, body| {
        let cut = body.len().min(20_000);
        let mut acts = vec![Act::Send(head), Act::Send(body[..cut].to_vec())];
        if cut < body.len() {
            acts.push(Act::Close);
        }
        acts
    })
    .await;
    let fetch = Fetch::new(hurried(), &bytes);
    fetch.from(&server).await;
    assert_eq!(server.requests().len(), 5);
    let told: u64 = fetch
        .seen
        .events()
        .iter()
        .map(|event| match event {
            Event::Received { bytes, .. } => *bytes,
            _ => 0,
        })
        .sum();
    assert_eq!(told, 90_000, "progress counts each byte once");
}

#[tokio::test]
async fn progress_keeps_a_budget_alive() {
    let bytes = data(60_000, 5);
    let server = serving(&bytes, move |_, head, body| {
        let cut = body.len().min(2_000);
        vec![
            Act::Send(head),
            Act::Send(body[..cut].to_vec()),
            Act::Pause(Duration::from_millis(30)),
            Act::Reset,
        ]
    })
    .await;
    let mut settings = hurried();
    settings.retry.budget = Duration::from_millis(400);
    settings.retry.attempts = Some(3);
    let fetch = Fetch::new(settings, &bytes);
    fetch.from(&server).await;
    assert!(
        server.requests().len() >= 30,
        "thirty failures, each with progress"
    );
}

#[tokio::test]
async fn another_endpoint_goes_on_in_mid_blob() {
    let bytes = data(200_000, 6);
    let breaking = |_: &_, head, body: Vec<u8>| cut(head, &body, 70_000, Act::Reset);
    let mirror = serving(&bytes, breaking).await;
    let origin = good(&bytes).await;
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let fetch = Fetch::new(hurried(), &bytes);
    let from = fetch.by(&route).await;
    let parts = from.parts();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!(parts[0].1, route.endpoints()[0]);
    assert_eq!(parts[0].0.end, parts[1].0.start);
    let asked = origin.requests()[0].range();
    assert_eq!(asked, Some((parts[1].0.start, Some(200_000))));
    let suspects = from.suspects();
    assert_eq!(
        suspects[0],
        route.endpoints()[0],
        "mirrors are suspected first"
    );
}

#[tokio::test]
async fn wrong_bytes_can_be_taken_back_and_fetched_elsewhere() {
    let bytes = data(200_000, 7);
    let breaking = |_: &_, head, body: Vec<u8>| cut(head, &body, 70_000, Act::Reset);
    let mirror = serving(&data(200_000, 8), breaking).await;
    let origin = good(&bytes).await;
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let fetch = Fetch::new(hurried(), &bytes);
    let from = fetch.run(&route).await.unwrap();
    assert!(fetch.sink.bytes() != bytes, "the mirror lied");
    let suspect = from.suspects().remove(0);
    for range in from.ranges_of(&suspect) {
        fetch.sink.discard(range).unwrap();
    }
    fetch.transport.quarantine(&suspect, "digest mismatch");
    let again = fetch.by(&route).await;
    assert!(
        again.bytes() <= 70_000,
        "only what the suspect sent: {}",
        again.bytes()
    );
    assert_eq!(mirror.requests().len(), 1);
}

#[tokio::test]
async fn redirects_are_followed_once_and_found_again_when_they_expire() {
    let bytes = data(400_000, 13);
    let served = bytes.clone();
    let uses = Arc::new(AtomicUsize::new(0));
    let used = Arc::clone(&uses);
    let storage = Server::start(move |hit| {
        // Each signature is good for four requests.
        let signature: usize = hit.target.rsplit('=').next().unwrap().parse().unwrap();
        if used.fetch_add(1, Ordering::SeqCst) >= 4 * (signature + 1) {
            return answer(403, &[], b"<Error><Code>AccessDenied</Code></Error>");
        }
        content(hit, &served)
    })
    .await;
    let target = storage.authority();
    let registry = Server::start(move |hit| {
        let place = format!("http://{target}/data?signature={}", hit.number);
        answer(307, &[("Location", &place)], b"")
    })
    .await;
    let mut settings = small_ranges();
    settings.limits.connections_per_host = 1;
    let fetch = Fetch::new(settings, &bytes);
    fetch.from(&registry).await;
    assert!(
        registry.requests().len() < storage.requests().len(),
        "not every range asks the registry"
    );
}

#[tokio::test]
async fn a_storage_that_asks_for_patience_gets_it() {
    let bytes = data(50_000, 25);
    let storage = serving(&bytes, |hit, head, body| match hit.number {
        0 => cut(head, &body, 20_000, Act::Reset),
        1 => answer(429, &[("Retry-After", "1")], b""),
        _ => vec![Act::Send(head), Act::Send(body)],
    })
    .await;
    let place = format!("http://{}/data", storage.authority());
    let registry = Server::start(move |_| answer(307, &[("Location", &place)], b"")).await;
    let fetch = Fetch::new(hurried(), &bytes);
    fetch.from(&registry).await;
    let obeyed = |event: &Event| {
        matches!(
            event,
            Event::Waiting {
                reason: Reason::RetryAfter { asked: 1 },
                ..
            }
        )
    };
    assert_eq!(fetch.seen.count(obeyed), 1);
}

#[tokio::test]
async fn a_storage_that_dies_is_left_for_where_the_registry_leads_now() {
    let bytes = data(50_000, 22);
    let dying = serving(&bytes, |hit, head, body| match hit.number {
        0 => cut(head, &body, 20_000, Act::Reset),
        _ => vec![Act::Reset],
    })
    .await;
    let other = good(&bytes).await;
    let (first, second) = (dying.authority(), other.authority());
    let registry = Server::start(move |hit| {
        let host = if hit.number == 0 { &first } else { &second };
        answer(307, &[("Location", &format!("http://{host}/data"))], b"")
    })
    .await;
    let mut settings = hurried();
    settings.retry.attempts = Some(5);
    Fetch::new(settings, &bytes).from(&registry).await;
}

#[tokio::test]
async fn a_full_disk_ends_the_download_at_once() {
    struct Full;
    impl Sink for Full {
        fn missing(&self) -> Vec<Range<u64>> {
            std::iter::once(0..1000).collect()
        }
        fn write_at(&self, _: u64, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::Error::from_raw_os_error(28))
        }
        fn discard(&self, _: Range<u64>) -> std::io::Result<()> {
            Ok(())
        }
    }
    let server = Server::start(|hit| content(hit, &[7; 1000])).await;
    let (transport, _) = transport(hurried());
    let route = Route::direct(plain(&server.authority()));
    let error = transport
        .download(&route, &blob(1000), &Full, &Anonymous)
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.attempts()), (Class::Disk, 1));
    assert!(error.hint().unwrap().contains("full"));
}

#[tokio::test]
async fn an_absent_blob_asks_each_endpoint_once() {
    let mirror = Server::start(|_| answer(404, &[], b"")).await;
    let origin = Server::start(|_| answer(404, &[], b"")).await;
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let error = Fetch::new(hurried(), &[0; 10])
        .run(&route)
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.attempts()), (Class::Absent, 2));
}

#[tokio::test]
async fn a_server_that_goes_away_under_all_connections_is_one_event() {
    let bytes = data(1_000_000, 14);
    let server = serving(&bytes, move |hit, head, body| {
        // For a while, everything that is open breaks in its middle.
        if (6..40).contains(&hit.number) {
            return vec![
                Act::Send(head),
                Act::Pause(Duration::from_millis(30)),
                Act::Reset,
            ];
        }
        vec![Act::Send(head), Act::Slowly(body, 2_000_000)]
    })
    .await;
    let mut settings = small_ranges();
    settings.retry.attempts = Some(40);
    let fetch = Fetch::new(settings, &bytes);
    fetch.from(&server).await;
}

#[tokio::test]
async fn a_429_in_the_middle_narrows_and_goes_on() {
    let bytes = data(1_000_000, 15);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        if hit.number % 7 == 5 {
            return answer(429, &[], b"slow down");
        }
        content(hit, &served)
    })
    .await;
    let fetch = Fetch::new(small_ranges(), &bytes);
    fetch.from(&server).await;
}

/// 200 downloads through everything at once, seeded: cuts, stalls, 503, resets, a mirror that lies.
#[tokio::test]
async fn two_hundred_of_two_hundred_arrive() {
    let bytes = data(150_000, 16);
    let random = Mutex::new(fastrand::Rng::with_seed(99));
    let server = serving(&bytes, move |_, head, body| {
        let mut random = random.lock().unwrap();
        match random.u32(..100) {
            0..20 => {
                let at = random.usize(..=body.len());
                cut(head, &body, at, Act::Reset)
            }
            20..25 => vec![Act::Send(head), Act::Hang],
            25..40 => answer(503, &[], b""),
            40..55 => vec![Act::Reset],
            _ => vec![Act::Send(head), Act::Send(body)],
        }
    })
    .await;
    let mut settings = small_ranges();
    settings.timeouts.stall = Duration::from_millis(150);
    settings.timeouts.first_byte = Duration::from_millis(150);
    let (transport, _) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (transport, route, bytes) = (transport.clone(), route.clone(), bytes.clone());
        tasks.spawn(async move {
            Fetch::with(transport, &bytes).by(&route).await;
        });
    }
    let mut arrived = 0;
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
        arrived += 1;
    }
    assert_eq!(arrived, 200);
}

#[tokio::test]
async fn a_dropped_download_gives_everything_back() {
    let bytes = data(1_000_000, 17);
    let hang = Arc::new(AtomicUsize::new(1));
    let hanging = Arc::clone(&hang);
    let server = serving(&bytes, move |_, head, body| {
        match hanging.load(Ordering::SeqCst) {
            1 => cut(head, &body, 1000, Act::Hang),
            _ => vec![Act::Send(head), Act::Send(body)],
        }
    })
    .await;
    let mut settings = small_ranges();
    settings.timeouts.stall = Duration::from_secs(60);
    let fetch = Fetch::new(settings, &bytes);
    for _ in 0..3 {
        let download = fetch.from(&server);
        let dropped = tokio::time::timeout(Duration::from_millis(300), download).await;
        assert!(dropped.is_err(), "it hangs");
    }
    hang.store(0, Ordering::SeqCst);
    // All slots of the host are free again, and what was written is not asked for again.
    let from = fetch.from(&server).await;
    assert!(from.bytes() < 1_000_000);
}

#[tokio::test]
async fn a_stall_after_a_fast_start_is_seen_early() {
    let bytes = data(700_000, 19);
    let server = serving(&bytes, move |hit, head, body| match hit.number {
        0 => cut(head, &body, 600_000, Act::Hang),
        _ => vec![Act::Send(head), Act::Send(body)],
    })
    .await;
    let mut settings = hurried();
    // Nothing but the body's own speed can tell.
    settings.timeouts.stall = Duration::from_secs(3600);
    let fetch = Fetch::new(settings, &bytes);
    let ended = tokio::time::timeout(Duration::from_secs(60), fetch.from(&server)).await;
    ended.expect("an hour's window is cut short");
    assert_eq!(fetch.failures(), 1);
}

/// A server that sends this many bytes a second.
async fn slow(data: Vec<u8>, rate: u64) -> Server {
    Server::start(move |hit| {
        let (head, body) = parts(hit, &data);
        vec![Act::Send(head), Act::Slowly(body, rate)]
    })
    .await
}

#[tokio::test]
async fn a_trickle_moves_to_another_endpoint_from_the_byte_reached() {
    let bytes = data(200_000, 21);
    let mirror = slow(bytes.clone(), 10_000).await;
    let origin = slow(bytes.clone(), 2_000_000).await;
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let fetch = Fetch::new(hurried(), &bytes);
    let provenance = fetch.run(&route).await.unwrap();
    assert!(fetch.sink.bytes() == bytes);
    assert_eq!(fetch.sink.twice(), 0);
    let begun = provenance.ranges_of(&route.endpoints()[0]);
    let rest = provenance.ranges_of(&route.endpoints()[1]);
    assert_eq!((begun.len(), rest.len()), (1, 1));
    assert_eq!((begun[0].start, begun[0].end), (0, rest[0].start));
    assert_eq!(rest[0].end, 200_000);
    let said = |event: &Event| match event {
        Event::AttemptFailed { text, .. } => text.starts_with("it sends only "),
        _ => false,
    };
    assert_eq!(fetch.seen.count(said), 1);
}

#[tokio::test]
async fn a_trickle_is_waited_for_where_nobody_else_could_do_better() {
    let bytes = data(15_000, 22);
    let sole = slow(bytes.clone(), 10_000).await;
    let fetch = Fetch::new(hurried(), &bytes);
    let route = Route::direct(plain(&sole.authority()));
    fetch.run(&route).await.unwrap();
    assert!(fetch.sink.bytes() == bytes);
    assert_eq!(sole.requests().len(), 1);
}
