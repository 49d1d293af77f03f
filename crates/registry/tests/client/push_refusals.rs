//! What registries answer to pushes that are right: each answer here was met somewhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use sealift_registry::{Error, Result};
use sealift_test_support::{Image, ImageBuilder};
use sealift_transport::Class;

use crate::push::{push, request, store_of};
use crate::quirky_registry::{Quirks, QuirkyRegistry};
use crate::scripted_server::{Answer, Asked, Body, ScriptedServer};
use crate::support::plain;

fn image(size: usize) -> Image {
    ImageBuilder::new("linux/amd64").random(80, size).build()
}

fn refusal(status: u16, code: &str) -> Answer {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"x"}}]}}"#);
    Answer::new(status).body(Body::Whole(body.into_bytes()))
}

/// Pushes an image to a registry that answers by a script first; asserts that what it says it took is
/// all there.
async fn push_to(
    image: &Image,
    script: impl Fn(&QuirkyRegistry, &Asked) -> Option<Answer> + Send + Sync + 'static,
) -> (Result<()>, ScriptedServer) {
    let (server, state) = QuirkyRegistry::start_with(Quirks::default(), script).await;
    let text = format!("{}/a:1", server.host());
    let pushed = push(&plain(), &store_of(image), request(image, &[text])).await;
    if pushed.is_ok() {
        let state = state.lock().unwrap();
        for blob in &image.blobs {
            let kept = state.blobs.get(&blob.descriptor.digest.to_string());
            assert!(
                kept.is_some_and(|kept| *kept == blob.bytes),
                "{:?}",
                blob.descriptor
            );
        }
        assert!(state.manifests["1"] == image.root.bytes);
    }
    (pushed, server)
}

#[tokio::test]
async fn a_manifest_whose_blobs_the_registry_does_not_see_yet_is_put_again() {
    for (status, code) in [(404, "MANIFEST_BLOB_UNKNOWN"), (400, "BLOB_UNKNOWN")] {
        let left = AtomicUsize::new(2);
        let (pushed, _) = push_to(&image(1000), move |_, asked| {
            let put = asked.method == "PUT" && asked.target.contains("/manifests/");
            let again = |left: usize| left.checked_sub(1);
            let more = put
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, again)
                    .is_ok();
            more.then(|| refusal(status, code))
        })
        .await;
        pushed.unwrap();
    }
}

#[tokio::test]
async fn blobs_that_a_head_claims_and_the_registry_lacks_are_sent() {
    let image = image(1000);
    let layer = image.blobs[0].descriptor.digest.to_string();
    let (pushed, _) = push_to(&image, move |state, asked| {
        if asked.method == "HEAD" && asked.target.contains("/blobs/") {
            return Some(Answer::new(200));
        }
        let put = asked.method == "PUT" && asked.target.contains("/manifests/");
        let lacks = put && !state.blobs.contains_key(&layer);
        lacks.then(|| refusal(400, "MANIFEST_BLOB_UNKNOWN"))
    })
    .await;
    pushed.unwrap();
}

#[tokio::test]
async fn a_child_that_the_registry_lacks_is_put_before_its_index_again() {
    let image = crate::support::two_platforms(81, 500);
    let child = image.children[0].descriptor.digest.to_string();
    let puts = AtomicUsize::new(0);
    let path = child.clone();
    let (pushed, server) = push_to(&image, move |_, asked| {
        // The first one is taken with thanks, and lost.
        if asked.method == "PUT" && asked.target.ends_with(&path) {
            let first = puts.fetch_add(1, Ordering::SeqCst) == 0;
            return first.then(|| Answer::new(201));
        }
        let index = asked.method == "PUT" && asked.target.contains("/manifests/");
        let index = index && String::from_utf8_lossy(&asked.body).contains("\"manifests\"");
        let lacks = index && puts.load(Ordering::SeqCst) < 2;
        lacks.then(|| refusal(404, "MANIFEST_UNKNOWN"))
    })
    .await;
    pushed.unwrap();
    let again = |one: &&Asked| one.method == "PUT" && one.target.ends_with(&child);
    assert_eq!(server.asked().iter().filter(again).count(), 2);
}

#[tokio::test]
async fn what_is_too_large_for_the_proxy_goes_in_smaller_parts() {
    for (size, limit) in [(9 << 20, 1 << 20), (40 << 20, 5 << 20)] {
        let (pushed, server) = push_to(&image(size), move |_, asked| {
            (asked.body.len() > limit).then(|| Answer::new(413))
        })
        .await;
        pushed.unwrap();
        let refused = server
            .asked()
            .into_iter()
            .filter(|one| one.body.len() > limit);
        assert!(refused.count() < 8);
    }
    let (pushed, server) = push_to(&image(1 << 20), |_, asked| {
        (!asked.body.is_empty()).then(|| Answer::new(413))
    })
    .await;
    assert_eq!(pushed.unwrap_err().request().unwrap().status(), Some(413));
    assert!(server.asked().len() < 30);
}

#[tokio::test]
async fn a_registry_that_answers_no_head_is_pushed_to() {
    for status in [403, 405, 501] {
        let (pushed, _) = push_to(&image(1000), move |_, asked| {
            (asked.method == "HEAD").then(|| Answer::new(status))
        })
        .await;
        pushed.unwrap();
    }
}

#[tokio::test]
async fn a_repository_that_has_to_be_created_is_named() {
    let (pushed, server) = push_to(&image(1000), |_, asked| {
        (asked.method == "POST").then(|| refusal(404, "NAME_UNKNOWN"))
    })
    .await;
    let error = pushed.unwrap_err();
    let text = format!(
        "the repository {}/a does not exist, and the registry does not create it: NAME_UNKNOWN: x",
        server.host()
    );
    assert_eq!(error.to_string(), text);
    assert!(
        error
            .hint()
            .unwrap()
            .ends_with("create-repository --repository-name a")
    );
}

#[tokio::test]
async fn where_the_registry_sends_an_upload_is_said() {
    let (pushed, server) = push_to(&image(1000), |_, asked| {
        let elsewhere = "http://r.example/v2/a/blobs/uploads/?x=secret";
        (asked.method == "POST").then(|| Answer::new(301).header("Location", elsewhere))
    })
    .await;
    let error = pushed.unwrap_err();
    let text = error.request().unwrap().text();
    assert!(
        text.ends_with("it redirects to http://r.example/v2/a/blobs/uploads/, where this request cannot be repeated"),
        "{text}"
    );
    assert_eq!(error.class(), Class::Config);
    let asked = server.count("/uploads/");
    assert!(asked <= 2, "{asked} for two blobs");
    // A Location that forgot the port which the registry is published at.
    let place = "http://127.0.0.1:9/v2/a/blobs/uploads/1";
    let (pushed, _) = push_to(&image(1000), move |_, asked| {
        (asked.method == "POST").then(|| Answer::new(202).header("Location", place))
    })
    .await;
    let error = pushed.unwrap_err();
    let Error::Request { note, .. } = &error else {
        panic!("{error:?}")
    };
    let expected = format!("the registry named {place} as the place of the upload");
    assert_eq!(note.as_deref(), Some(&*expected));
}
