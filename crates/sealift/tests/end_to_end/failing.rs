//! Builds that fail, and what they say.

use sealift_test_support::{Fault, FaultPlan, Kind, Project, busybox};

use crate::scene::{BOTH, Scene};

#[test]
fn an_image_that_lacks_a_platform_names_those_it_has() {
    let scene = Scene::new();
    scene
        .registry
        .push(&busybox(&["linux/amd64"]), "library/half", "1");
    let project = Project::dockerfile("FROM half:1\n");
    let outcome = scene.build(project.path(), &["--platform", BOTH]).failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
    for words in [
        "docker.io/library/half:1",
        "linux/arm64",
        "linux/amd64",
        "Dockerfile:1",
    ] {
        assert!(
            outcome.stderr.contains(words),
            "{words}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn an_absent_image_costs_one_request() {
    let scene = Scene::new();
    let image = format!("{}/no/such:1", scene.registry.host());
    let project = Project::dockerfile(&format!("FROM {image}\n"));
    let before = scene.registry.requests().len();
    let outcome = scene.build(project.path(), &["--platform", BOTH]).failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&image), "{}", outcome.stderr);
    assert_eq!(scene.registry.requests().len() - before, 1);
}

#[test]
fn a_failing_step_shows_the_lines_and_its_log() {
    let scene = Scene::new();
    let project =
        Project::dockerfile("FROM busybox:1.36\nRUN echo before\nRUN echo oh no; exit 7\n");
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .failure();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let error = outcome.stderr.split("error: ").nth(1).unwrap();
    for words in [
        "RUN echo oh no; exit 7",
        "| oh no",
        "\nDockerfile:3\n",
        "exit code: 7",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_malformed_dockerfile_is_refused_before_anything_is_fetched() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUNN true\n");
    let before = scene.registry.requests().len();
    let outcome = scene.build(project.path(), &[]).failure();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("Dockerfile:2"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("RUNN"), "{}", outcome.stderr);
    assert_eq!(scene.registry.requests().len(), before);
}

/// What people meet most: the token endpoint fails eight times in ten.
#[test]
fn fifty_builds_of_fifty_succeed_while_tokens_fail() {
    let scene = Scene::new();
    scene
        .proxy
        .set_plan(FaultPlan::seeded(7).chance(Kind::Token, 0.8, Fault::Reset));
    let project = Project::dockerfile("FROM busybox:1.36\nRUN true\n");
    for number in 0..50 {
        std::fs::remove_dir_all(scene.sealift.store_home()).ok();
        let outcome = scene.build(project.path(), &["--platform", "linux/arm64"]);
        assert_eq!(outcome.code, Some(0), "build {number}: {}", outcome.stderr);
    }
    let log = std::fs::read_to_string(project.path().join(".build-failures.log")).unwrap();
    let failed = log
        .lines()
        .filter(|line| line.contains("phase=token"))
        .count();
    assert!(failed > 50, "{failed} failures of tokens are logged");
    assert!(
        log.lines().all(|line| line.contains(" class=NET ")),
        "{log}"
    );
}
