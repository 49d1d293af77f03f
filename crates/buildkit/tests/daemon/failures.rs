//! Failed solves: typed, with their lines, and cancelled ones.

use std::time::Duration;

use sealift_buildkit::{Error, Event, Kind, State, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

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
    assert_eq!(Some(&failed.unwrap().digest), failure.vertex.as_ref());
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
    assert_eq!(failure.kind, Kind::Step, "{failure:?}");
    assert!(
        failure.message.contains("\"/absent\": not found"),
        "{failure}"
    );
    assert_eq!(failure.excerpts[0].lines(), Some(2..=2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warnings_have_their_lines() {
    let site = Site::new().await;
    let ran = site
        .run(site.busybox_solve("from busybox:1.36\nRUN true\n"))
        .await;
    ran.solved();
    let warning = ran.events.iter().find_map(|event| match event {
        Event::Warning(warning) => Some(warning),
        _ => None,
    });
    let warning = warning.expect("the frontend warns of the casing");
    assert!(
        warning.short.contains("ConsistentInstructionCasing"),
        "{warning:?}"
    );
    assert_eq!(warning.excerpt.as_ref().unwrap().lines(), Some(1..=1));
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
