//! Hostile registries: none of them may exhaust us, mislead us, or make us hang.

use std::sync::atomic::{AtomicUsize, Ordering};

use sealift_oci::{Descriptor, Digest, Index, MediaType, Platform};
use sealift_registry::{Client, Error, Pulled, Result};
use sealift_test_support::{Blob, Image, ImageBuilder};
use sealift_transport::proxy::ProxyChoice;
use sealift_transport::{Class, Endpoint, Route, Scheme};

use crate::scripted_server::{Answer, Asked, Body, ScriptedServer};
use crate::support::{BOTH, TestStore, client, plain, routed, two_platforms};

pub(crate) async fn pull(server: &ScriptedServer) -> Result<Pulled> {
    TestStore::new()
        .pull(&plain(), &format!("{}/a:1", server.host()), BOTH)
        .await
}

/// The failure's own words, all of them.
pub(crate) fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

/// Answers requests whose target holds `part`.
pub(crate) fn on(
    part: &'static str,
    answer: Answer,
) -> impl Fn(&Asked) -> Option<Answer> + Send + Sync {
    move |asked| asked.target.contains(part).then(|| answer.clone())
}

/// A client that believes `registry.example` to be a host far away.
pub(crate) fn far_away(server: &ScriptedServer) -> Client {
    let proxy = ProxyChoice::Via(
        sealift_transport::proxy::Proxy::parse(&format!("http://{}", server.host())).unwrap(),
    );
    let endpoint = Endpoint::new(Scheme::Http, "registry.example").unwrap();
    let route = Route::direct(endpoint.with_base("/v2").with_proxy(proxy));
    client(routed("registry.example", route))
}

pub(crate) fn index_of(children: Vec<Descriptor>) -> Blob {
    let index = Index::new(children);
    Blob::new(MediaType::OCI_INDEX, serde_json::to_vec(&index).unwrap())
}

pub(crate) fn image_with(root: Blob, children: Vec<Blob>) -> Image {
    Image {
        root,
        children,
        blobs: Vec::new(),
    }
}

/// A manifest for amd64 and what its test changes in its JSON.
pub(crate) fn manifest_with(change: impl Fn(&mut serde_json::Value)) -> Image {
    let mut image = ImageBuilder::new("linux/amd64").random(1, 1000).build();
    let mut json: serde_json::Value = serde_json::from_slice(&image.root.bytes).unwrap();
    change(&mut json);
    image.root = Blob::new(MediaType::OCI_MANIFEST, serde_json::to_vec(&json).unwrap());
    image
}

#[tokio::test]
async fn an_endless_manifest_is_cut_off() {
    let server = ScriptedServer::start(|_| Answer::new(200).body(Body::Endless)).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("larger than 4194304 bytes"),
        "{}",
        words(&error)
    );
    assert_eq!(error.class(), Class::Corrupt);
}

#[tokio::test]
async fn a_gigantic_manifest_is_not_read() {
    let huge = vec![b' '; 5 << 20];
    let server = ScriptedServer::start(move |_| Answer::ok(huge.clone())).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("larger than 4194304 bytes"),
        "{}",
        words(&error)
    );
}

#[tokio::test]
async fn a_gigantic_child_is_not_even_asked_for() {
    let mut child = Descriptor::of(MediaType::OCI_MANIFEST, b"x");
    child.size = 1 << 40;
    child.platform = Some(Platform::new("linux", "amd64"));
    let server =
        ScriptedServer::serving(image_with(index_of(vec![child]), Vec::new()), |_| None).await;
    let error = TestStore::new()
        .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { size, .. } if size == 1 << 40),
        "{error:?}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_endless_blob_ends_at_its_size() {
    let twist = on("/blobs/", Answer::new(200).body(Body::Endless));
    let server = ScriptedServer::serving(two_platforms(1, 1000), twist).await;
    let error = pull(&server).await.unwrap_err();
    assert_eq!(error.class(), Class::Corrupt, "{}", words(&error));
}

#[tokio::test]
async fn a_content_length_that_lies_is_no_content() {
    let image = two_platforms(1, 1000);
    let root = image.root.bytes.to_vec();
    let longer = Answer::new(200).body(Body::Claimed(root.len() as u64 + 10, root.clone()));
    let shorter = Answer::new(200).body(Body::Claimed(root.len() as u64 - 10, root));
    for (lie, times) in [(longer, 3), (shorter, usize::MAX)] {
        let left = AtomicUsize::new(times);
        let server = ScriptedServer::serving(image.clone(), move |asked| {
            let lies = asked.target.ends_with("/manifests/1")
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .is_ok();
            lies.then(|| lie.clone())
        })
        .await;
        match pull(&server).await {
            // Cut short three times, then whole.
            Ok(_) => assert_eq!(times, 3),
            Err(error) => assert_eq!(
                (times, error.class()),
                (usize::MAX, Class::Corrupt),
                "{}",
                words(&error)
            ),
        }
    }
}

#[tokio::test]
async fn a_blob_longer_or_shorter_than_its_descriptor_is_refused() {
    let image = two_platforms(2, 1000);
    for change in [-1_i64, 1] {
        let blobs = image.clone();
        let server = ScriptedServer::serving(image.clone(), move |asked| {
            let blob = blobs
                .blobs
                .iter()
                .find(|one| asked.target.contains(one.descriptor.digest.hex()))?;
            let mut bytes = blob.bytes.to_vec();
            bytes.resize((bytes.len() as i64 + change) as usize, 0);
            Some(Answer::ok(bytes))
        })
        .await;
        let error = pull(&server).await.unwrap_err();
        assert!(
            matches!(error.class(), Class::Corrupt | Class::Network),
            "{}",
            words(&error)
        );
    }
}

#[tokio::test]
async fn redirects_that_go_round_end() {
    let twist = |asked: &Asked| {
        let number: u64 = asked.target.rsplit('=').next()?.parse().unwrap_or(0);
        let place = format!("/v2/a/manifests/1?n={}", number + 1);
        Some(Answer::new(307).header("Location", &place))
    };
    let server = ScriptedServer::serving(two_platforms(1, 1000), twist).await;
    let error = pull(&server).await.unwrap_err();
    assert_eq!(error.class(), Class::Config, "{}", words(&error));
    assert!(
        server.asked().len() < 40,
        "{} requests",
        server.asked().len()
    );
}

#[tokio::test]
async fn redirects_to_other_schemes_and_to_our_own_machine_are_refused() {
    let target = ScriptedServer::start(|_| Answer::ok("secret")).await;
    let loopback = format!("http://{}/x", target.host());
    for place in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://h/",
        loopback.as_str(),
    ] {
        let answer = Answer::new(307).header("Location", place);
        let server = ScriptedServer::start(move |_| answer.clone()).await;
        let client = far_away(&server);
        let error = TestStore::new()
            .pull(&client, "registry.example/a:1", BOTH)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Config, "{place}: {}", words(&error));
    }
    assert_eq!(target.asked().len(), 0);
}

#[tokio::test]
async fn a_realm_on_our_own_machine_is_refused_where_the_registry_is_elsewhere() {
    let realm = ScriptedServer::start(|_| Answer::ok(r#"{"token":"t"}"#)).await;
    let challenge = format!(
        r#"Bearer realm="http://{}/token",service="s""#,
        realm.host()
    );
    let server =
        ScriptedServer::start(move |_| Answer::new(401).header("WWW-Authenticate", &challenge))
            .await;
    let client = far_away(&server);
    let error = TestStore::new()
        .pull(&client, "registry.example/a:1", BOTH)
        .await
        .unwrap_err();
    assert!(words(&error).contains("loopback"), "{}", words(&error));
    assert_eq!(realm.asked().len(), 0);
}

#[tokio::test]
async fn nothing_is_decompressed() {
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![b' '; 64 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let answer = Answer::ok(bomb.clone()).header("Content-Encoding", "gzip");
    let server = ScriptedServer::start(move |_| answer.clone()).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("Content-Encoding"),
        "{}",
        words(&error)
    );
    assert!(server.asked().iter().all(|one| {
        one.header("accept-encoding")
            .is_none_or(|text| text == "identity")
    }));
    // As a layer it is bytes like any other.
    let layer = Blob::new(MediaType::OCI_LAYER_GZIP, bomb);
    let mut image = manifest_with(|json| json["layers"] = serde_json::json!([layer.descriptor]));
    image.blobs.push(layer);
    let server = ScriptedServer::serving(image.clone(), |_| None).await;
    let store = TestStore::new();
    store
        .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
        .await
        .unwrap();
    let layer = &image.blobs.last().unwrap().descriptor;
    assert_eq!(store.content.size(&layer.digest).unwrap(), Some(layer.size));
}

#[tokio::test]
async fn a_retry_after_of_a_year_is_cut() {
    for status in [429, 503] {
        let left = AtomicUsize::new(2);
        let server = ScriptedServer::serving(two_platforms(6, 1000), move |_| {
            let more = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            more.ok()
                .map(|_| Answer::new(status).header("Retry-After", "31536000"))
        })
        .await;
        // The cap of these tests is 0.2 s: that it ends at all is the proof.
        pull(&server).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_registry_says_cannot_write_to_the_terminal() {
    let body = "{\"errors\":[{\"code\":\"\\u001b[31mX\",\"message\":\"\\u001b]0;title\\u0007 \\r\\n gone\"}]}";
    let answer = Answer::new(404).body(Body::Whole(body.into()));
    let server = ScriptedServer::start(move |_| answer.clone()).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        !error.to_string().contains(|c: char| c.is_control()),
        "{:?}",
        error.to_string()
    );
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
}

#[tokio::test]
async fn foreign_layers_come_from_their_address_or_fail_with_a_reason() {
    let content = b"a layer that its author keeps".to_vec();
    let kept = content.clone();
    let author = ScriptedServer::start(move |_| Answer::ok(kept.clone())).await;
    let foreign = |urls: Vec<String>| {
        let mut layer = Descriptor::of(
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            &content,
        );
        layer.urls = urls;
        manifest_with(move |json| json["layers"] = serde_json::json!([layer]))
    };
    let server = ScriptedServer::serving(
        foreign(vec![format!("http://{}/layer", author.host())]),
        |_| None,
    )
    .await;
    let store = TestStore::new();
    store
        .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
        .await
        .unwrap();
    assert!(store.content.contains(&Digest::sha256(&content)));
    assert!(
        author
            .asked()
            .iter()
            .all(|one| one.header("authorization").is_none())
    );
    for urls in [vec![], vec!["file:///etc/passwd".to_owned()]] {
        let server = ScriptedServer::serving(foreign(urls), |_| None).await;
        let error = TestStore::new()
            .pull(&plain(), &format!("{}/a:1", server.host()), "amd64")
            .await
            .unwrap_err();
        assert!(matches!(error, Error::ForeignLayer { .. }), "{error:?}");
    }
}
