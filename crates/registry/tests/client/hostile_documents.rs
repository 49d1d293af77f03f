//! Manifests and indexes that lie, nest without end, or are no documents.

use std::sync::Arc;

use sealift_oci::{Descriptor, Digest, Index, Manifest, MediaType};
use sealift_registry::{Error, Want};
use sealift_test_support::{Blob, ImageBuilder};
use sealift_transport::Class;

use crate::hostile::{image_with, index_of, manifest_with, on, pull, words};
use crate::scripted_server::{Answer, ScriptedServer};
use crate::support::{BOTH, TestStore, plain, platforms, reference, two_platforms};

#[tokio::test]
async fn nested_indexes_are_followed_to_a_limit() {
    let image = ImageBuilder::new("linux/amd64").random(3, 1000).build();
    let nest = |depth: usize| {
        let mut children = vec![image.root.clone()];
        let mut top = index_of(vec![image.root.descriptor.clone()]);
        for _ in 1..depth {
            children.push(top.clone());
            top = index_of(vec![top.descriptor]);
        }
        let mut nested = image_with(top, children);
        nested.blobs = image.blobs.clone();
        nested
    };
    let honest = ScriptedServer::serving(nest(3), |_| None).await;
    TestStore::new()
        .pull(&plain(), &format!("{}/a:1", honest.host()), "amd64")
        .await
        .unwrap();
    let server = ScriptedServer::serving(nest(12), |_| None).await;
    let error = TestStore::new()
        .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Nesting { .. }), "{error:?}");
    assert!(server.asked().len() <= 4);
}

#[tokio::test]
async fn many_nested_indexes_are_too_many_and_repeated_ones_are_opened_once() {
    let wide: Vec<Blob> = (0..200)
        .map(|number| {
            let mut index = Index::new(Vec::new());
            index.annotations.insert("n".to_owned(), number.to_string());
            Blob::new(MediaType::OCI_INDEX, serde_json::to_vec(&index).unwrap())
        })
        .collect();
    let root = index_of(wide.iter().map(|one| one.descriptor.clone()).collect());
    let server = ScriptedServer::serving(image_with(root, wide.clone()), |_| None).await;
    let error = pull(&server).await.unwrap_err();
    assert!(matches!(error, Error::Nesting { .. }), "{error:?}");
    assert!(server.asked().len() <= 64, "{}", server.asked().len());
    let root = index_of(vec![wide[0].descriptor.clone(); 5000]);
    let server = ScriptedServer::serving(image_with(root, vec![wide[0].clone()]), |_| None).await;
    let error = pull(&server).await.unwrap_err();
    assert!(matches!(error, Error::MissingPlatform { .. }), "{error:?}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_cycle_needs_a_lie_about_a_digest_and_is_found_out() {
    // Whatever is asked for by digest, an index comes that points at itself.
    let own = Digest::sha256(b"not what it is");
    let entry = Descriptor::new(MediaType::new(MediaType::OCI_INDEX), own, 500);
    let root = index_of(vec![entry]);
    let server = ScriptedServer::serving(image_with(root.clone(), Vec::new()), move |asked| {
        let by_digest = asked.target.contains("/manifests/sha256:");
        by_digest.then(|| {
            let mut bytes = root.bytes.to_vec();
            bytes.resize(500, b' ');
            Answer::document(&root.descriptor, &bytes)
        })
    })
    .await;
    let error = pull(&server).await.unwrap_err();
    assert_eq!(error.class(), Class::Corrupt, "{}", words(&error));
    assert!(
        words(&error).contains("unexpected digest"),
        "{}",
        words(&error)
    );
}

#[tokio::test]
async fn digests_of_unknown_algorithms_and_names_that_leave_the_store_are_refused() {
    let outside = "sha256:../../../../../../tmp/x";
    for bad in [
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        outside,
        "sha256:",
        "sha256:ABC",
    ] {
        let image = manifest_with(|json| json["layers"][0]["digest"] = bad.into());
        let server = ScriptedServer::serving(image, |_| None).await;
        let error = TestStore::new()
            .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Document { .. }), "{bad}: {error:?}");
        let header = Answer::ok(two_platforms(1, 10).root.bytes.to_vec())
            .header("Docker-Content-Digest", bad);
        let server = ScriptedServer::start(move |_| header.clone()).await;
        let error = pull(&server).await.unwrap_err();
        assert_eq!(error.class(), Class::Corrupt, "{bad}: {}", words(&error));
    }
}

#[tokio::test]
async fn a_header_that_names_another_digest_is_refused() {
    let image = two_platforms(1, 10);
    let wrong = Digest::sha256(b"other").to_string();
    let header = Answer::document(&image.root.descriptor, &image.root.bytes)
        .header("Docker-Content-Digest", &wrong);
    let server = ScriptedServer::start(move |_| header.clone()).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("unexpected digest"),
        "{}",
        words(&error)
    );
}

#[tokio::test]
async fn sizes_that_no_disk_has_are_an_error_at_once() {
    let image = manifest_with(|json| json["layers"][0]["size"] = (u64::MAX - 1).into());
    let server = ScriptedServer::serving(image, |_| None).await;
    let error = TestStore::new()
        .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Disk, "{}", words(&error));
    let image = manifest_with(|json| json["layers"][0]["size"] = (-5).into());
    let server = ScriptedServer::serving(image, |_| None).await;
    let error = TestStore::new()
        .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Document { .. }), "{error:?}");
    let image = manifest_with(|json| json["config"]["size"] = (1_u64 << 40).into());
    let server = ScriptedServer::serving(image, |_| None).await;
    let error = TestStore::new()
        .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn an_image_that_no_disk_has_room_for_does_not_end_the_others() {
    let huge = manifest_with(|json| {
        let layer = json["layers"][0].clone();
        let claim = |number: u64| {
            let mut layer = layer.clone();
            layer["digest"] = format!("sha256:{number:064x}").into();
            layer["size"] = i64::MAX.into();
            layer
        };
        json["layers"] = (1..5).map(claim).collect();
    });
    let good = two_platforms(81, 10_000);
    let (server, honest) = (
        ScriptedServer::serving(huge, |_| None).await,
        ScriptedServer::serving(good.clone(), |_| None).await,
    );
    let want = |server: &ScriptedServer| Want {
        reference: reference(&format!("{}/a:1", server.host())),
        platforms: platforms("linux/amd64"),
    };
    let store = TestStore::new();
    let silent = Arc::new(sealift_registry::Silent);
    let wants = vec![want(&server), want(&honest)];
    let results = plain().pull_all(&store.content, wants, silent).await;
    let error = results[0].as_ref().unwrap_err();
    assert!(matches!(error, Error::NoRoom { .. }), "{error:?}");
    assert!(results[1].is_ok(), "{results:?}");
}

#[tokio::test]
async fn a_web_page_in_place_of_a_manifest_is_told() {
    let page =
        Answer::ok("<!DOCTYPE html><title>Log in</title>").header("Content-Type", "text/html");
    let server = ScriptedServer::start(move |_| page.clone()).await;
    let error = pull(&server).await.unwrap_err();
    assert_eq!(error.class(), Class::Config, "{}", words(&error));
    assert!(
        words(&error).contains("HTML instead of JSON"),
        "{}",
        words(&error)
    );
    let twist = on("/blobs/", Answer::ok("<html>log in</html>"));
    let server = ScriptedServer::serving(two_platforms(1, 1000), twist).await;
    let store = TestStore::new();
    store
        .pull(&plain(), &format!("{}/a:1", server.host()), BOTH)
        .await
        .unwrap_err();
    assert_eq!(store.content.names().unwrap(), []);
}

#[tokio::test]
async fn schema_1_is_refused_with_its_reason() {
    let old = r#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#;
    let answer = Answer::ok(old).header("Content-Type", MediaType::DOCKER_SCHEMA1);
    let server = ScriptedServer::start(move |_| answer.clone()).await;
    let error = pull(&server).await.unwrap_err();
    assert!(words(&error).contains("schema 1"), "{}", words(&error));
    assert!(error.hint().unwrap().contains("2017"));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn documents_that_can_be_read_both_ways_are_refused() {
    let both = r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#;
    for media_type in [
        MediaType::OCI_INDEX,
        MediaType::OCI_MANIFEST,
        "application/json",
    ] {
        let answer = Answer::ok(both).header("Content-Type", media_type);
        let server = ScriptedServer::start(move |_| answer.clone()).await;
        let error = pull(&server).await.unwrap_err();
        assert_eq!(
            error.class(),
            Class::Corrupt,
            "{media_type}: {}",
            words(&error)
        );
    }
    let manifest = Manifest::parse(&ImageBuilder::new("linux/amd64").build().root.bytes).unwrap();
    let answer = Answer::ok(serde_json::to_vec(&manifest).unwrap())
        .header("Content-Type", MediaType::OCI_INDEX);
    let server = ScriptedServer::start(move |_| answer.clone()).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("the header says"),
        "{}",
        words(&error)
    );
}
