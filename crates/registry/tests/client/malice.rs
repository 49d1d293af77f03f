//! More registries that mean harm: what they answer to uploads, how they challenge, and what they
//! put into documents. Each ends, soon, with a reason, and none gets what is not its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sealift_oci::{Descriptor, MediaType};
use sealift_registry::{Error, Pulled, Result};
use sealift_test_support::{Blob, Image, ImageBuilder};
use sealift_transport::Class;

use crate::hostile::far_away;
use crate::push::{push, request, store_of};
use crate::scripted_server::{Answer, Asked, ScriptedServer};
use crate::support::{BOTH, TestStore, plain, with_credentials};

/// More than any of these may take, and far less than for ever.
const PATIENCE: Duration = Duration::from_secs(60);

async fn pull(server: &ScriptedServer, platforms: &str) -> Result<Pulled> {
    let text = format!("{}/a:1", server.host());
    let (store, client) = (TestStore::new(), plain());
    let pulled = store.pull(&client, &text, platforms);
    tokio::time::timeout(PATIENCE, pulled)
        .await
        .expect("it ends")
}

/// An image whose only layer is larger than what goes in one request.
fn large() -> Image {
    ImageBuilder::new("linux/amd64").random(9, 17 << 20).build()
}

/// Pushes an image to a registry that knows no blob and answers uploads by a script.
async fn upload(
    image: &Image,
    credentials: bool,
    script: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> (Result<()>, ScriptedServer) {
    let server = ScriptedServer::start(move |asked| match asked.method.as_str() {
        "HEAD" | "GET" if !asked.target.contains("/uploads/") => Answer::new(404),
        _ => script(asked),
    })
    .await;
    let client = match credentials {
        true => with_credentials(crate::auth::basic(&server.host(), "user", "secret")),
        false => plain(),
    };
    let store = store_of(image);
    let destination = [format!("{}/a:1", server.host())];
    let pushed = push(&client, &store, request(image, &destination));
    let pushed = tokio::time::timeout(PATIENCE, pushed).await;
    (pushed.expect("it ends"), server)
}

#[tokio::test]
async fn uploads_that_lead_elsewhere_are_refused_or_go_without_credentials() {
    let image = ImageBuilder::new("linux/amd64").random(9, 1000).build();
    for place in ["file:///etc/passwd", "gopher://127.0.0.1/x", "//", ""] {
        let script = move |_: &Asked| Answer::new(202).header("Location", place);
        let (pushed, server) = upload(&image, false, script).await;
        let error = pushed.unwrap_err();
        assert_eq!(error.class(), Class::Config, "{place}: {error:?}");
        let puts = server.asked().into_iter().filter(|one| one.method == "PUT");
        assert_eq!(puts.count(), 0, "{place}");
    }
    let other = ScriptedServer::start(|_| Answer::new(201)).await;
    let place = format!("http://{}/upload", other.host());
    let script = move |asked: &Asked| match asked.header("authorization") {
        None => Answer::new(401).header("WWW-Authenticate", "Basic realm=\"r\""),
        Some(_) if asked.method == "POST" => Answer::new(202).header("Location", &place),
        Some(_) => Answer::new(201),
    };
    let (_, server) = upload(&image, true, script).await;
    let asked = other.asked();
    assert!(!asked.is_empty(), "{:?}", server.asked());
    for one in asked {
        assert_eq!(one.header("authorization"), None, "{one:?}");
    }
}

#[tokio::test]
async fn uploads_do_not_go_on_on_our_own_machine_where_the_registry_is_elsewhere() {
    let image = ImageBuilder::new("linux/amd64").random(9, 1000).build();
    let inside = ScriptedServer::start(|_| Answer::new(201)).await;
    let place = format!("http://{}/upload", inside.host());
    let server = ScriptedServer::start(move |asked| match asked.method.as_str() {
        "POST" => Answer::new(202).header("Location", &place),
        _ => Answer::new(404),
    })
    .await;
    let destination = ["registry.example/a:1".to_owned()];
    let (client, store) = (far_away(&server), store_of(&image));
    let error = push(&client, &store, request(&image, &destination)).await;
    assert_eq!(error.unwrap_err().class(), Class::Config);
    assert_eq!(inside.asked().len(), 0);
}

#[tokio::test]
async fn an_upload_that_never_comes_on_ends() {
    let image = large();
    // It takes every part with thanks, and has nothing, or a byte more, or more than there is.
    let kept = AtomicU64::new(1);
    let scripts: [Box<dyn Fn() -> String + Send + Sync>; 3] = [
        Box::new(|| "0-0".to_owned()),
        Box::new(move || format!("0-{}", kept.fetch_add(1, Ordering::SeqCst))),
        Box::new(|| "0-99999999999".to_owned()),
    ];
    for range in scripts {
        let script = move |asked: &Asked| {
            let answer = match asked.method.as_str() {
                "POST" => Answer::new(202),
                "PUT" => Answer::new(404),
                _ => Answer::new(202).header("Range", &range()),
            };
            answer.header("Location", "/v2/a/blobs/uploads/1")
        };
        let (pushed, server) = upload(&image, false, script).await;
        pushed.unwrap_err();
        let sent = server.asked().len();
        assert!(sent < 40, "{sent} requests");
    }
}

#[tokio::test]
async fn a_registry_that_loses_what_it_took_is_found_out() {
    let image = ImageBuilder::new("linux/amd64").random(9, 1000).build();
    // Everything is 201, and nothing can be read back.
    let script = |asked: &Asked| {
        let answer = Answer::new(if asked.method == "POST" { 202 } else { 201 });
        answer.header("Location", "/v2/a/blobs/uploads/1")
    };
    let (pushed, _) = upload(&image, false, script).await;
    let error = pushed.unwrap_err();
    assert!(matches!(error, Error::ReadBack { .. }), "{error:?}");
}

#[tokio::test]
async fn a_thousand_challenges_are_one() {
    let realm = ScriptedServer::start(|_| Answer::ok("{}")).await;
    let host = realm.host();
    let one = |number: usize| format!("Bearer realm=\"http://{host}/{number}\",service=\"s\"");
    // In one line, in ninety lines (more are no HTTP), and as garbage before the real one.
    let all: Vec<String> = (0..1000).map(one).collect();
    let line = all.join(", ");
    let lines: Vec<String> = (0..90).map(one).collect();
    let garbage = format!("{}{}", "Negotiate x=\"\\\"\", ".repeat(1000), one(1));
    for headers in [vec![line], lines, vec![garbage]] {
        let before = realm.asked().len();
        let server = ScriptedServer::start(move |_| {
            let refusal = Answer::new(401);
            let add = |answer: Answer, text: &String| answer.header("WWW-Authenticate", text);
            headers.iter().fold(refusal, add)
        })
        .await;
        let error = pull(&server, BOTH).await.unwrap_err();
        assert!(
            matches!(error.class(), Class::Auth | Class::Config),
            "{error:?}"
        );
        assert!(server.asked().len() < 10, "{}", server.asked().len());
        let tokens = realm.asked().split_off(before);
        assert!(tokens.len() < 10, "{} requests", tokens.len());
        let places: std::collections::BTreeSet<&str> = tokens
            .iter()
            .map(|one| one.target.split('?').next().unwrap_or_default())
            .collect();
        assert!(places.len() <= 1, "one realm is asked: {places:?}");
    }
}

fn manifest_of(layers: Vec<Descriptor>) -> Image {
    let mut image = ImageBuilder::new("linux/amd64").random(1, 1000).build();
    let mut json: serde_json::Value = serde_json::from_slice(&image.root.bytes).unwrap();
    json["layers"] = serde_json::to_value(layers).unwrap();
    image.root = Blob::new(MediaType::OCI_MANIFEST, serde_json::to_vec(&json).unwrap());
    image
}

fn layer(number: u64, size: u64) -> Descriptor {
    let mut layer = Descriptor::of(MediaType::OCI_LAYER_GZIP, &number.to_le_bytes());
    layer.size = size;
    layer
}

#[tokio::test]
async fn sizes_that_overflow_their_sum_are_an_error_at_once() {
    for size in [1 << 63, (1 << 63) - 1, u64::MAX] {
        let image = manifest_of(vec![layer(1, size), layer(2, size), layer(3, size)]);
        let server = ScriptedServer::serving(image, |_| None).await;
        let error = pull(&server, "amd64").await.unwrap_err();
        assert!(
            matches!(error.class(), Class::Disk | Class::Corrupt),
            "{size}: {error:?}"
        );
    }
}

#[tokio::test]
async fn ten_thousand_layers_that_are_not_there_cost_a_few_requests() {
    let image = manifest_of((0..10_000).map(|number| layer(number, 100)).collect());
    assert!(image.root.bytes.len() < 4 << 20);
    let server = ScriptedServer::serving(image, |_| None).await;
    let error = pull(&server, "amd64").await.unwrap_err();
    assert_eq!(error.class(), Class::Absent, "{error:?}");
    assert!(server.asked().len() < 200, "{}", server.asked().len());
    // The same one, ten thousand times, is one.
    let bytes = b"a layer";
    let same = Blob::new(MediaType::OCI_LAYER_GZIP, bytes.to_vec());
    let mut image = manifest_of(vec![same.descriptor.clone(); 10_000]);
    image.blobs.push(same);
    let server = ScriptedServer::serving(image, |_| None).await;
    pull(&server, "amd64").await.unwrap();
    assert!(server.asked().len() < 10, "{}", server.asked().len());
}

#[tokio::test]
async fn documents_that_nest_without_end_are_refused() {
    let deep = [
        "[".repeat(4 << 20),
        format!("{{\"schemaVersion\":2,\"x\":{}", "{\"a\":".repeat(500_000)),
        format!("{{\"schemaVersion\":2,\"config\":{}}}", "9".repeat(1 << 20)),
    ];
    for text in deep {
        let answer = Answer::ok(text).header("Content-Type", MediaType::OCI_MANIFEST);
        let server = ScriptedServer::start(move |_| answer.clone()).await;
        let error = pull(&server, BOTH).await.unwrap_err();
        assert_eq!(error.class(), Class::Corrupt, "{error:?}");
    }
}

/// Lists of tags go on in `Link` headers. We ask for no list, so no link can lead us round.
#[tokio::test]
async fn links_are_not_followed() {
    let image = crate::support::two_platforms(3, 1000);
    let root = image.root.clone();
    let server = ScriptedServer::serving(image, move |asked| {
        let document = asked.target.ends_with("/manifests/1");
        let link = "</v2/a/manifests/1?n=1>; rel=\"next\"";
        document.then(|| Answer::document(&root.descriptor, &root.bytes).header("Link", link))
    })
    .await;
    pull(&server, BOTH).await.unwrap();
    assert_eq!(server.count("n=1"), 0);
    assert_eq!(server.count("/manifests/1"), 1);
}
