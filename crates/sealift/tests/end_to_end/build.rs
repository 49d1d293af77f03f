//! Builds that succeed: both platforms, sealed, from every kind of image source.

use sealift_test_support::{Buildkitd, Project, busybox, busybox_builder, frontend_image, skopeo};
use serde_json::Value;

use crate::scene::{BOTH, Scene, platforms};

const HELLO: &str = "FROM busybox:1.36\nRUN echo \"machine $(uname -m)\" | tee /machine\n";

#[test]
fn both_platforms_are_built_joined_and_readable_by_skopeo() {
    let scene = Scene::new();
    let project = Project::dockerfile(HELLO);
    let outcome = scene
        .build(
            project.path(),
            &["--platform", BOTH, "-t", "localhost/hello:1", "."],
        )
        .success();
    let lines = &outcome.stderr;
    assert!(
        lines.contains("Prefetching 1 unique base image\n"),
        "{lines}"
    );
    assert!(lines.contains("machine aarch64"), "{lines}");
    assert!(lines.contains("machine x86_64"), "{lines}");
    assert_eq!(lines.matches("0 tokens asked for").count(), 2, "{lines}");
    let image = format!("oci:{}:localhost/hello:1", scene.store().display());
    assert_eq!(platforms(&image), ["linux/amd64", "linux/arm64"]);
    let other = format!("docker://{}/copied:1", scene.registry.host());
    skopeo(&[
        "copy",
        "-q",
        "--all",
        "--dest-tls-verify=false",
        &image,
        &other,
    ]);
    assert_eq!(platforms(&other), ["linux/amd64", "linux/arm64"]);
    scene.verify_store();
}

#[test]
fn the_registry_may_die_after_the_fetch_and_hears_nothing_during_the_build() {
    let mut scene = Scene::new();
    let project = Project::dockerfile(HELLO).file("token.txt", "a secret");
    let line = [
        "--platform",
        BOTH,
        "--no-cache",
        "--secret=id=token,src=token.txt",
        "--label=made=here",
        "--tag=localhost/line:1",
        "--output=type=oci,dest=line.tar",
    ];
    // The same line: what is build's alone has no effect.
    let mut prefetch = scene.build_arguments(&line);
    "prefetch".clone_into(&mut prefetch[0]);
    scene.sealift.run(project.path(), &prefetch).success();
    assert!(!project.path().join("line.tar").exists());
    let before = scene.registry.requests().len();
    scene.registry.stop();
    let outcome = scene.build(project.path(), &line).success();
    assert!(project.path().join("line.tar").exists());
    let cached = "✓ docker.io/library/busybox:1.36 (cached) [linux/amd64, linux/arm64]";
    assert!(outcome.stderr.contains(cached), "{}", outcome.stderr);
    assert_eq!(scene.registry.requests().len(), before);
}

#[test]
fn a_builder_says_what_platform_is_its_own() {
    let mut scene = Scene::new();
    let settings = "[worker.oci]\nplatforms = [\"linux/arm64\", \"linux/amd64\"]\n";
    scene.buildkitd = Buildkitd::with(settings, &[], &[]);
    let project = Project::dockerfile(
        "FROM --platform=$BUILDPLATFORM busybox:1.36\nARG TARGETARCH\nRUN echo for-$TARGETARCH\n",
    );
    let mut prefetch = scene.build_arguments(&[]);
    "prefetch".clone_into(&mut prefetch[0]);
    let fetched = scene.sealift.run(project.path(), &prefetch).success();
    let line = "✓ docker.io/library/busybox:1.36 [linux/arm64] ";
    assert!(fetched.stderr.contains(line), "{}", fetched.stderr);
    let built = scene.build(project.path(), &[]).success();
    for line in [
        "✓ docker.io/library/busybox:1.36 (cached) [linux/arm64]\n",
        " for-arm64\n",
    ] {
        assert!(built.stderr.contains(line), "{line}: {}", built.stderr);
    }
}

#[test]
fn a_dockerfile_on_standard_input() {
    let scene = Scene::new();
    // What lies in the context is not read.
    let project = Project::dockerfile("FROM no-such-image:1\n").file("note", "from the context");
    let run = |dockerfile: &[u8]| {
        let arguments = scene.build_arguments(&["-f", "-", "--platform=linux/amd64"]);
        let sealift = &scene.sealift;
        sealift.run_with_input(project.path(), &arguments, dockerfile)
    };
    // Its bytes go to BuildKit as they are.
    let outcome = run(
        b"# caf\xe9\nFROM busybox:1.36\nCOPY note /note\nCOPY <<'EOF' /bytes\n\xe9\nEOF\n\
          RUN echo $(cat /note), $(wc -c < /bytes) bytes\n",
    );
    let outcome = outcome.success();
    let said = " from the context, 2 bytes\n";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    let outcome = run(b"FROM busybox:1.36\n\nRUN exit 7\n").failure();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("\n<stdin>:3\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn every_kind_of_image_source_comes_from_the_store() {
    let scene = Scene::new();
    let both = ["linux/amd64", "linux/arm64"];
    scene
        .registry
        .push(&frontend_image(), "docker/dockerfile", "test");
    scene.registry.push(&busybox(&both), "tools/copy", "1");
    scene.registry.push(&busybox(&both), "tools/mount", "2");
    let project = Project::dockerfile(
        "# syntax=docker/dockerfile:test\n\
         ARG BASE=busybox\n\
         FROM --platform=$BUILDPLATFORM ${BASE}:1.36 AS native\n\
         RUN uname -m > /native\n\
         FROM ${BASE}:1.36\n\
         COPY --from=native /native /native\n\
         COPY --from=ghcr.io/tools/copy:1 /bin/busybox /copied\n\
         RUN --mount=from=quay.io/tools/mount:2,target=/mnt /mnt/bin/busybox cat /native\n",
    );
    let outcome = scene.build(project.path(), &["--platform", BOTH]).success();
    assert!(
        outcome.stderr.contains("Prefetching 4 unique base images"),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        outcome.stderr.matches("sealed: ").count(),
        2,
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("again:"), "{}", outcome.stderr);
}

#[test]
fn triggers_of_a_base_image_are_followed() {
    let scene = Scene::new();
    let on_build =
        serde_json::json!(["COPY --from=ghcr.io/tools/copy:1 /bin/busybox /opt/busybox"]);
    let base = sealift_test_support::busybox_builder("linux/amd64").config("OnBuild", on_build);
    scene.registry.push(&base.build(), "library/base", "1");
    scene
        .registry
        .push(&busybox(&["linux/amd64"]), "tools/copy", "1");
    let project = Project::dockerfile("FROM base:1\nRUN /opt/busybox true\n");
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .success();
    assert!(
        outcome.stderr.contains("ghcr.io/tools/copy:1"),
        "{}",
        outcome.stderr
    );
    let images = scene.sealift.run(
        project.path(),
        &["images", "--json", "--platform", "linux/amd64"],
    );
    let images: Value = serde_json::from_str(&images.success().stdout).unwrap();
    let found = images[0]["images"].as_array().unwrap();
    assert!(
        found.iter().any(|image| image["via"] == "onbuild"),
        "{images}"
    );
}

#[test]
fn images_are_listed_as_documented() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox AS a\nFROM a\nCOPY --from=ghcr.io/x/y:1 / /\n\
         RUN --mount=from=busybox:1.36,target=/m true\n",
    );
    let outcome = scene
        .sealift
        .run(
            project.path(),
            &["images", "--json", "--platform", "linux/arm64"],
        )
        .success();
    let name = project.path().file_name().unwrap().to_str().unwrap();
    let platform = "linux/arm64";
    let expected = serde_json::json!([{
        "component": name,
        "target": "default",
        "platform": platform,
        "images": [
            {"reference": "docker.io/library/busybox:latest", "platform": platform, "via": "from", "file": "Dockerfile", "line": 1},
            {"reference": "ghcr.io/x/y:1", "platform": platform, "via": "copy", "file": "Dockerfile", "line": 3},
            {"reference": "docker.io/library/busybox:1.36", "platform": platform, "via": "mount", "file": "Dockerfile", "line": 4},
        ],
    }]);
    let listed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(listed, expected);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn platforms_without_an_emulator_are_built_as_long_as_nothing_runs() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM --platform=$BUILDPLATFORM busybox:1.36 AS tool\nARG TARGETARCH\n\
         RUN echo $TARGETARCH > /arch\nFROM scratch\nCOPY --from=tool /arch /\n",
    );
    let all = "linux/riscv64,linux/s390x,windows/amd64";
    let line = ["--platform", all, "-t", "localhost/cross:1"];
    scene.build(project.path(), &line).success();
    let image = format!("oci:{}:localhost/cross:1", scene.store().display());
    assert_eq!(
        platforms(&image),
        ["linux/riscv64", "linux/s390x", "windows/amd64"]
    );
}

#[test]
fn a_step_of_a_platform_that_cannot_run_says_what_helps() {
    let scene = Scene::new();
    let project =
        Project::dockerfile("FROM scratch\nCOPY --chmod=755 Dockerfile /bin/sh\nRUN true\n");
    let outcome = scene
        .build(project.path(), &["--platform", "linux/riscv64"])
        .failure();
    assert_eq!(outcome.code, Some(18), "{}", outcome.stderr);
    let cure = "\n  try: register an emulator on the builder's machine: apt-get install ";
    assert!(outcome.stderr.contains(cure), "{}", outcome.stderr);
}

#[test]
fn state_that_lies_in_the_context_is_not_in_the_image() {
    let mut scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nCOPY . /all\nRUN ls -RA /all\n");
    let home = project.path().join(".cache/[odd]*/sealift");
    std::fs::create_dir_all(&home).unwrap();
    scene.sealift = scene.sealift.env("SEALIFT_HOME", home.to_str().unwrap());
    let line = [
        "--platform",
        "linux/amd64",
        "--build-context",
        "more=.cache",
    ];
    let outcome = scene.build(project.path(), &line).success();
    assert!(home.join("store/blobs/sha256").is_dir());
    assert!(outcome.stderr.contains(" [odd]*\n"), "{}", outcome.stderr);
    let (_, below) = outcome.stderr.split_once("/all/.cache/[odd]*:\n").unwrap();
    assert!(
        below.split(' ').nth(1).unwrap().starts_with("DONE"),
        "{below}"
    );
}

#[test]
fn an_image_of_one_other_platform_is_built_on_with_a_warning() {
    let scene = Scene::new();
    let single = busybox_builder("linux/amd64").build();
    scene.registry.push(&single, "library/single", "1");
    let project = Project::dockerfile("FROM single:1\nCOPY --from=single:1 /bin/busybox /b\n");
    let outcome = scene
        .build(project.path(), &["--platform", "linux/arm64"])
        .success();
    let warning = "warning: docker.io/library/single:1 is for linux/amd64 alone; it is used for \
                   linux/arm64 too\n";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    let again = ["--platform", "linux/arm64", "-t", "localhost/on-single:1"];
    scene.build(project.path(), &again).success();
    let image = format!("oci:{}:localhost/on-single:1", scene.store().display());
    assert_eq!(platforms(&image), ["linux/arm64"]);
}

#[test]
fn contexts_are_found_by_every_form_of_their_name() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM base AS empty\nFROM empty\nCOPY --from=tools /tool /\nCOPY --from=ghcr.io/a/b:latest /tool /b\n",
    )
    .file("src/tool", "a tool\n");
    let out = format!("type=local,dest={}", project.path().join("out").display());
    let line = [
        "--build-context=docker.io/library/tools:latest=src",
        "--build-context=ghcr.io/a/b=src",
        "--build-context=base=docker-image://scratch",
        "-o",
        &out,
    ];
    scene.build(project.path(), &line).success();
    for name in ["tool", "b"] {
        let file = project.path().join("out").join(name);
        assert_eq!(std::fs::read_to_string(file).unwrap(), "a tool\n");
    }
}

#[test]
fn the_environments_source_date_is_the_results_unless_the_line_says_otherwise() {
    let mut scene = Scene::new();
    let project = Project::dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    scene.sealift = scene.sealift.env("SOURCE_DATE_EPOCH", "1000000000");
    let created = |scene: &Scene, arguments: &[&str]| {
        let line = [&["-t", "localhost/dated:1"], arguments].concat();
        scene.build(project.path(), &line).success();
        let image = format!("oci:{}:localhost/dated:1", scene.store().display());
        let config: Value =
            serde_json::from_str(&skopeo(&["inspect", "--config", &image])).unwrap();
        config["created"].as_str().unwrap().to_owned()
    };
    assert_eq!(created(&scene, &[]), "2001-09-09T01:46:40Z");
    let given = ["--build-arg=SOURCE_DATE_EPOCH=1"];
    assert_eq!(created(&scene, &given), "1970-01-01T00:00:01Z");
}

#[test]
fn two_builds_at_once_share_one_store() {
    let scene = Scene::new();
    let projects = [1, 2].map(|number| {
        Project::dockerfile(&format!("FROM busybox:1.36\nRUN echo {number} > /number\n"))
    });
    std::thread::scope(|scope| {
        for (number, project) in projects.iter().enumerate() {
            let scene = &scene;
            scope.spawn(move || {
                let tag = format!("localhost/at-once:{number}");
                scene
                    .build(project.path(), &["--platform", BOTH, "-t", &tag])
                    .success();
            });
        }
    });
    for number in 0..2 {
        let image = format!("oci:{}:localhost/at-once:{number}", scene.store().display());
        assert_eq!(platforms(&image), ["linux/amd64", "linux/arm64"]);
    }
    scene.verify_store();
}

#[test]
fn a_managed_builder_is_started_kept_and_stopped() {
    let scene = Scene::new();
    let project = Project::dockerfile(HELLO);
    let mut arguments = vec!["build".to_owned(), "--progress=plain".to_owned()];
    arguments.extend(scene.mirrors());
    let tools = sealift_test_support::program("buildkitd");
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        tools.parent().unwrap().display()
    );
    let run = |arguments: &[String]| {
        let output = scene
            .sealift
            .command(project.path(), arguments)
            .env("PATH", &path)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{errors}");
        (String::from_utf8(output.stdout).unwrap(), errors)
    };
    let (_, first) = run(&arguments);
    assert!(first.contains("Started a builder of our own"), "{first}");
    assert!(
        first.contains("Using custom buildkit config with mirrors"),
        "{first}"
    );
    // Nothing that another daemon of the same user may have is taken from it.
    let folder = scene.sealift.store_home().join("builder");
    assert!(folder.join("buildkitd.otel").exists());
    let (_, second) = run(&arguments);
    assert!(!second.contains("Started a builder"), "{second}");
    assert!(second.contains("CACHED"), "{second}");
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let (listed, _) = run(&words(&["builder", "ls"]));
    assert!(
        listed.contains("running") && listed.contains("linux/arm64"),
        "{listed}"
    );
    assert_eq!(run(&words(&["builder", "stop"])).0, "stopped\n");
    assert_eq!(run(&words(&["builder", "stop"])).0, "it is not running\n");
}

#[test]
fn our_own_files_never_reach_the_build() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox:1.36\nCOPY . /all\nRUN ls -A /all; test \"$(ls -A /all)\" = Dockerfile\n",
    )
    .file(".build-failures.log", "an earlier failure\n")
    .file(".sealift/history", "earlier builds\n");
    let arguments = ["--platform", "linux/amd64"];
    scene.build(project.path(), &arguments).success();
    project.write(".build-failures.log", "another failure\n");
    let again = scene.build(project.path(), &arguments).success();
    assert!(again.stderr.contains("CACHED"), "{}", again.stderr);
}
