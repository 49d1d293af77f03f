//! Results: registries, docker, archives, folders, metadata.

use std::io::Write as _;

use sealift_test_support::{DockerRegistry, Dockerd, Project, skopeo};
use serde_json::Value;

use crate::scene::{BOTH, Scene, platforms};

#[test]
fn pushed_with_its_base_mounted_and_its_tags_last() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUN echo built > /built\n");
    let host = scene.registry.host();
    let tags = ["1", "latest"].map(|tag| format!("{host}/team/app:{tag}"));
    // The base comes from the registry that the result goes to: its layers need not travel.
    let base = format!("{host}/library/busybox:1.36");
    let project = project.file(
        "Dockerfile",
        format!("FROM {base}\nRUN echo built > /built\n"),
    );
    scene
        .build(
            project.path(),
            &["--platform", BOTH, "-t", &tags[0], "-t", &tags[1], "--push"],
        )
        .success();
    for tag in &tags {
        assert_eq!(
            platforms(&format!("docker://{tag}")),
            ["linux/amd64", "linux/arm64"]
        );
    }
    let requests = scene.registry.requests();
    let mounted = requests
        .iter()
        .filter(|access| access.target.contains("mount=sha256"))
        .count();
    assert!(mounted >= 2, "the base's layers are mounted: {requests:?}");
    let puts: Vec<&str> = requests
        .iter()
        .filter(|access| access.method == "PUT" && access.target.contains("/team/app/manifests/"))
        .map(|access| access.target.rsplit('/').next().unwrap())
        .collect();
    let first_tag = puts
        .iter()
        .position(|name| !name.starts_with("sha256:"))
        .unwrap();
    assert!(
        puts[first_tag..]
            .iter()
            .all(|name| !name.starts_with("sha256:")),
        "{puts:?}"
    );
    assert_eq!(puts.len() - first_tag, 2, "{puts:?}");
}

#[test]
fn a_stored_image_is_pushed_later_and_again() {
    let scene = Scene::new();
    let other = DockerRegistry::start();
    let project = Project::dockerfile("FROM busybox:1.36\nRUN echo later > /later\n");
    scene
        .build(
            project.path(),
            &["--platform", BOTH, "-t", "localhost/later:1"],
        )
        .success();
    let target = format!("{}/later:1", other.host());
    let uploads = || {
        let requests = other.requests();
        requests
            .iter()
            .filter(|access| access.method == "POST")
            .count()
    };
    let push = || {
        scene
            .run(project.path(), &["push"], &["localhost/later:1", &target])
            .success()
    };
    let pushed = push();
    // To be asked what it has is no failure of the registry.
    assert!(!pushed.stderr.contains("failures"), "{}", pushed.stderr);
    assert!(!scene.sealift.store_home().join("failures.log").exists());
    let first = uploads();
    push();
    assert_eq!(uploads(), first, "the second push uploads nothing");
    assert_eq!(
        platforms(&format!("docker://{target}")),
        ["linux/amd64", "linux/arm64"]
    );
    let outcome = scene
        .run(project.path(), &["push"], &["localhost/absent:1"])
        .failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
}

#[test]
fn loaded_into_docker() {
    let scene = Scene::new();
    let dockerd = Dockerd::start();
    let project =
        Project::dockerfile("FROM busybox:1.36\nRUN echo loaded > /loaded\nCMD [\"x\"]\n");
    let arguments = scene.build_arguments(&[
        "--platform",
        BOTH,
        "-t",
        "localhost/loaded:1",
        "-t",
        "loaded:2",
        "--load",
    ]);
    let output = scene
        .sealift
        .command(project.path(), &arguments)
        .env("DOCKER_HOST", dockerd.address())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for name in ["localhost/loaded:1", "loaded:2"] {
        let image = dockerd.get(&format!("/images/{name}/json"));
        let image: Value = serde_json::from_slice(&image.body).unwrap();
        assert_eq!(image["Architecture"], "amd64", "{image}");
        assert_eq!(image["Config"]["Cmd"][0], "x", "{image}");
    }
}

#[test]
fn archives_and_folders() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox:1.36 AS made\nRUN echo made > /made\nFROM scratch\nCOPY --from=made /made /\n",
    );
    let arguments = [
        "--platform",
        BOTH,
        "-t",
        "localhost/made:1",
        "-o",
        "type=oci,dest=out/made.tar",
        "-o",
        "type=docker,dest=out/docker.tar",
        "-o",
        "type=local,dest=out/files",
        "--metadata-file",
        "out/metadata.json",
    ];
    scene.build(project.path(), &arguments).success();
    let out = project.path().join("out");
    let archive = format!("oci-archive:{}", out.join("made.tar").display());
    assert_eq!(platforms(&archive), ["linux/amd64", "linux/arm64"]);
    let docker = format!("docker-archive:{}", out.join("docker.tar").display());
    let inspected: Value = serde_json::from_str(&skopeo(&["inspect", &docker])).unwrap();
    assert_eq!(inspected["Architecture"], "amd64");
    for platform in ["linux_amd64", "linux_arm64"] {
        let file = out.join("files").join(platform).join("made");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "made\n");
    }
    let metadata = std::fs::read(out.join("metadata.json")).unwrap();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    assert_eq!(metadata["image.name"], "localhost/made:1");
    assert!(
        metadata["containerimage.digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    let base = &metadata["sealift"]["images"][0];
    assert_eq!(base["reference"], "docker.io/library/busybox:1.36");
    assert!(
        base["digest"].as_str().unwrap().starts_with("sha256:"),
        "{metadata}"
    );
}

#[test]
fn metadata_goes_where_standard_output_is() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM scratch\nLABEL a=b\n");
    let path = project.path().join("captured");
    let mut captured = std::fs::File::create(&path).unwrap();
    captured.write_all(b"before\n").unwrap();
    let arguments = scene.build_arguments(&["-t", "localhost/x:1", "--metadata-file=/dev/stdout"]);
    let status = scene
        .sealift
        .command(project.path(), &arguments)
        .stdout(captured.try_clone().unwrap())
        .status();
    assert!(status.unwrap().success());
    captured.write_all(b"after\n").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let (json, _) = text
        .strip_prefix("before\n")
        .and_then(|rest| rest.rsplit_once("after\n"))
        .expect(&text);
    let metadata: Value = serde_json::from_str(json).unwrap();
    assert_eq!(metadata["image.name"], "localhost/x:1");
}
