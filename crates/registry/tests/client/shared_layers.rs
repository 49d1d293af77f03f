//! Several images at once, and the layers that they share.

use std::sync::Arc;
use std::time::Duration;

use sealift_oci::{Digest, MediaType};
use sealift_registry::{Client, Config, Error, Event, Pulled, Result, Want};
use sealift_test_support::{
    Blob, DockerRegistry, Fault, FaultPlan, FaultyRegistry, Image, ImageBuilder, Kind,
};
use sealift_transport::{Class, Transport};

use crate::scripted_server::{Answer, ScriptedServer};
use crate::support::{
    BOTH, Record, TestStore, plain, platforms, reference, settings, two_platforms,
};

#[tokio::test]
async fn a_layer_that_several_images_share_comes_once_and_largest_blobs_start_first() {
    let registry = DockerRegistry::start();
    let faulty = FaultyRegistry::open(registry.address(), FaultPlan::none());
    let image = |seed, size| {
        ImageBuilder::new("linux/amd64")
            .random(99, 80_000)
            .random(seed, size)
            .build()
    };
    let images = [image(1, 1000), image(2, 400_000), image(3, 20_000)];
    let mut wants = Vec::new();
    for (number, image) in images.iter().enumerate() {
        registry.push(image, &format!("a{number}"), "1");
        wants.push(Want {
            reference: reference(&format!("{}/a{number}:1", faulty.host())),
            platforms: platforms("amd64"),
        });
    }
    let store = TestStore::new();
    let watcher = Arc::new(Record::default());
    let results = plain()
        .pull_all(&store.content, wants, watcher.clone())
        .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    images.iter().for_each(|image| store.has(image));
    let shared = &images[0].blobs[1].descriptor.digest;
    let fetched = |digest: &Digest| {
        let seen = faulty.seen();
        let of_blob = seen
            .iter()
            .filter(|one| one.target.ends_with(&digest.to_string()));
        of_blob.map(|one| one.sent).sum::<u64>()
    };
    assert_eq!(
        fetched(shared),
        images[0].blobs[1].descriptor.size,
        "fetched exactly once"
    );
    let done = watcher
        .events()
        .iter()
        .filter(|event| matches!(event, Event::ImageDone { cached: false, .. }))
        .count();
    assert_eq!(done, 3);
}

#[tokio::test]
async fn two_pulls_at_once_move_each_byte_once() {
    let registry = DockerRegistry::start();
    let image = two_platforms(8, 3_000_000);
    registry.push(&image, "a", "1");
    let plan = FaultPlan::none().bytes_per_second(8_000_000);
    let faulty = FaultyRegistry::open(registry.address(), plan);
    let store = TestStore::new();
    let text = format!("{}/a:1", faulty.host());
    let (first, second) = (plain(), plain());
    let (a, b) = tokio::join!(
        store.pull(&first, &text, BOTH),
        store.pull(&second, &text, BOTH)
    );
    assert_eq!(a.unwrap(), b.unwrap());
    store.has(&image);
    assert_eq!(faulty.bytes(Kind::Blob), image.size());
}

#[tokio::test]
async fn one_images_failure_does_not_end_the_others() {
    let registry = DockerRegistry::start();
    let image = two_platforms(9, 10_000);
    registry.push(&image, "good", "1");
    let want = |name: &str| Want {
        reference: reference(&format!("{}/{name}:1", registry.host())),
        platforms: platforms(BOTH),
    };
    let store = TestStore::new();
    let watcher = Arc::new(Record::default());
    let wants = vec![want("absent"), want("good")];
    let results = plain()
        .pull_all(&store.content, wants, watcher.clone())
        .await;
    assert!(
        matches!(&results[0], Err(Error::Absent { .. })),
        "{results:?}"
    );
    assert!(results[1].is_ok(), "{results:?}");
    store.has(&image);
    let failed = watcher
        .events()
        .iter()
        .filter(|event| matches!(event, Event::ImageFailed { .. }))
        .count();
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn a_layer_that_one_repository_has_lost_comes_from_another() {
    let (whole, broken) = (DockerRegistry::start(), DockerRegistry::start());
    let image = two_platforms(17, 30_000);
    whole.push(&image, "a", "1");
    broken.push(&image, "a", "1");
    let lost = FaultyRegistry::open(
        broken.address(),
        FaultPlan::none().first(Kind::Blob, 1000, Fault::Status(404)),
    );
    let want = |host: String| Want {
        reference: reference(&format!("{host}/a:1")),
        platforms: platforms(BOTH),
    };
    let store = TestStore::new();
    let wants = vec![want(lost.host()), want(whole.host())];
    let silent = Arc::new(sealift_registry::Silent);
    let results = plain().pull_all(&store.content, wants, silent).await;
    // Whichever was surveyed first: the second one is whole, and nothing hangs.
    assert!(results[1].is_ok(), "{results:?}");
    store.has(&image);
}

/// Pulls an image, and two that share a layer, of which the second one's registry has no blob for
/// anybody, and the third one's has or not.
async fn pull_shared(answers: bool) -> ([String; 3], TestStore, Image, Vec<Result<Pulled>>) {
    let (whole, broken) = (DockerRegistry::start(), DockerRegistry::start());
    let image = |own| {
        let image = ImageBuilder::new("linux/amd64").random(18, 80_000);
        Image::index([image.random(own, 1000).build()])
    };
    let (theirs, ours) = (image(181), image(182));
    let long = ImageBuilder::new("linux/amd64").random(183, 2_000_000);
    let long = Image::index([long.build()]);
    broken.push(&theirs, "a", "1");
    whole.push(&ours, "a", "1");
    whole.push(&long, "long", "1");
    let refuses = FaultPlan::none().first(Kind::Blob, 10_000, Fault::Status(503));
    let down = FaultyRegistry::open(broken.address(), refuses.clone());
    let plan = FaultPlan::none().bytes_per_second(4_000_000);
    let slow = FaultyRegistry::open(whole.address(), plan);
    let plan = if answers { FaultPlan::none() } else { refuses };
    let last = FaultyRegistry::open(whole.address(), plan);
    let want = |text: String| Want {
        reference: reference(&text),
        platforms: platforms("amd64"),
    };
    let wants = vec![
        // While its layer comes, both others become known: they are asked for the shared layer in
        // their order.
        want(format!("{}/long:1", slow.host())),
        want(format!("{}/a:1", down.host())),
        want(format!("{}/a:1", last.host())),
    ];
    let mut settings = settings();
    settings.retry.budget = Duration::from_secs(1);
    let transport = Transport::new(settings, Arc::new(sealift_transport::Silent));
    let client = Client::new(
        transport,
        Config {
            blobs_side_by_side: 1,
            images_side_by_side: 1,
            ..Config::default()
        },
    );
    let store = TestStore::new();
    let silent = Arc::new(sealift_registry::Silent);
    let results = client.pull_all(&store.content, wants, silent).await;
    let hosts = [slow.host(), down.host(), last.host()];
    (hosts, store, ours, results)
}

/// The class of a failure, and who failed.
fn failure(result: &Result<Pulled>) -> (Class, &str) {
    let error = result.as_ref().unwrap_err();
    (error.class(), error.request().unwrap().host())
}

#[tokio::test]
async fn a_layer_that_one_registry_does_not_deliver_comes_from_another() {
    let (hosts, store, ours, results) = pull_shared(true).await;
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let why = "its own layer is nowhere else";
    assert_eq!(failure(&results[1]), (Class::Network, &*hosts[1]), "{why}");
    store.has(&ours);
}

#[tokio::test]
async fn where_nobody_delivers_a_layer_each_image_is_told_of_its_own_registry() {
    let (hosts, _shelf, _, results) = pull_shared(false).await;
    assert!(results[0].is_ok(), "{results:?}");
    assert_eq!(failure(&results[1]), (Class::Network, &*hosts[1]));
    assert_eq!(failure(&results[2]), (Class::Network, &*hosts[2]));
}

#[tokio::test]
async fn an_image_that_claims_a_wrong_size_of_a_shared_layer_fails_alone() {
    let right = two_platforms(60, 4000);
    let manifest: serde_json::Value = serde_json::from_slice(&right.children[0].bytes).unwrap();
    let layer =
        |blob: &&Blob| manifest["layers"][0]["digest"] == blob.descriptor.digest.to_string();
    let shared = right.blobs.iter().find(layer).unwrap();
    for (change, first) in [(1_i64, "wrong"), (1, "right"), (-1, "wrong"), (-1, "right")] {
        let claimed = shared.descriptor.size.saturating_add_signed(change);
        let mut json = manifest.clone();
        json["layers"][0]["size"] = claimed.into();
        let wrong = Blob::new(MediaType::OCI_MANIFEST, serde_json::to_vec(&json).unwrap());
        let document = wrong.clone();
        let server = ScriptedServer::serving(right.clone(), move |asked| {
            let of_wrong = asked.target.starts_with("/v2/wrong/manifests/");
            of_wrong.then(|| Answer::document(&document.descriptor, &document.bytes))
        })
        .await;
        let mut names = ["right", "wrong"];
        names.sort_by_key(|name| *name != first);
        let want = |name: &&str| Want {
            reference: reference(&format!("{}/{name}:1", server.host())),
            platforms: platforms("linux/amd64"),
        };
        let store = TestStore::new();
        let silent = std::sync::Arc::new(sealift_registry::Silent);
        let wants = names.iter().map(want).collect();
        let results = plain().pull_all(&store.content, wants, silent).await;
        for (name, result) in names.iter().zip(&results) {
            assert_eq!(
                result.is_ok(),
                *name == "right",
                "{change} {first} {result:?}"
            );
        }
        let bytes = store
            .content
            .read_blob(&shared.descriptor.digest, 1 << 20)
            .unwrap();
        assert_eq!(bytes, shared.bytes);
    }
}
