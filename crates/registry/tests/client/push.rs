//! Pushes into real registries.

use std::sync::Arc;

use sealift_oci::Reference;
use sealift_registry::{Client, Error, Event, PushRequest, Result};
use sealift_test_support::{
    DockerRegistry, Fault, FaultPlan, FaultyRegistry, Image, ImageBuilder, Kind, TokenRules,
};

use crate::support::{BOTH, Record, TestStore, plain, reference, two_platforms, with_credentials};

/// A store that holds an image.
pub(crate) fn store_of(image: &Image) -> TestStore {
    let store = TestStore::new();
    for blob in image.all() {
        let media_type = blob.descriptor.media_type.as_str();
        store.content.put(media_type, &blob.bytes).unwrap();
    }
    store
}

pub(crate) fn request(image: &Image, destinations: &[String]) -> PushRequest {
    PushRequest {
        root: image.root.descriptor.clone(),
        destinations: destinations.iter().map(|text| reference(text)).collect(),
        mounts: Vec::new(),
    }
}

pub(crate) async fn push(client: &Client, store: &TestStore, request: PushRequest) -> Result<()> {
    client
        .push(&store.content, request, Arc::new(sealift_registry::Silent))
        .await
}

/// Asserts that a registry serves an image, by pulling all of it.
async fn serves(text: &str, image: &Image) {
    let store = TestStore::new();
    store.pull(&plain(), text, BOTH).await.unwrap();
    store.has(image);
}

#[tokio::test]
async fn an_image_goes_up_once_and_again_changes_nothing() {
    let registry = DockerRegistry::start();
    let image = two_platforms(20, 60_000);
    let store = store_of(&image);
    let text = format!("{}/team/app:1", registry.host());
    push(
        &plain(),
        &store,
        request(&image, std::slice::from_ref(&text)),
    )
    .await
    .unwrap();
    serves(&text, &image).await;
    let before = registry.requests().len();
    push(
        &plain(),
        &store,
        request(&image, std::slice::from_ref(&text)),
    )
    .await
    .unwrap();
    let again = registry.requests().split_off(before).into_iter();
    let moved: Vec<String> = again
        .filter(|one| one.target.contains("/uploads/") || one.target.ends_with("/manifests/1"))
        .map(|one| one.method)
        .collect();
    assert_eq!(
        moved,
        ["HEAD"],
        "every blob was found there, and the tag as it should be"
    );
}

#[tokio::test]
async fn other_repositories_of_a_registry_are_lent_the_blobs() {
    let registry = DockerRegistry::start();
    let image = two_platforms(21, 60_000);
    let store = store_of(&image);
    let texts = [
        format!("{}/a:1", registry.host()),
        format!("{}/b:1", registry.host()),
    ];
    push(&plain(), &store, request(&image, &texts))
        .await
        .unwrap();
    for text in &texts {
        serves(text, &image).await;
    }
    let puts = registry
        .requests()
        .into_iter()
        .filter(|one| one.method == "PUT" && one.target.contains("/uploads/"));
    assert_eq!(
        puts.count(),
        image.blobs.len(),
        "each blob went up once, for two repositories"
    );
    let third = format!("{}/c:1", registry.host());
    let mut mounting = request(&image, std::slice::from_ref(&third));
    mounting.mounts = vec![reference(&texts[0]).repository().clone()];
    let before = registry.requests().len();
    push(&plain(), &store, mounting).await.unwrap();
    serves(&third, &image).await;
    let puts = registry
        .requests()
        .split_off(before)
        .into_iter()
        .filter(|one| one.method == "PUT" && one.target.contains("/uploads/"));
    assert_eq!(puts.count(), 0);
}

#[tokio::test]
async fn a_mount_that_is_not_possible_becomes_an_upload() {
    let registry = DockerRegistry::start();
    let image = two_platforms(22, 10_000);
    let store = store_of(&image);
    let text = format!("{}/c:1", registry.host());
    let mut mounting = request(&image, std::slice::from_ref(&text));
    mounting.mounts = vec![
        reference(&format!("{}/nothing:1", registry.host()))
            .repository()
            .clone(),
    ];
    push(&plain(), &store, mounting).await.unwrap();
    serves(&text, &image).await;
}

#[tokio::test]
async fn large_blobs_go_in_chunks_and_broken_ones_go_on() {
    let registry = DockerRegistry::start();
    let image = ImageBuilder::new("linux/amd64")
        .random(23, 70 << 20)
        .build();
    let image = Image::index([image]);
    let plan = FaultPlan::seeded(11).chance(Kind::Upload, 0.3, Fault::Reset);
    let faulty = FaultyRegistry::open(registry.address(), plan);
    let store = store_of(&image);
    let text = format!("{}/big:1", faulty.host());
    push(&plain(), &store, request(&image, &[text]))
        .await
        .unwrap();
    let patches = faulty
        .seen()
        .into_iter()
        .filter(|one| one.method == "PATCH");
    assert!(patches.count() >= 3, "70 MiB are more than two chunks");
    let check = TestStore::new();
    check
        .pull(&plain(), &format!("{}/big:1", registry.host()), "amd64")
        .await
        .unwrap();
    check.has(&image);
}

#[tokio::test]
async fn pushing_survives_a_bad_network() {
    let registry = DockerRegistry::start();
    let plan = FaultPlan::seeded(5)
        .chance(Kind::Token, 0.6, Fault::Reset)
        .chance(Kind::Upload, 0.2, Fault::Status(503))
        .chance(Kind::Publish, 0.3, Fault::Close)
        .chance(Kind::Blob, 0.3, Fault::Status(502))
        .chance(Kind::Manifest, 0.3, Fault::Reset);
    let rules = TokenRules::private().account("u", "p");
    let faulty = FaultyRegistry::with_tokens(registry.address(), rules, plan);
    let client = with_credentials(crate::auth::basic(&faulty.host(), "u", "p"));
    for seed in 30..34 {
        let image = two_platforms(seed, 50_000);
        let store = store_of(&image);
        let texts = [
            format!("{}/x{seed}:1", faulty.host()),
            format!("{}/x{seed}:2", faulty.host()),
        ];
        push(&client, &store, request(&image, &texts))
            .await
            .unwrap();
        serves(&format!("{}/x{seed}:2", registry.host()), &image).await;
    }
}

#[tokio::test]
async fn no_tag_moves_before_all_content_of_all_images_is_there() {
    let registry = DockerRegistry::start();
    let (good, bad) = (two_platforms(24, 10_000), two_platforms(25, 10_000));
    let store = store_of(&good);
    for blob in bad.all() {
        store
            .content
            .put(blob.descriptor.media_type.as_str(), &blob.bytes)
            .unwrap();
    }
    // One manifest of the eight documents is refused for good.
    let rules = TokenRules::private().account("u", "p");
    let faulty = FaultyRegistry::with_tokens(
        registry.address(),
        rules,
        FaultPlan::none().first(Kind::Publish, 1, Fault::Status(405)),
    );
    let client = with_credentials(crate::auth::basic(&faulty.host(), "u", "p"));
    let texts = [
        format!("{}/good:1", faulty.host()),
        format!("{}/bad:1", faulty.host()),
    ];
    let requests = vec![
        request(&good, std::slice::from_ref(&texts[0])),
        request(&bad, std::slice::from_ref(&texts[1])),
    ];
    let watcher = Arc::new(Record::default());
    let error = client
        .push_all(&store.content, requests, watcher.clone())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Request { action: "push", .. }),
        "{error:?}"
    );
    assert!(
        !watcher
            .events()
            .iter()
            .any(|event| matches!(event, Event::Tagged { .. }))
    );
    let tags = faulty
        .seen()
        .into_iter()
        .filter(|one| one.method == "PUT" && one.target.ends_with("/manifests/1"));
    assert_eq!(tags.count(), 0);
}

#[tokio::test]
async fn a_manifest_stands_before_any_index_that_lists_it() {
    let registry = DockerRegistry::start();
    let image = two_platforms(27, 1000);
    let store = store_of(&image);
    // The first document that is sent comes again after a while.
    let plan = FaultPlan::none().first(Kind::Publish, 1, Fault::Status(503));
    let faulty = FaultyRegistry::open(registry.address(), plan);
    let (single, all) = (
        format!("{}/a:1-amd64", faulty.host()),
        format!("{}/a:1", faulty.host()),
    );
    let alone = PushRequest {
        root: image.children[0].descriptor.clone(),
        ..request(&image, &[single])
    };
    let requests = vec![alone, request(&image, std::slice::from_ref(&all))];
    let watcher = Arc::new(sealift_registry::Silent);
    plain()
        .push_all(&store.content, requests, watcher)
        .await
        .unwrap();
    serves(&all, &image).await;
}

#[tokio::test]
async fn what_is_not_in_the_store_is_told_before_anything_is_sent() {
    let registry = DockerRegistry::start();
    let image = two_platforms(26, 10_000);
    let store = TestStore::new();
    for blob in image
        .all()
        .filter(|blob| blob.descriptor != image.blobs[1].descriptor)
    {
        store
            .content
            .put(blob.descriptor.media_type.as_str(), &blob.bytes)
            .unwrap();
    }
    let text = format!("{}/a:1", registry.host());
    let error = push(&plain(), &store, request(&image, &[text]))
        .await
        .unwrap_err();
    let Error::Incomplete { digest, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(digest, image.blobs[1].descriptor.digest);
    assert_eq!(registry.requests(), []);
}

#[tokio::test]
async fn a_reference_without_a_tag_is_pushed_by_digest() {
    let registry = DockerRegistry::start();
    let image = two_platforms(27, 1000);
    let store = store_of(&image);
    let target: Reference =
        reference(&format!("{}/a:1", registry.host())).with_digest(image.digest());
    let mut by_digest = request(&image, &[]);
    by_digest.destinations = vec![target.clone()];
    push(&plain(), &store, by_digest).await.unwrap();
    serves(&target.to_string(), &image).await;
    let absent = TestStore::new()
        .pull(&plain(), &format!("{}/a:1", registry.host()), BOTH)
        .await;
    assert!(matches!(absent, Err(Error::Absent { .. })), "{absent:?}");
}
