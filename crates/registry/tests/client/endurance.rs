//! The worst network that there is, many times over: every fetch must succeed, each from an empty
//! store, with a client that knows nothing.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use sealift_content::Repair;
use sealift_registry::{Client, Want};
use sealift_test_support::{
    DockerRegistry, Fault, FaultPlan, FaultyRegistry, Image, Kind, TokenRules,
};

use crate::support::{BOTH, TestStore, plain, platforms, reference, two_platforms, with_mirrors};

const NAMES: [&str; 3] = ["library/base", "library/tool", "team/app"];
const SIDE_BY_SIDE: usize = 8;

/// A registry with three images for two platforms, and the images.
fn three_images() -> (DockerRegistry, Vec<Image>) {
    let registry = DockerRegistry::start();
    let make = |number: usize| two_platforms(60 + number as u64, 60_000);
    let images: Vec<Image> = (0..NAMES.len()).map(make).collect();
    for (image, name) in images.iter().zip(NAMES) {
        registry.push(image, name, "1");
    }
    (registry, images)
}

/// 80 % of tokens reset, 30 % of manifests 503, 30 % of blobs cut, 5 % stalled.
fn worst() -> FaultPlan {
    FaultPlan::seeded(2026)
        .chance(Kind::Token, 0.8, Fault::Reset)
        .chance(Kind::Manifest, 0.3, Fault::Status(503))
        .chance(Kind::Blob, 0.3, Fault::Cut)
        .chance(Kind::Blob, 0.05 / 0.7, Fault::Stall)
}

/// Fetches all three images into an empty store.
async fn fetch(client: Client, host: &str, images: &[Image]) -> Result<(), String> {
    let store = TestStore::new();
    let want = |name: &&str| Want {
        reference: reference(&format!("{host}/{name}:1")),
        platforms: platforms(BOTH),
    };
    let wants = NAMES.iter().map(want).collect();
    let silent = Arc::new(sealift_registry::Silent);
    for result in client.pull_all(&store.content, wants, silent).await {
        if let Err(error) = result {
            let cause = error.request().map(|request| request.text());
            return Err(format!("{error}: {}", cause.unwrap_or_default()));
        }
    }
    images.iter().for_each(|image| store.has(image));
    let verified = store.content.verify(Repair::Report, |_| ());
    let verified = verified.map_err(|error| error.to_string())?;
    if verified.corrupt.is_empty() {
        Ok(())
    } else {
        Err(format!("{:?}", verified.corrupt))
    }
}

async fn all_succeed(times: usize, host: &str, images: &[Image], client: impl Fn() -> Client) {
    let fetches = (0..times).map(|_| fetch(client(), host, images));
    let results: Vec<_> = stream::iter(fetches)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let failures: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(
        failures.is_empty(),
        "{} of {times} failed: {failures:#?}",
        failures.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_fetches_of_two_hundred() {
    let (registry, images) = three_images();
    let faulty = FaultyRegistry::with_tokens(registry.address(), TokenRules::anonymous(), worst());
    all_succeed(200, &faulty.host(), &images, plain).await;
    let resets = faulty
        .seen()
        .iter()
        .filter(|one| one.kind == Kind::Token && one.status == 0)
        .count();
    assert!(resets > 400, "{resets} resets: the faults were real");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_two_mirrors_answers_404_for_all() {
    let (registry, images) = three_images();
    let empty = DockerRegistry::start();
    with_bad_first_mirror(&registry, &images, empty.host()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_two_mirrors_is_dead() {
    let (registry, images) = three_images();
    // Bound but never accepting would hang; a port that was just given back refuses.
    let dead: SocketAddr = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    with_bad_first_mirror(&registry, &images, dead.to_string()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_two_mirrors_is_corrupt() {
    let (registry, images) = three_images();
    let plan = FaultPlan::seeded(7)
        .chance(Kind::Blob, 1.0, Fault::Corrupt)
        .chance(Kind::Manifest, 0.5, Fault::Corrupt);
    let corrupt = FaultyRegistry::open(registry.address(), plan);
    with_bad_first_mirror(&registry, &images, corrupt.host()).await;
}

async fn with_bad_first_mirror(registry: &DockerRegistry, images: &[Image], first: String) {
    let second = FaultyRegistry::with_tokens(registry.address(), TokenRules::anonymous(), worst());
    let origin = FaultyRegistry::with_tokens(registry.address(), TokenRules::anonymous(), worst());
    let mirrors = [first, second.host()];
    let client = || with_mirrors("docker.io", &mirrors, &origin.host());
    all_succeed(40, "docker.io", images, client).await;
}
