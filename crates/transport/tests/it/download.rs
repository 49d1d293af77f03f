//! Large content over bad networks: resumed, continued elsewhere, in ranges side by side.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_transport::{
    Anonymous, Class, Error, Event, Phase, Provenance, Request, Route, Settings, Sink, Transport,
};

use crate::parts::{Memory, data, hurried, plain, transport};
use crate::server::{Act, Hit, Server, answer, content, head, parts};

/// Settings under which a few hundred kilobytes are large.
fn small_ranges() -> Settings {
    let mut settings = hurried();
    settings.limits.parallel_from = 100_000;
    settings.limits.range_min = 10_000;
    settings.limits.range_max = 50_000;
    settings
}

fn blob(size: usize) -> Request {
    Request::get("blob")
        .of(Phase::Blob, "image")
        .size(size as u64)
}

async fn bring(
    transport: &Transport,
    route: &Route,
    size: usize,
    sink: &Memory,
) -> Result<Provenance, Error> {
    transport
        .download(route, &blob(size), sink, &Anonymous)
        .await
}

#[tokio::test]
async fn small_content_is_one_plain_request() {
    let bytes = data(50_000, 1);
    let served = bytes.clone();
    let server = Server::start(move |hit| content(hit, &served)).await;
    let (transport, _) = transport(hurried());
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    let from = bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!(server.hits().len(), 1);
    assert_eq!(server.hits()[0].header("range"), None);
    assert_eq!(server.hits()[0].header("accept-encoding"), Some("identity"));
    assert_eq!((from.bytes(), from.size()), (50_000, Some(50_000)));
}

#[tokio::test]
async fn large_content_comes_in_ranges_side_by_side() {
    let bytes = data(2_000_000, 2);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
        vec![Act::Send(head), Act::Slowly(body, 400_000)]
    })
    .await;
    let (transport, _) = transport(small_ranges());
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!(sink.twice(), 0, "no byte is fetched twice");
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
            .hits()
            .iter()
            .all(|hit| hit.header("range").is_some())
    );
}

/// Fetches two megabytes in ranges of 50 kB from a server of which an earlier run said how fast one
/// connection to it is; returns how many requests that took.
async fn requests_at(throughput: f64) -> usize {
    let bytes = data(2_000_000, 2);
    let served = bytes.clone();
    let server = Server::start(move |hit| content(hit, &served)).await;
    let route = Route::direct(plain(&server.authority()));
    let (earlier, _) = transport(small_ranges());
    let sink = Memory::new(bytes.len());
    bring(&earlier, &route, bytes.len(), &sink).await.unwrap();
    let before = server.hits().len();
    let mut health = earlier.health();
    for record in health.endpoints.values_mut() {
        record.throughput = throughput;
    }
    let mut settings = small_ranges();
    settings.limits.range_max = 10_000_000;
    let (transport, _) = transport(settings);
    transport.remember(&health);
    let sink = Memory::new(bytes.len());
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes && sink.twice() == 0);
    server.hits().len() - before
}

#[tokio::test]
async fn a_fast_connection_is_left_alone() {
    assert_eq!(requests_at(500e6).await, 1);
    assert!(requests_at(50e6).await > 3, "a slow one shares its work");
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let bytes = data(300_000, 3);
    let served = bytes.clone();
    let server = Server::start(move |hit| content(hit, &served)).await;
    let (transport, _) = transport(hurried());
    let sink = Memory::new(bytes.len());
    sink.write_at(0, &bytes[..100_000]).unwrap();
    sink.write_at(200_000, &bytes[200_000..250_000]).unwrap();
    let route = Route::direct(plain(&server.authority()));
    let from = bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!((sink.twice(), from.bytes()), (0, 150_000));
    let ranges: Vec<Range<u64>> = from.parts().into_iter().map(|(range, _)| range).collect();
    assert_eq!(ranges, [100_000..200_000, 250_000..300_000]);
    let nothing = bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert_eq!(
        (nothing.bytes(), server.hits().len()),
        (0, 2),
        "a whole sink asks for nothing"
    );
}

#[tokio::test]
async fn a_cut_body_goes_on_at_the_byte_reached() {
    let bytes = data(90_000, 4);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
        let cut = body.len().min(20_000);
        let mut acts = vec![Act::Send(head), Act::Send(body[..cut].to_vec())];
        if cut < body.len() {
            acts.push(Act::Close);
        }
        acts
    })
    .await;
    let (transport, seen) = transport(hurried());
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!(sink.twice(), 0);
    assert_eq!(server.hits().len(), 5);
    let told: u64 = seen
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
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
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
    let (transport, _) = transport(settings);
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert!(
        server.hits().len() >= 30,
        "thirty failures, each with progress"
    );
}

#[tokio::test]
async fn another_endpoint_goes_on_in_mid_blob() {
    let bytes = data(200_000, 6);
    let (one, two) = (bytes.clone(), bytes.clone());
    let mirror = Server::start(move |hit| {
        let (head, body) = parts(hit, &one);
        vec![
            Act::Send(head),
            Act::Send(body[..70_000].to_vec()),
            Act::Reset,
        ]
    })
    .await;
    let origin = Server::start(move |hit| content(hit, &two)).await;
    let (transport, _) = transport(hurried());
    let sink = Memory::new(bytes.len());
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let from = bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!(sink.twice(), 0);
    let parts = from.parts();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!(parts[0].1, route.endpoints()[0]);
    assert_eq!(parts[0].0.end, parts[1].0.start);
    let asked = origin.hits()[0].range();
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
    let (one, two) = (data(200_000, 8), bytes.clone());
    let mirror = Server::start(move |hit| {
        let (head, body) = parts(hit, &one);
        vec![
            Act::Send(head),
            Act::Send(body[..70_000].to_vec()),
            Act::Reset,
        ]
    })
    .await;
    let origin = Server::start(move |hit| content(hit, &two)).await;
    let (transport, _) = transport(hurried());
    let sink = Memory::new(bytes.len());
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let from = bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() != bytes, "the mirror lied");
    let suspect = from.suspects().remove(0);
    for range in from.ranges_of(&suspect) {
        sink.discard(range).unwrap();
    }
    transport.quarantine(&suspect, "digest mismatch");
    let again = bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert!(
        again.bytes() <= 70_000,
        "only what the suspect sent: {}",
        again.bytes()
    );
    assert_eq!(mirror.hits().len(), 1);
}

#[tokio::test]
async fn servers_without_ranges_are_read_whole_and_skipped_over() {
    let bytes = data(300_000, 9);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let half = served[..150_000].to_vec();
        match hit.number {
            0 => vec![
                Act::Send(head(200, &[], Some(300_000))),
                Act::Send(half),
                Act::Close,
            ],
            _ => answer(200, &[], &served),
        }
    })
    .await;
    let (transport, _) = transport(small_ranges());
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!(sink.twice(), 0, "what is there is skipped");
    assert_eq!(server.hits().len(), 2);
}

/// A server that lies about ranges in some way, and is honest about the whole.
async fn liar(
    bytes: &[u8],
    lie: impl Fn(&Hit, &[u8]) -> Vec<Act> + Send + Sync + 'static,
) -> Server {
    let served = bytes.to_vec();
    Server::start(move |hit| match hit.range() {
        None => content(hit, &served),
        Some(_) => lie(hit, &served),
    })
    .await
}

async fn survives(lie: impl Fn(&Hit, &[u8]) -> Vec<Act> + Send + Sync + 'static) {
    let bytes = data(300_000, 10);
    let server = liar(&bytes, lie).await;
    let (transport, _) = transport(small_ranges());
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
}

#[tokio::test]
async fn wrong_content_ranges_lead_back_to_the_whole() {
    survives(|_, data| answer(206, &[("Content-Range", "bytes 5-14/300000")], &data[5..15])).await;
    survives(|_, data| answer(206, &[("Content-Range", "bytes 0-9/77")], &data[..10])).await;
    survives(|_, data| answer(206, &[], &data[..10])).await;
    survives(|_, _| answer(416, &[], b"")).await;
}

#[tokio::test]
async fn shorter_ranges_than_asked_for_are_taken() {
    let bytes = data(300_000, 11);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (first, end) = hit.range().unwrap();
        let end = end.unwrap().min(first + 7_777);
        let (first, end) = (
            usize::try_from(first).unwrap(),
            usize::try_from(end).unwrap(),
        );
        let range = format!("bytes {first}-{}/300000", end - 1);
        answer(206, &[("Content-Range", &range)], &served[first..end])
    })
    .await;
    let (transport, seen) = transport(small_ranges());
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
}

#[tokio::test]
async fn content_of_unknown_size_is_brought_whole() {
    for chunked in [false, true] {
        let bytes = data(5_000, 12);
        let served = bytes.clone();
        let server = Server::start(move |_| {
            if !chunked {
                return answer(200, &[], &served);
            }
            let mut all = head(200, &[("Transfer-Encoding", "chunked")], None);
            all.extend(b"1388\r\n");
            all.extend(&served);
            all.extend(b"\r\n0\r\n\r\n");
            vec![Act::Send(all)]
        })
        .await;
        let (transport, _) = transport(hurried());
        let sink = Open(Mutex::default());
        let route = Route::direct(plain(&server.authority()));
        let request = Request::get("file").of(Phase::Exec, "file");
        let from = transport
            .download(&route, &request, &sink, &Anonymous)
            .await
            .unwrap();
        assert_eq!((from.size(), from.bytes()), (Some(5_000), 5_000));
        assert!(*sink.0.lock().unwrap() == bytes);
    }
}

/// A sink without an end.
struct Open(Mutex<Vec<u8>>);

impl Sink for Open {
    fn missing(&self) -> Vec<Range<u64>> {
        let at = self.0.lock().unwrap().len() as u64;
        std::iter::once(at..u64::MAX).collect()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let mut all = self.0.lock().unwrap();
        assert_eq!(all.len() as u64, offset);
        all.extend(bytes);
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> std::io::Result<()> {
        self.0
            .lock()
            .unwrap()
            .truncate(usize::try_from(range.start).unwrap());
        Ok(())
    }
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
    let (transport, _) = transport(settings);
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&registry.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert!(
        registry.hits().len() < storage.hits().len(),
        "not every range asks the registry"
    );
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
    let (transport, _) = transport(hurried());
    let sink = Memory::new(10);
    let route = Route::new([plain(&mirror.authority())], plain(&origin.authority()));
    let error = bring(&transport, &route, 10, &sink).await.unwrap_err();
    assert_eq!((error.class(), error.attempts()), (Class::Absent, 2));
}

#[tokio::test]
async fn a_server_that_goes_away_under_all_connections_is_one_event() {
    let bytes = data(1_000_000, 14);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
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
    let (transport, _) = transport(settings);
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
    assert_eq!(sink.twice(), 0);
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
    let (transport, _) = transport(small_ranges());
    let sink = Memory::new(bytes.len());
    let route = Route::direct(plain(&server.authority()));
    bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes);
}

/// 200 downloads through everything at once, seeded: cuts, stalls, 503, resets, a mirror that lies.
#[tokio::test]
async fn two_hundred_of_two_hundred_arrive() {
    let bytes = data(150_000, 16);
    let served = bytes.clone();
    let random = Mutex::new(fastrand::Rng::with_seed(99));
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
        let mut random = random.lock().unwrap();
        match random.u32(..100) {
            0..20 => {
                let cut = random.usize(..=body.len());
                vec![Act::Send(head), Act::Send(body[..cut].to_vec()), Act::Reset]
            }
            20..25 => vec![Act::Send(head), Act::Hang],
            25..40 => answer(503, &[], b""),
            40..55 => vec![Act::Reset],
            _ => content(hit, &served),
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
            let sink = Memory::new(bytes.len());
            bring(&transport, &route, bytes.len(), &sink).await.unwrap();
            assert!(sink.bytes() == bytes);
            assert_eq!(sink.twice(), 0);
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
    let served = bytes.clone();
    let hang = Arc::new(AtomicUsize::new(1));
    let hanging = Arc::clone(&hang);
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
        match hanging.load(Ordering::SeqCst) {
            1 => vec![Act::Send(head), Act::Send(body[..1000].to_vec()), Act::Hang],
            _ => vec![Act::Send(head), Act::Send(body)],
        }
    })
    .await;
    let mut settings = small_ranges();
    settings.timeouts.stall = Duration::from_secs(60);
    let (transport, _) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    let sink = Memory::new(bytes.len());
    for _ in 0..3 {
        let download = bring(&transport, &route, bytes.len(), &sink);
        let dropped = tokio::time::timeout(Duration::from_millis(300), download).await;
        assert!(dropped.is_err(), "it hangs");
    }
    hang.store(0, Ordering::SeqCst);
    // All slots of the host are free again, and what was written is not asked for again.
    let from = bring(&transport, &route, bytes.len(), &sink).await.unwrap();
    assert!(sink.bytes() == bytes && sink.twice() == 0);
    assert!(from.bytes() < 1_000_000);
}

/// A server that counts the most requests that it was answering at once.
async fn counted(bytes: Vec<u8>) -> (Server, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let top = Arc::clone(&most);
    let server = Server::start(move |hit| {
        let count = open.fetch_add(1, Ordering::SeqCst) + 1;
        top.fetch_max(count, Ordering::SeqCst);
        let (head, body) = parts(hit, &bytes);
        vec![
            Act::Send(head),
            Act::Slowly(body, 1_000_000),
            Act::Count(Arc::clone(&open)),
        ]
    })
    .await;
    (server, most)
}

/// Downloads the same bytes a dozen times at once, by these routes in turns.
async fn bring_a_dozen(transport: &Transport, routes: &[Route], bytes: &[u8]) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let route = routes[number % routes.len()].clone();
        let (transport, bytes) = (transport.clone(), bytes.to_vec());
        tasks.spawn(async move {
            let sink = Memory::new(bytes.len());
            bring(&transport, &route, bytes.len(), &sink).await.unwrap();
            assert!(sink.bytes() == bytes);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn downloads_side_by_side_share_a_hosts_connections() {
    let bytes = data(200_000, 18);
    let (server, most) = counted(bytes.clone()).await;
    let mut settings = small_ranges();
    settings.limits.connections_per_host = 6;
    let (transport, _) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    bring_a_dozen(&transport, &[route], &bytes).await;
    let most = most.load(Ordering::SeqCst);
    assert!((2..=10).contains(&most), "{most} requests at once");
    assert!(
        server.connections() <= 12,
        "{} connections",
        server.connections()
    );
}

#[tokio::test]
async fn registries_that_lead_to_one_storage_share_its_connections() {
    let bytes = data(200_000, 21);
    let (storage, most) = counted(bytes.clone()).await;
    let mut settings = small_ranges();
    settings.limits.connections_per_host = 3;
    let (transport, _) = transport(settings);
    let place = format!("http://{}/data", storage.authority());
    let mut registries = Vec::new();
    for _ in 0..4 {
        let place = place.clone();
        let lead = move |_: &Hit| answer(307, &[("Location", &place)], b"");
        registries.push(Server::start(lead).await);
    }
    let route = |server: &Server| Route::direct(plain(&server.authority()));
    let routes: Vec<_> = registries.iter().map(route).collect();
    bring_a_dozen(&transport, &routes, &bytes).await;
    let most = most.load(Ordering::SeqCst);
    // The server counts a request as open until it has noticed that its answer is taken.
    assert!((2..=5).contains(&most), "{most} requests at once");
    assert!(
        storage.connections() <= 6,
        "{} connections",
        storage.connections()
    );
}

#[tokio::test]
async fn a_stall_after_a_fast_start_is_seen_early() {
    let bytes = data(700_000, 19);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
        match hit.number {
            0 => vec![
                Act::Send(head),
                Act::Send(body[..600_000].to_vec()),
                Act::Hang,
            ],
            _ => vec![Act::Send(head), Act::Send(body)],
        }
    })
    .await;
    let mut settings = hurried();
    // Nothing but the body's own speed can tell.
    settings.timeouts.stall = Duration::from_secs(3600);
    let (transport, seen) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    let sink = Memory::new(bytes.len());
    let download = bring(&transport, &route, bytes.len(), &sink);
    let ended = tokio::time::timeout(Duration::from_secs(60), download).await;
    ended.expect("an hour's window is cut short").unwrap();
    assert!(sink.bytes() == bytes && sink.twice() == 0);
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        1
    );
}

#[tokio::test]
async fn the_slowest_range_is_shared_with_free_connections() {
    let bytes = data(8_000_000, 20);
    let served = bytes.clone();
    let server = Server::start(move |hit| {
        let (head, body) = parts(hit, &served);
        // One connection is a bad one, but far from a stall.
        let rate = if hit.connection == 1 {
            60_000
        } else {
            20_000_000
        };
        vec![Act::Send(head), Act::Slowly(body, rate)]
    })
    .await;
    let mut settings = hurried();
    settings.limits.parallel_from = 1_000_000;
    settings.limits.range_min = 2_000_000;
    settings.limits.range_max = 2_000_000;
    settings.timeouts.stall = Duration::from_secs(3600);
    let (transport, seen) = transport(settings);
    let route = Route::direct(plain(&server.authority()));
    let sink = Memory::new(bytes.len());
    let download = bring(&transport, &route, bytes.len(), &sink);
    download.await.unwrap();
    assert!(sink.bytes() == bytes && sink.twice() == 0);
    assert_eq!(
        seen.count(|event| matches!(event, Event::AttemptFailed { .. })),
        0
    );
    let bad: Vec<Hit> = server
        .hits()
        .into_iter()
        .filter(|hit| hit.connection == 1)
        .collect();
    assert_eq!(bad.len(), 1, "it is not used again");
    let (_, end) = bad[0].range().unwrap();
    let half = server
        .hits()
        .into_iter()
        .any(|hit| hit.connection != 1 && hit.range().is_some_and(|range| range.1 == end));
    assert!(half, "another connection brought the end of its range");
}

/// Content without a digest whose server changes it, or forgets how to name it, between two halves.
async fn continued(
    tags: [Option<&'static str>; 2],
    old: Vec<u8>,
    new: Vec<u8>,
) -> (Vec<u8>, Server) {
    let server = Server::start(move |hit| {
        let (tag, served) = match hit.number {
            0 => (tags[0], &old),
            _ => (tags[1], &new),
        };
        let mut headers: Vec<(&str, &str)> = tag.map(|tag| ("ETag", tag)).into_iter().collect();
        let half = served[..served.len() / 2].to_vec();
        let same = hit
            .header("if-range")
            .is_none_or(|asked| Some(asked) == tag);
        match hit.range() {
            _ if hit.number == 0 => {
                let start = head(200, &headers, Some(served.len() as u64));
                vec![Act::Send(start), Act::Send(half), Act::Close]
            }
            Some((first, _)) if same => {
                let size = served.len();
                let range = format!("bytes {first}-{}/{size}", size - 1);
                headers.push(("Content-Range", &range));
                answer(206, &headers, &served[usize::try_from(first).unwrap()..])
            }
            _ => answer(200, &headers, served),
        }
    })
    .await;
    let (transport, _) = transport(hurried());
    let sink = Open(Mutex::default());
    let route = Route::direct(plain(&server.authority()));
    let request = Request::get("file").of(Phase::Exec, "file");
    let from = transport
        .download(&route, &request, &sink, &Anonymous)
        .await
        .unwrap();
    let bytes = sink.0.lock().unwrap().clone();
    assert_eq!(from.size(), Some(bytes.len() as u64));
    (bytes, server)
}

#[tokio::test]
async fn content_that_changed_between_two_halves_is_begun_anew() {
    let (old, new) = (data(50_000, 30), data(60_000, 31));
    let (bytes, server) = continued([Some("\"1\""), Some("\"2\"")], old.clone(), new.clone()).await;
    assert!(bytes == new);
    assert_eq!(server.hits()[1].header("if-range"), Some("\"1\""));

    let (bytes, server) = continued([Some("\"1\""), Some("\"1\"")], old.clone(), old.clone()).await;
    assert!(bytes == old);
    assert_eq!(server.hits().len(), 2, "the same content is continued");
}

#[tokio::test]
async fn weak_names_are_not_trusted_with_halves() {
    let (old, new) = (data(50_000, 32), data(50_000, 33));
    let (bytes, server) = continued([Some("W/\"1\""), Some("W/\"1\"")], old, new).await;
    assert_eq!(server.hits()[1].header("if-range"), None);
    assert_eq!(
        server.hits()[1].range(),
        None,
        "without a name, only the whole is asked for"
    );
    assert!(bytes == data(50_000, 33));
}
