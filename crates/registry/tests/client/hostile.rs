//! Hostile registries: none of them may exhaust us, mislead us, or make us hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealift_oci::{Descriptor, Digest, Index, Manifest, MediaType, Platform};
use sealift_registry::{Client, Error, Pulled, Result, Want};
use sealift_test_support::{Blob, Image, ImageBuilder};
use sealift_transport::proxy::ProxyChoice;
use sealift_transport::{Class, Endpoint, Route, Scheme};

use crate::scripted_server::{Answer, Asked, Body, ScriptedServer};
use crate::support::{
    BOTH, TestStore, client, plain, platforms, reference, routed, two_platforms, with_credentials,
};

async fn pull(server: &ScriptedServer) -> Result<Pulled> {
    TestStore::new()
        .pull(&plain(), &format!("{}/a:1", server.host()), BOTH)
        .await
}

/// The failure's own words, all of them.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

/// Answers requests whose target holds `part`.
fn on(part: &'static str, answer: Answer) -> impl Fn(&Asked) -> Option<Answer> + Send + Sync {
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

fn index_of(children: Vec<Descriptor>) -> Blob {
    let index = Index::new(children);
    Blob::new(MediaType::OCI_INDEX, serde_json::to_vec(&index).unwrap())
}

fn image_with(root: Blob, children: Vec<Blob>) -> Image {
    Image {
        root,
        children,
        blobs: Vec::new(),
    }
}

/// A manifest for amd64 and what its test changes in its JSON.
fn manifest_with(change: impl Fn(&mut serde_json::Value)) -> Image {
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

/// A registry that wants a token, and its own token server under `/token`.
async fn with_realm(token: Answer) -> ScriptedServer {
    let image = two_platforms(4, 1000);
    let host = Arc::new(std::sync::OnceLock::<String>::new());
    let known = Arc::clone(&host);
    let server = ScriptedServer::serving(image, move |asked| {
        if asked.target.starts_with("/token") {
            return Some(token.clone());
        }
        let host = known.get().unwrap();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="s""#);
        let denied = asked.header("authorization").is_none();
        denied.then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
    })
    .await;
    host.set(server.host()).unwrap();
    server
}

#[tokio::test]
async fn token_answers_are_bounded() {
    let megabyte = format!(r#"{{"token":"{}"}}"#, "t".repeat(1 << 20));
    let server = with_realm(Answer::ok(megabyte)).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("larger than 65536 bytes"),
        "{}",
        words(&error)
    );
    let server = with_realm(Answer::new(200).body(Body::Endless)).await;
    let error = pull(&server).await.unwrap_err();
    assert!(
        words(&error).contains("larger than 65536 bytes"),
        "{}",
        words(&error)
    );
    let server = with_realm(Answer::ok("{\"token\":\"a\\r\\nX-Evil: 1\"}")).await;
    let error = pull(&server).await.unwrap_err();
    assert_eq!(error.class(), Class::Config, "{}", words(&error));
    let server = with_realm(Answer::ok(r#"{"token":"fine"}"#)).await;
    pull(&server).await.unwrap();
}

#[tokio::test]
async fn locked_logins_end_all_authentication_to_that_host() {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many failed login attempts for username or IP address"}]}"#;
    let server = with_realm(Answer::new(429).body(Body::Whole(body.into()))).await;
    let credentials = crate::auth::basic(&server.host(), "u", "p");
    let client = with_credentials(credentials);
    for name in ["a", "b", "c"] {
        let text = format!("{}/{name}:1", server.host());
        let error = TestStore::new()
            .pull(&client, &text, BOTH)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Auth, "{}", words(&error));
    }
    assert_eq!(server.count("/token"), 1);
}

#[tokio::test]
async fn a_registry_that_refuses_every_token_is_not_asked_for_ever() {
    let challenge = Arc::new(std::sync::OnceLock::<String>::new());
    let known = Arc::clone(&challenge);
    let server = ScriptedServer::start(move |asked| {
        if asked.target.starts_with("/token") {
            return Answer::ok(format!(r#"{{"token":"t{}"}}"#, fastrand::u64(..)));
        }
        Answer::new(401).header("WWW-Authenticate", known.get().unwrap())
    })
    .await;
    challenge
        .set(format!(
            r#"Bearer realm="http://{}/token",service="s""#,
            server.host()
        ))
        .unwrap();
    let error = pull(&server).await.unwrap_err();
    assert!(
        matches!(error.class(), Class::Auth | Class::Absent),
        "{}",
        words(&error)
    );
    assert!(
        server.asked().len() <= 12,
        "{} requests",
        server.asked().len()
    );
}

#[tokio::test]
async fn a_registry_cannot_ask_for_tokens_of_other_repositories() {
    let server = {
        let host = Arc::new(std::sync::OnceLock::<String>::new());
        let known = Arc::clone(&host);
        let server = ScriptedServer::serving(two_platforms(5, 1000), move |asked| {
            if asked.target.starts_with("/token") {
                return Some(Answer::ok(r#"{"token":"t"}"#));
            }
            let host = known.get().unwrap();
            let challenge = format!(
                r#"Bearer realm="http://{host}/token",service="s",scope="repository:victim/x:pull,push,delete""#
            );
            let denied = asked.header("authorization").is_none();
            denied.then(|| Answer::new(401).header("WWW-Authenticate", &challenge))
        })
        .await;
        host.set(server.host()).unwrap();
        server
    };
    pull(&server).await.unwrap();
    let tokens: Vec<Asked> = server
        .asked()
        .into_iter()
        .filter(|one| one.target.starts_with("/token"))
        .collect();
    assert_eq!(tokens.len(), 1);
    assert!(
        tokens[0].target.contains("repository%3Aa%3Apull"),
        "{}",
        tokens[0].target
    );
    assert!(!tokens[0].target.contains("victim"), "{}", tokens[0].target);
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
