//! A base image that is damaged in the store: met by the daemon or by an output, fetched again, and
//! never delivered.

use std::fs;

use sealift_test_support::{Buildkitd, Project, busybox, skopeo};

use crate::scene::Scene;

#[test]
fn a_damaged_layer_is_fetched_again_and_never_delivered() {
    let mut scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUN true\n");
    let target = project.path().join("out.tar");
    let output = format!("type=oci,dest={}", target.display());
    let build = |scene: &Scene, seed: u32| {
        // Another step each time, so that the daemon solves anew.
        project.write(
            "Dockerfile",
            format!("FROM busybox:1.36\nRUN true {seed}\n"),
        );
        let platform = ["--platform", "linux/amd64", "-t", "x:1", "-o", &output];
        scene.build(project.path(), &platform).success()
    };
    build(&scene, 0);
    let image = busybox(&["linux/amd64", "linux/arm64"]);
    let layer = image.blobs.iter().max_by_key(|blob| blob.descriptor.size);
    let digest = layer.unwrap().descriptor.digest.clone();
    let path = scene.store().join("blobs/sha256").join(digest.hex());
    let whole = fs::read(&path).unwrap();
    for seed in 1..3 {
        // The first round meets a daemon that has the layer, the second one that needs it.
        if seed == 2 {
            scene.buildkitd = Buildkitd::start();
        }
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let built = build(&scene, seed);
        let said = format!("{digest} was damaged on disk");
        assert!(built.stderr.contains(&said), "{}", built.stderr);
        let copied = tempfile::tempdir().unwrap();
        let archive = format!("oci-archive:{}", target.display());
        skopeo(&[
            "copy",
            &archive,
            &format!("dir:{}", copied.path().display()),
        ]);
        scene.verify_store();
    }
}
