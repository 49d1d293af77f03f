//! Sealing itself: what a build is kept from, and that unsealed builds are possible.

use sealift_test_support::{Dockerd, Project};

use crate::scene::Scene;

#[test]
fn seal_all_denies_urls_and_says_how_to_allow_them() {
    let scene = Scene::new();
    let url = format!("{}/v2/", scene.registry.url());
    let project = Project::dockerfile(&format!("FROM busybox:1.36\nADD {url} /x\n"));
    let arguments = ["--platform", "linux/amd64", "--seal"];
    let all = scene.build(
        project.path(),
        &[arguments[0], arguments[1], arguments[2], "all"],
    );
    let all = all.failure();
    assert!(all.stderr.contains("denied by policy"), "{}", all.stderr);
    assert!(all.stderr.contains("--seal=images"), "{}", all.stderr);
    scene
        .build(
            project.path(),
            &[arguments[0], arguments[1], arguments[2], "images"],
        )
        .success();
}

#[test]
fn seal_all_gives_steps_no_network() {
    let scene = Scene::new();
    let project =
        Project::dockerfile("FROM busybox:1.36\nRUN ip link | grep -c ^ > /links; cat /links\n");
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64", "--seal=all"])
        .success();
    // Loopback alone takes two lines.
    assert!(
        outcome.stderr.lines().any(|line| line.ends_with(" 2")),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_unsealed_build_lets_buildkit_fetch() {
    let scene = Scene::new();
    let image = format!("{}/library/busybox:1.36", scene.registry.host());
    let project = Project::dockerfile(&format!("FROM {image}\nRUN true\n"));
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64", "--seal=off"])
        .success();
    assert!(
        outcome.stderr.contains("(not sealed)"),
        "{}",
        outcome.stderr
    );
    assert!(
        !outcome.stderr.contains("Prefetching"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_builder_in_a_container_is_sealed_too() {
    let scene = Scene::new();
    let dockerd = Dockerd::start();
    dockerd.run_buildkitd("multiarch-builder");
    let project = Project::dockerfile("FROM busybox:1.36\nRUN echo from-a-container\n");
    let mut arguments = vec!["build".to_owned(), "--progress=plain".to_owned()];
    arguments.extend([
        "--builder".to_owned(),
        "docker-container://multiarch-builder".to_owned(),
    ]);
    arguments.extend(scene.mirrors());
    arguments.extend(["--platform".to_owned(), "linux/amd64".to_owned()]);
    let output = scene
        .sealift
        .command(project.path(), &arguments)
        .env("DOCKER_HOST", dockerd.address())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("from-a-container"), "{errors}");
    assert!(errors.contains("0 tokens asked for"), "{errors}");
}
