//! How many connections content comes over, and who shares them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sealift_transport::{Route, Transport};

use crate::fetch::{Fetch, cut, good, serving, small_ranges};
use crate::parts::{data, hurried, plain, transport};
use crate::server::{Act, Hit, Server, answer, parts};

/// Fetches two megabytes in ranges of 50 kB from a server of which an earlier run said how fast one
/// connection to it is; returns how many requests that took.
async fn requests_at(throughput: f64) -> usize {
    let bytes = data(2_000_000, 2);
    let server = good(&bytes).await;
    let earlier = Fetch::new(small_ranges(), &bytes);
    earlier.from(&server).await;
    let before = server.requests().len();
    let mut health = earlier.transport.health();
    for record in health.endpoints.values_mut() {
        record.throughput = throughput;
    }
    let mut settings = small_ranges();
    settings.limits.range_max = 10_000_000;
    let later = Fetch::new(settings, &bytes);
    later.transport.remember(&health);
    later.from(&server).await;
    server.requests().len() - before
}

#[tokio::test]
async fn a_fast_connection_is_left_alone() {
    assert_eq!(requests_at(500e6).await, 1);
    assert!(requests_at(50e6).await > 3, "a slow one shares its work");
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
            Fetch::with(transport, &bytes).by(&route).await;
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
async fn small_blobs_that_continue_elsewhere_do_not_block_one_another() {
    let bytes = data(50_000, 23);
    let storage = serving(&bytes, |hit, head, body| match hit.range() {
        None => {
            let mut acts = cut(head, &body, 20_000, Act::Reset);
            acts.insert(1, Act::Pause(Duration::from_millis(20)));
            acts
        }
        Some(_) => vec![Act::Send(head), Act::Send(body)],
    })
    .await;
    let place = format!("http://{}/data", storage.authority());
    let registry = Server::start(move |_| answer(307, &[("Location", &place)], b"")).await;
    let mut settings = hurried();
    settings.limits.connections_per_host = 1;
    settings.limits.requests_per_host = 1;
    let (transport, _) = transport(settings);
    let routes = [Route::direct(plain(&registry.authority()))];
    let all = bring_a_dozen(&transport, &routes, &bytes);
    let ended = tokio::time::timeout(Duration::from_secs(60), all).await;
    ended.expect("nobody waits for what another one holds");
}

#[tokio::test]
async fn the_slowest_range_is_shared_with_free_connections() {
    let bytes = data(8_000_000, 20);
    let server = serving(&bytes, move |hit, head, body| {
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
    let fetch = Fetch::new(settings, &bytes);
    fetch.from(&server).await;
    assert_eq!(fetch.failures(), 0);
    let bad: Vec<Hit> = server
        .requests()
        .into_iter()
        .filter(|hit| hit.connection == 1)
        .collect();
    assert_eq!(bad.len(), 1, "it is not used again");
    let (_, end) = bad[0].range().unwrap();
    let half = server
        .requests()
        .into_iter()
        .any(|hit| hit.connection != 1 && hit.range().is_some_and(|range| range.1 == end));
    assert!(half, "another connection brought the end of its range");
}
