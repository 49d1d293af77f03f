//! Pulls from real registries.

use std::sync::Arc;

use sealift_oci::{Digest, MediaType};
use sealift_registry::{Error, Event};
use sealift_test_support::{
    DockerRegistry, Fault, FaultPlan, FaultyRegistry, Image, ImageBuilder, Kind,
};
use sealift_transport::Class;

use crate::support::{
    BOTH, Record, TestStore, plain, platforms, reference, two_platforms, with_mirrors,
};

#[tokio::test]
async fn both_families_arrive_whole() {
    let registry = DockerRegistry::start();
    let oci = two_platforms(1, 100_000);
    let docker = Image::index([
        ImageBuilder::new("linux/amd64")
            .docker()
            .random(5, 5000)
            .build(),
        ImageBuilder::new("linux/arm64")
            .docker()
            .random(6, 5000)
            .build(),
    ]);
    let single = ImageBuilder::new("linux/amd64")
        .docker()
        .random(7, 3000)
        .build();
    for (name, image, wanted) in [
        ("oci", &oci, BOTH),
        ("docker", &docker, BOTH),
        ("single", &single, "amd64"),
    ] {
        registry.push(image, name, "1");
        let store = TestStore::new();
        let text = format!("{}/{name}:1", registry.host());
        let pulled = store.pull(&plain(), &text, wanted).await.unwrap();
        store.has(image);
        assert_eq!(pulled.origin.digest, image.root.descriptor.digest, "{name}");
        assert_eq!(
            pulled.origin.media_type, image.root.descriptor.media_type,
            "{name}"
        );
        let found: Vec<&Digest> = pulled
            .manifests
            .iter()
            .map(|(_, found)| &found.digest)
            .collect();
        let expected: Vec<&Digest> = image
            .manifests()
            .iter()
            .map(|one| &one.descriptor.digest)
            .collect();
        assert_eq!(found, expected, "{name}");
        let by_digest = format!("{}/{name}@{}", registry.host(), image.digest());
        assert_eq!(
            store.pull(&plain(), &by_digest, wanted).await.unwrap(),
            pulled
        );
    }
}

#[tokio::test]
async fn what_is_in_the_store_is_not_fetched_again() {
    let registry = DockerRegistry::start();
    let image = two_platforms(2, 50_000);
    registry.push(&image, "a", "1");
    let store = TestStore::new();
    let by_digest = format!("{}/a@{}", registry.host(), image.digest());
    let text = format!("{}/a:1", registry.host());
    store.pull(&plain(), &by_digest, BOTH).await.unwrap();
    let before = registry.requests().len();
    store.pull(&plain(), &by_digest, BOTH).await.unwrap();
    assert_eq!(
        registry.requests().len(),
        before,
        "a pinned image that is there needs no network"
    );
    let pulled = store.pull(&plain(), &text, BOTH).await.unwrap();
    let fetched: Vec<String> = registry.requests()[before..]
        .iter()
        .map(|one| one.target.clone())
        .collect();
    assert_eq!(
        fetched,
        ["/v2/a/manifests/1"],
        "blobs and children were there"
    );
    // Once it is named, even the index is only asked for by its digest.
    store
        .content
        .set_names(&[(reference(&text), pulled.origin)])
        .unwrap();
    let before = registry.requests().len();
    store.pull(&plain(), &text, BOTH).await.unwrap();
    let methods: Vec<String> = registry.requests()[before..]
        .iter()
        .map(|one| one.method.clone())
        .collect();
    assert_eq!(methods, ["HEAD"]);
}

#[tokio::test]
async fn a_missing_platform_is_named_with_those_there_are() {
    let registry = DockerRegistry::start();
    registry.push(&two_platforms(3, 1000), "index", "1");
    let text = format!("{}/index:1", registry.host());
    let error = TestStore::new()
        .pull(&plain(), &text, "linux/amd64,linux/s390x")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{text} does not exist for linux/s390x; it exists for linux/amd64, linux/arm64")
    );
    assert_eq!(error.class(), Class::Absent);
}

#[tokio::test]
async fn a_single_manifest_serves_every_platform() {
    let registry = DockerRegistry::start();
    let image = ImageBuilder::new("linux/amd64").random(4, 1000).build();
    registry.push(&image, "single", "1");
    let text = format!("{}/single:1", registry.host());
    let platforms = "linux/amd64,linux/s390x";
    let pulled = TestStore::new()
        .pull(&plain(), &text, platforms)
        .await
        .unwrap();
    let digests: Vec<_> = pulled
        .manifests
        .iter()
        .map(|(_, manifest)| manifest.digest.clone())
        .collect();
    assert_eq!(digests, [image.digest().clone(), image.digest().clone()]);
}

#[tokio::test]
async fn no_platform_stands_for_all() {
    let registry = DockerRegistry::start();
    let image = two_platforms(5, 1000);
    registry.push(&image, "a", "1");
    let store = TestStore::new();
    let watcher = Arc::new(Record::default());
    let text = reference(&format!("{}/a:1", registry.host()));
    let pulled = plain()
        .pull(&store.content, &text, &[], watcher)
        .await
        .unwrap();
    let names: Vec<String> = pulled
        .manifests
        .iter()
        .map(|(platform, _)| platform.to_string())
        .collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64"]);
    store.has(&image);
}

#[tokio::test]
async fn an_absent_image_is_one_request_and_one_for_its_tags() {
    let registry = DockerRegistry::start();
    let faulty = FaultyRegistry::open(registry.address(), FaultPlan::none());
    let text = format!("{}/nothing/here:1", faulty.host());
    let error = TestStore::new()
        .pull(&plain(), &text, BOTH)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("{text} does not exist: MANIFEST_UNKNOWN")),
        "{error}"
    );
    let asked = faulty.seen().into_iter().map(|one| one.target);
    let expected = ["/v2/nothing/here/manifests/1", "/v2/nothing/here/tags/list"];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn redirected_blobs_arrive_without_credentials_crossing_over() {
    let registry = DockerRegistry::start();
    let image = two_platforms(10, 10_000);
    registry.push(&image, "a", "1");
    let rules = sealift_test_support::TokenRules::anonymous();
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    faulty.redirect_blobs();
    let store = TestStore::new();
    store
        .pull(&plain(), &format!("{}/a:1", faulty.host()), BOTH)
        .await
        .unwrap();
    store.has(&image);
    // The storage answers 400 to requests that carry credentials.
    let stored = faulty
        .seen()
        .into_iter()
        .filter(|one| one.target.starts_with("/storage"));
    assert!(stored.clone().count() > 0);
    assert!(stored.into_iter().all(|one| one.authorization.is_none()));
}

#[tokio::test]
async fn mirrors_come_first_and_their_404_is_not_final() {
    let (mirror, origin) = (DockerRegistry::start(), DockerRegistry::start());
    let (there, missing) = (two_platforms(11, 5000), two_platforms(12, 5000));
    mirror.push(&there, "library/there", "1");
    origin.push(&missing, "library/missing", "1");
    let client = with_mirrors("docker.io", &[mirror.host()], &origin.host());
    let store = TestStore::new();
    store.pull(&client, "there:1", BOTH).await.unwrap();
    assert!(
        !origin
            .requests()
            .iter()
            .any(|one| one.target.contains("there")),
        "the mirror had it all"
    );
    store.pull(&client, "missing:1", BOTH).await.unwrap();
    store.has(&there);
    store.has(&missing);
}

#[tokio::test]
async fn a_mirror_that_sends_wrong_bytes_is_found_out() {
    let registry = DockerRegistry::start();
    let image = two_platforms(13, 200_000);
    registry.push(&image, "library/a", "1");
    let plan = FaultPlan::seeded(3).chance(Kind::Blob, 1.0, Fault::Corrupt);
    let mirror = FaultyRegistry::open(registry.address(), plan);
    let client = with_mirrors("docker.io", &[mirror.host()], &registry.host());
    let store = TestStore::new();
    let watcher = Arc::new(Record::default());
    let wanted = platforms(BOTH);
    client
        .pull(&store.content, &reference("a:1"), &wanted, watcher.clone())
        .await
        .unwrap();
    store.has(&image);
    let mismatch = watcher.events().into_iter().find_map(|event| match event {
        Event::BlobMismatch { hosts, .. } => Some(hosts),
        _ => None,
    });
    assert_eq!(mismatch.unwrap(), [mirror.host()]);
    let before = mirror.seen().len();
    let again = TestStore::new();
    again.pull(&client, "a:1", BOTH).await.unwrap();
    assert_eq!(
        mirror.seen().len(),
        before,
        "it is in quarantine for the run"
    );
}

#[tokio::test]
async fn a_lone_registry_that_once_sent_wrong_bytes_is_asked_again() {
    let registry = DockerRegistry::start();
    let image = two_platforms(14, 20_000);
    registry.push(&image, "a", "1");
    let plan = FaultPlan::seeded(3).first(Kind::Blob, 2, Fault::Corrupt);
    let faulty = FaultyRegistry::open(registry.address(), plan);
    let store = TestStore::new();
    store
        .pull(&plain(), &format!("{}/a:1", faulty.host()), BOTH)
        .await
        .unwrap();
    store.has(&image);
    faulty.set_plan(FaultPlan::seeded(3).chance(Kind::Blob, 1.0, Fault::Corrupt));
    let store = TestStore::new();
    let error = store
        .pull(&plain(), &format!("{}/a:1", faulty.host()), BOTH)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::WrongBytes { .. }), "{error:?}");
    for blob in &image.blobs {
        assert!(
            !store.content.contains(&blob.descriptor.digest),
            "wrong bytes never get a name"
        );
    }
}

#[tokio::test]
async fn a_later_run_goes_on_where_the_first_ended() {
    let registry = DockerRegistry::start();
    let image = ImageBuilder::new("linux/amd64")
        .random(15, 4_000_000)
        .build();
    registry.push(&image, "a", "1");
    let faulty = FaultyRegistry::open(
        registry.address(),
        FaultPlan::none().bytes_per_second(2_000_000),
    );
    let text = format!("{}/a:1", faulty.host());
    let store = TestStore::new();
    let watcher = Arc::new(Record::default());
    {
        let (client, wanted, name) = (plain(), platforms("amd64"), reference(&text));
        let pull = client.pull(&store.content, &name, &wanted, watcher.clone());
        let half = async {
            let done = |event: &Event| matches!(event, Event::BlobProgress { done, .. } if *done > 1_000_000);
            while !watcher.events().iter().any(done) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::select! { _ = pull => panic!("it was slow enough to be interrupted"), () = half => {} }
    }
    faulty.set_plan(FaultPlan::none());
    let before = faulty.bytes(Kind::Blob);
    store.pull(&plain(), &text, "amd64").await.unwrap();
    store.has(&image);
    let second = faulty.bytes(Kind::Blob) - before;
    assert!(
        second < image.size() - 900_000,
        "{second} of {} bytes came again",
        image.size()
    );
}

#[tokio::test]
async fn a_tag_is_asked_for_anew_by_each_pull() {
    let registry = DockerRegistry::start();
    let text = format!("{}/a:1", registry.host());
    let store = TestStore::new();
    for seed in [90, 91] {
        let image = two_platforms(seed, 2000);
        registry.push(&image, "a", "1");
        let pulled = store.pull(&plain(), &text, BOTH).await.unwrap();
        assert_eq!(pulled.origin.media_type.as_str(), MediaType::OCI_INDEX);
        store.has(&image);
    }
}
