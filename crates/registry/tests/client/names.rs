//! What is said of an image that is not there, or is no image.

use sealift_oci::{Descriptor, MediaType};
use sealift_registry::{Error, Result};
use sealift_test_support::{Blob, Image, ImageBuilder};
use sealift_transport::Class;

use crate::scripted_server::{Answer, ScriptedServer};
use crate::support::{BOTH, TestStore, plain, two_platforms, with_mirrors};

async fn pull(host: &str, platforms: &str) -> Result<sealift_registry::Pulled> {
    let text = format!("{host}/a:1.36.2");
    TestStore::new().pull(&plain(), &text, platforms).await
}

#[tokio::test]
async fn tags_like_one_that_is_absent_are_named() {
    let list = r#"{"name":"a","tags":["latest","1.36","1.36.1","\u001b[31m1.36.2"]}"#;
    for (answer, near) in [
        (Answer::ok(list), "; tags like it: 1.36.1, 1.36"),
        (Answer::ok(r#"{"tags":null}"#), ""),
        (Answer::ok("<html>"), ""),
        (Answer::new(401), ""),
        (Answer::new(Answer::NONE), ""),
    ] {
        let server =
            ScriptedServer::start(move |asked| match asked.target.ends_with("/tags/list") {
                true => answer.clone(),
                false => Answer::new(404),
            })
            .await;
        let error = pull(&server.host(), BOTH).await.unwrap_err();
        let expected = format!("{}/a:1.36.2 does not exist{near}", server.host());
        assert_eq!(error.to_string(), expected);
        assert!(server.count("/tags/list") <= 2);
    }
}

#[tokio::test]
async fn a_mirrors_404_is_the_news_where_the_registry_cannot_be_reached() {
    let mirror = ScriptedServer::start(|_| Answer::new(404)).await;
    let nobody = "127.0.0.1:9".to_owned();
    let client = with_mirrors("r.example", &[mirror.host()], &nobody);
    let error = TestStore::new().pull(&client, "r.example/a:1", BOTH).await;
    let error = error.unwrap_err();
    let start = format!(
        "r.example/a:1 does not exist at the mirror {}; {nobody} could not be asked: ",
        mirror.host()
    );
    assert!(error.to_string().starts_with(&start), "{error}");
    assert_eq!(error.class(), Class::Absent);
}

#[tokio::test]
async fn heads_that_fail_decide_nothing() {
    for status in [403, 404, 500, 501] {
        let image = two_platforms(95, 500);
        let server = ScriptedServer::serving(image.clone(), move |asked| {
            (asked.method == "HEAD").then(|| Answer::new(status))
        })
        .await;
        let store = TestStore::new();
        let text = format!("{}/a:1", server.host());
        for _ in 0..2 {
            let pulled = store.pull(&plain(), &text, BOTH).await.unwrap();
            let reference = crate::support::reference(&text);
            let name = (reference, pulled.origin);
            store.content.set_names(&[name]).unwrap();
        }
        store.has(&image);
        let heads = server
            .asked()
            .into_iter()
            .filter(|one| one.method == "HEAD");
        assert_eq!(heads.count(), 1, "{status}");
    }
}

fn manifest(config: &str, layer: &str) -> Image {
    let mut image = ImageBuilder::new("linux/amd64").random(1, 1000).build();
    let mut json: serde_json::Value = serde_json::from_slice(&image.root.bytes).unwrap();
    json["config"]["mediaType"] = config.into();
    json["layers"][0]["mediaType"] = layer.into();
    image.root = Blob::new(MediaType::OCI_MANIFEST, serde_json::to_vec(&json).unwrap());
    image
}

#[tokio::test]
async fn what_cannot_be_built_on_is_said_in_one_sentence() {
    let image = "application/vnd.oci.image.config.v1+json";
    let layer = MediaType::OCI_LAYER_GZIP;
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    let chart = "application/vnd.cncf.helm.config.v1+json";
    for (config, layer, reason) in [
        (
            image,
            encrypted,
            format!("has encrypted layers ({encrypted}), and there is no key to open them"),
        ),
        (
            chart,
            layer,
            format!("is an artifact ({chart}), no container image"),
        ),
    ] {
        let server = ScriptedServer::serving(manifest(config, layer), |_| None).await;
        let error = pull(&server.host(), "amd64").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{}/a:1.36.2 {reason}", server.host())
        );
        assert!(matches!(error, Error::Unusable { .. }));
        // To copy it as it is asks for no platform.
        let text = format!("{}/a:1.36.2", server.host());
        let wanted = crate::support::reference(&text);
        let silent = std::sync::Arc::new(sealift_registry::Silent);
        let store = TestStore::new();
        plain()
            .pull(&store.content, &wanted, &[], silent)
            .await
            .unwrap();
    }
    assert!(!Descriptor::of(encrypted, b"x").media_type.is_foreign());
}
