//! Failed solves: typed, with their lines, and cancelled ones.

use std::time::Duration;

use sealift_buildkit::{Address, Client, Error, Event, Kind, Secret, State, Stream};
use sealift_oci::Platform;
use sealift_test_support::busybox;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::relay::Relay;
use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_step_shows_its_code_line_and_log() {
    let site = Site::new().await;
    let solve = site.busybox_solve(
        "FROM busybox:1.36\nRUN true\nRUN echo out && echo err >&2 && \\\n    exit 42\n",
    );
    let ran = site.run(solve).await;
    let error = ran.error();
    assert!(!error.is_transient());
    let failure = error.failure().unwrap();
    assert_eq!(failure.kind, Kind::Exec { exit_code: 42 });
    let excerpt = &failure.excerpts[0];
    assert_eq!(
        (excerpt.filename.as_str(), excerpt.lines()),
        ("Dockerfile", Some(3..=4))
    );
    assert_eq!(
        excerpt.window(1)[1],
        (3, "RUN echo out && echo err >&2 && \\", true)
    );
    let failed = ran
        .vertexes()
        .find(|vertex| vertex.state() == State::Failed);
    let step = failure.step.as_ref().unwrap();
    assert_eq!(failed.unwrap().digest, step.digest);
    assert_eq!(
        step.name,
        "[2/3] RUN echo out && echo err >&2 &&     exit 42"
    );
    let mut lines: Vec<&str> = step.output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out"]);
    assert!(!step.emulated);
    assert_eq!(ran.written(Some(Stream::Stdout)), "out\n");
    assert_eq!(ran.written(Some(Stream::Stderr)), "err\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_dockerfile_is_the_frontends_failure() {
    let site = Site::new().await;
    let ran = site.run(site.solve("FROM scratch\nCOPPY a b\n")).await;
    let failure = ran.error().failure().unwrap();
    assert_eq!(failure.kind, Kind::Frontend, "{failure:?}");
    assert_eq!(failure.excerpts[0].lines(), Some(2..=2));
    assert!(failure.message.contains("COPPY"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_file_is_the_steps_failure() {
    let site = Site::new().await;
    let solve = site.busybox_solve("FROM busybox:1.36\nCOPY absent /\n");
    let ran = site.run(solve).await;
    let failure = ran.error().failure().unwrap();
    let path = "/absent".to_owned();
    assert_eq!(failure.kind, Kind::MissingPath { path, from: None });
    assert_eq!(failure.excerpts[0].lines(), Some(2..=2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_step_lacks_is_typed() {
    let site = Site::new().await;
    let missing = |path: &str, from: Option<&str>| Kind::MissingPath {
        path: path.to_owned(),
        from: from.map(str::to_owned),
    };
    let secret = || Kind::MissingSecret {
        id: "token".to_owned(),
    };
    let agent = || Kind::MissingAgent {
        id: "default".to_owned(),
    };
    for (step, kind) in [
        (
            "COPY --link --from=one /a/b /",
            missing("/a/b", Some("one")),
        ),
        (
            "RUN --mount=from=one,source=b,target=/x true",
            missing("/b", Some("one")),
        ),
        (
            "RUN --mount=type=bind,source=b,target=/x true",
            missing("/b", None),
        ),
        (
            "RUN --mount=type=secret,id=token,required=true true",
            secret(),
        ),
        (
            "RUN --mount=type=secret,id=token,env=T,required true",
            secret(),
        ),
        ("RUN --mount=type=ssh,required=true true", agent()),
    ] {
        let dockerfile = format!("FROM busybox:1.36 AS one\nFROM busybox:1.36\n{step}\n");
        for offer in [false, true] {
            let mut solve = site.busybox_solve(&dockerfile);
            if offer {
                solve = solve.secret("other", Secret::new("x"));
            }
            let ran = site.run(solve).await;
            let failure = ran.error().failure().unwrap();
            assert_eq!(failure.kind, kind, "{step}: {failure}");
            assert!(!failure.is_transient());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_step_is_known_to_be_emulated() {
    let site = Site::new().await;
    let image = site.image(&busybox(&["linux/amd64", "linux/arm64"]));
    let mut emulated = Vec::new();
    for from in [
        "FROM busybox:1.36",
        "FROM --platform=linux/amd64 busybox:1.36",
        "FROM --platform=$BUILDPLATFORM busybox:1.36 AS base\nFROM base",
    ] {
        let solve = site
            .solve(&format!("{from}\nRUN exit 139\n"))
            .context("busybox:1.36", None, image.clone())
            .platform(&Platform::new("linux", "arm64"));
        let ran = site.run(solve).await;
        let failure = ran.error().failure().unwrap();
        assert_eq!(failure.kind, Kind::Exec { exit_code: 139 }, "{failure}");
        emulated.push(failure.step.as_ref().unwrap().emulated);
    }
    assert_eq!(emulated, [true, false, false]);
}

/// A comment of 62 bytes.
const FILLER: &str = "# a comment that fills the file up to its size for this case.\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_any_size_is_a_failure() {
    let site = Site::new().await;
    let words = format!("{} \\\n", "x".repeat(60_000));
    let command = format!("RUN : {} && exit 4\n", words.repeat(2));
    for (bytes, step, warnings) in [
        (6_000, "RUN exit 4\n", 0),
        (100_000, "RUN exit 4\n", 0),
        (2_000_000, "RUN exit 4\n", 0),
        (0, command.as_str(), 0),
        (100_000, "RUN exit 4\n", 300),
    ] {
        let filler = FILLER.repeat(bytes / FILLER.len());
        let casing = "label a=b\n".repeat(warnings);
        let solve = site.busybox_solve(&format!("FROM busybox:1.36\n{filler}{casing}{step}"));
        let ran = site.run(solve).await;
        let failure = ran
            .error()
            .failure()
            .expect("a failed step, not a lost daemon");
        assert_eq!(failure.kind, Kind::Exec { exit_code: 4 });
        let line = u32::try_from(2 + bytes / FILLER.len() + warnings).unwrap();
        assert_eq!(*failure.excerpts[0].lines().unwrap().start(), line);
        assert!(failure.step.is_some() && !failure.is_transient());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_failed_is_known_without_the_solves_error() {
    let mut site = Site::new().await;
    let relay = Relay::start(&site.path("relay.sock"), &site.daemon.socket());
    let address = Address::unix(site.path("relay.sock"));
    site.client = Client::connect(&address).await.unwrap();
    let filler = FILLER.repeat(200);
    let dockerfile = format!("FROM busybox:1.36\n{filler}RUN echo said; exit 5\n");
    let ran = site.run(site.busybox_solve(&dockerfile)).await;
    assert!(relay.cuts() > 0);
    let error = ran.error();
    let failure = error.failure().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(failure.kind, Kind::Exec { exit_code: 5 });
    assert_eq!(failure.step.as_ref().unwrap().output, "said");
    assert!(!ran.error().is_transient());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warnings_have_their_lines() {
    let site = Site::new().await;
    let mut warnings = Vec::new();
    for _ in 0..2 {
        let ran = site
            .run(site.busybox_solve("from busybox:1.36\nRUN true\n"))
            .await;
        ran.solved();
        let first = ran.events.iter().find_map(|event| match event {
            Event::Warning(warning) => Some(warning.clone()),
            _ => None,
        });
        warnings.push(first.expect("the frontend warns of the casing"));
    }
    let warning = &warnings[0];
    assert!(
        warning.short.contains("ConsistentInstructionCasing"),
        "{warning:?}"
    );
    assert_eq!(
        warning.detail,
        ["All commands within the Dockerfile should use the same casing (either upper or lower)"]
    );
    assert_eq!(
        warning.url,
        "https://docs.docker.com/go/dockerfile/rule/consistent-instruction-casing/"
    );
    assert_eq!(warning.excerpt.as_ref().unwrap().lines(), Some(1..=1));
    // Two solves say it of two vertices.
    assert_ne!(warning.vertex, warnings[1].vertex);
    assert!(warning.is_same(&warnings[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_stops_the_step() {
    let site = Site::new().await;
    let solve = site.busybox_solve("FROM busybox:1.36\nRUN echo begun; sleep 1000\n");
    let (sender, mut receiver) = mpsc::channel(16);
    let cancel = CancellationToken::new();
    let stop = async {
        while let Some(event) = receiver.recv().await {
            if matches!(event, Event::Log(_)) {
                cancel.cancel();
            }
        }
    };
    let solve = site.client.solve(solve, sender, cancel.clone());
    let (result, ()) = tokio::join!(solve, stop);
    assert!(matches!(result, Err(Error::Canceled)), "{result:?}");
    // The daemon is free again when the step is gone.
    let gone = async {
        loop {
            let usage = site.client.disk_usage().await.unwrap();
            if usage.iter().all(|record| !record.in_use) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .expect("the step ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_is_lost_and_transient() {
    let mut site = Site::new().await;
    let solve = site.busybox_solve("FROM busybox:1.36\nRUN echo begun; sleep 1000\n");
    let (sender, mut receiver) = mpsc::channel(16);
    let client = site.client.clone();
    let daemon = &mut site.daemon;
    let kill = async {
        while let Some(event) = receiver.recv().await {
            if matches!(event, Event::Log(_)) {
                daemon.kill();
            }
        }
    };
    let solve = client.solve(solve, sender, CancellationToken::new());
    let (result, ()) = tokio::join!(solve, kill);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    assert!(error.is_transient());
}
