//! Builds whose images come from our store while every registry is denied.

use sealift_buildkit::{Context, Error, Output, Policy, Secret, State};
use sealift_test_support::{busybox, frontend_image};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::site::{Ran, Site, amd64};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_from_the_store_into_the_store() {
    let site = Site::new().await;
    let solve = site
        .busybox_solve(
            "FROM busybox:1.36 AS base\n\
             RUN echo built > /made && echo seen\n\
             FROM busybox:1.36\n\
             COPY --from=base /made /made\n\
             COPY --from=busybox:1.36 /etc/passwd /copied\n\
             RUN --mount=from=busybox:1.36,target=/other cat /other/etc/group > /group\n",
        )
        .platform(&amd64())
        .label("a", "b")
        .build_arg("UNUSED", "1");
    let ran = site.run(solve).await;
    let solved = ran.solved();
    let image = solved.image.as_ref().unwrap();
    assert!(image.media_type.is_manifest(), "{image:?}");
    let manifest = site.manifest(image);
    assert_eq!(manifest.layers.len(), 4);
    assert_eq!(
        solved.config_digest().as_ref(),
        Some(&manifest.config.digest)
    );
    let config = site
        .store
        .read_blob(&manifest.config.digest, 1 << 20)
        .unwrap();
    let config = String::from_utf8(config).unwrap();
    assert!(config.contains(r#""Labels":{"a":"b"}"#), "{config}");
    assert!(ran.log().contains("seen"), "{}", ran.log());
    assert_eq!(solved.traffic.auth_requests, 0);
    assert!(solved.traffic.blob_reads >= 3, "{:?}", solved.traffic);
    // Three new layers, the configuration and the manifest: the base was there.
    assert_eq!(solved.traffic.blobs_received, 5);
    let done = ran
        .vertexes()
        .filter(|vertex| vertex.state() == State::Done);
    assert!(done.count() > 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_is_cached_and_sends_no_blob() {
    let site = Site::new().await;
    let dockerfile = "FROM busybox:1.36\nCOPY file /file\nRUN true\n";
    site.write("file", "content");
    let first = site.run(site.busybox_solve(dockerfile)).await;
    let second = site.run(site.busybox_solve(dockerfile)).await;
    let digest = |ran: &Ran| ran.solved().image.as_ref().unwrap().digest.clone();
    assert_eq!(digest(&first), digest(&second));
    assert_eq!(first.solved().traffic.files_sent, 2);
    // The Dockerfile, which was written anew.
    assert_eq!(second.solved().traffic.files_sent, 1);
    assert_eq!(second.solved().traffic.blobs_received, 0);
    let mut cached = second.vertexes().filter(|v| v.state() == State::Cached);
    assert!(cached.any(|vertex| vertex.name.contains("RUN true")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_syntax_frontend_comes_from_the_store_too() {
    let site = Site::new().await;
    let frontend = site.image(&frontend_image());
    let solve = site
        .busybox_solve("# syntax=docker/dockerfile:1\nFROM busybox:1.36\nRUN echo by-frontend\n")
        .context("docker/dockerfile:1", None, frontend);
    let ran = site.run(solve).await;
    ran.solved();
    assert!(ran.log().contains("by-frontend"), "{}", ran.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_image_is_named() {
    let site = Site::new().await;
    let ran = site.run(site.solve("FROM alpine:3.20\nRUN true\n")).await;
    let failure = ran.error().failure().unwrap();
    assert_eq!(
        failure.denied_image(),
        Some("docker.io/library/alpine:3.20")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seal_all_denies_downloads_too() {
    let site = Site::new().await;
    let solve = site
        .busybox_solve("FROM busybox:1.36\nADD http://127.0.0.1:9/x /x\n")
        .policy(Policy::seal_all());
    let ran = site.run(solve).await;
    let failure = ran.error().failure().unwrap();
    assert!(failure.message.contains("denied by policy"), "{failure}");
    let solve = site
        .busybox_solve("FROM busybox:1.36\nCOPY . /all\nRUN test -f /all/Dockerfile\n")
        .policy(Policy::seal_all());
    site.run(solve).await.solved();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_are_folders_and_whole_indexes_too() {
    let site = Site::new().await;
    let more = site.path("more");
    std::fs::create_dir(&more).unwrap();
    std::fs::write(more.join("file"), "from-more").unwrap();
    let index = site.image(&busybox(&["linux/amd64", "linux/arm64"]));
    let solve = site
        .solve("FROM base\nCOPY --from=more file /file\nRUN cat /file && uname -m\n")
        .context("base", None, index)
        .context("more", None, Context::Folder(more))
        .output(Output::None);
    let ran = site.run(solve).await;
    ran.solved();
    assert!(ran.log().contains("from-more"), "{}", ran.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_solves_share_a_store() {
    let site = Site::new().await;
    let build = |arg: &str| {
        let dockerfile = "FROM busybox:1.36\nRUN echo same > /same\nARG X\nRUN echo $X > /x\n";
        site.busybox_solve(dockerfile).build_arg("X", arg)
    };
    let (first, second) = (build("1"), build("2"));
    let (first, second) = tokio::join!(site.run(first), site.run(second));
    let layers = |image| site.manifest(image).layers;
    let first = layers(first.solved().image.as_ref().unwrap());
    let second = layers(second.solved().image.as_ref().unwrap());
    assert_eq!(first[0], second[0]);
    assert_ne!(first[2], second[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn solves_of_one_session_get_the_context_once() {
    let site = Site::new().await;
    for number in 0..50 {
        site.write(&format!("files/{number}"), vec![b'x'; 10_000]);
    }
    let dockerfile = "FROM busybox:1.36\nCOPY files /files\nARG X\nRUN echo $X > /x\n";
    let solves = ["1", "2", "3"].map(|x| site.busybox_solve(dockerfile).build_arg("X", x));
    let session = site.client.open_session(&solves.each_ref()).await.unwrap();
    let run = |solve| {
        let (sender, _) = mpsc::channel(1);
        site.client
            .solve_in(&session, solve, sender, CancellationToken::new())
    };
    let [one, two, three] = solves;
    let (one, two, three) = tokio::join!(run(one), run(two), run(three));
    let images = [one, two, three].map(|solved| solved.unwrap());
    let last = images.iter().map(|solved| solved.traffic.files_sent).max();
    assert_eq!(last, Some(51));
    let digests = images.map(|solved| solved.image.unwrap().digest);
    assert_ne!(digests[0], digests[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn solves_that_differ_cannot_share_a_session() {
    let site = Site::new().await;
    let one = site.solve("FROM scratch\n").secret("a", Secret::new("1"));
    let other = site.solve("FROM scratch\n").secret("a", Secret::new("2"));
    let error = site.client.open_session(&[&one, &other]).await.unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { name, .. } if name == "a"),
        "{error}"
    );
    let other = site
        .solve("FROM scratch\n")
        .output(Output::Folder(site.path("out")));
    let error = site.client.open_session(&[&one, &other]).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
}
