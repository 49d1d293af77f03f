//! An image that discovery cannot see: a frontend of the user's own that builds another stage than
//! it was asked for.

use sealift_test_support::{Project, busybox, busybox_builder, program, skopeo};
use serde_json::{Value, json};

use crate::scene::Scene;

#[test]
fn an_image_that_discovery_missed_is_fetched_and_the_build_repeated() {
    let scene = Scene::new();
    let frontend = std::fs::read(program("dockerfile-frontend")).unwrap();
    let script = b"#!/bin/sh\nBUILDKIT_FRONTEND_OPT_99=target=hidden exec /frontend\n";
    let caps = "moby.buildkit.frontend.inputs,moby.buildkit.frontend.contexts";
    let image = busybox_builder("linux/amd64")
        .files(&[("frontend", &frontend, 0o755), ("wrap", script, 0o755)])
        .config("Entrypoint", json!(["/wrap"]))
        .config("Labels", json!({ "moby.buildkit.frontend.caps": caps }))
        .build();
    scene.registry.push(&image, "library/odd", "1");
    scene
        .registry
        .push(&busybox(&["linux/amd64"]), "tools/hidden", "1");
    let project = Project::dockerfile(
        "# syntax=odd:1\n\
         FROM ghcr.io/tools/hidden:1 AS hidden\n\
         RUN echo found\n\
         FROM busybox:1.36\n",
    );
    let metadata = "--metadata-file=metadata.json";
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64", metadata])
        .success();
    let said = "again: it also needs ghcr.io/tools/hidden:1, which was not found beforehand";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("0 tokens asked for"),
        "{}",
        outcome.stderr
    );
    // What was built from is told whole: what was found beforehand, and what was not.
    let metadata = std::fs::read(project.path().join("metadata.json")).unwrap();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let images = metadata["sealift"]["images"].as_array().unwrap();
    let name = |image: &Value| image["reference"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = images.iter().map(name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "docker.io/library/busybox:1.36",
            "docker.io/library/odd:1",
            "ghcr.io/tools/hidden:1"
        ]
    );
    let late = images.iter().find(|image| name(image).contains("hidden"));
    let raw = format!("docker://{}/tools/hidden:1", scene.registry.host());
    let index: Value =
        serde_json::from_str(&skopeo(&["inspect", "--raw", "--tls-verify=false", &raw])).unwrap();
    let expected = json!({
        "reference": "ghcr.io/tools/hidden:1",
        "platform": "linux/amd64",
        "digest": index["manifests"][0]["digest"],
    });
    assert_eq!(late, Some(&expected));
}

#[test]
fn a_foreign_frontend_reads_a_grammar_of_its_own() {
    let scene = Scene::new();
    let frontend = std::fs::read(program("dockerfile-frontend")).unwrap();
    // It builds the file beside the one that it was given, which is no Dockerfile.
    let script = b"#!/bin/sh\n\
        for name in $(env | grep '=filename=' | cut -d= -f1); do unset $name; done\n\
        BUILDKIT_FRONTEND_OPT_99=filename=real exec /frontend\n";
    let caps = "moby.buildkit.frontend.inputs,moby.buildkit.frontend.contexts";
    let image = busybox_builder("linux/amd64")
        .files(&[("frontend", &frontend, 0o755), ("wrap", script, 0o755)])
        .config("Entrypoint", json!(["/wrap"]))
        .config("Labels", json!({ "moby.buildkit.frontend.caps": caps }))
        .build();
    scene.registry.push(&image, "team/front", "1");
    let project = Project::dockerfile("# syntax=ghcr.io/team/front:1\nbuild: [this, one]\n").file(
        "real",
        "FROM busybox:1.36\nRUN echo read-by-its-own-frontend\n",
    );
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .success();
    let said = "read-by-its-own-frontend";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
}
