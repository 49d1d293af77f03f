//! What steps are given: secrets, ssh agents, hosts, build arguments, contexts.

use sealift_test_support::{Project, SshAgent, busybox_builder};

use crate::scene::Scene;

const AMD64: [&str; 2] = ["--platform", "linux/amd64"];

#[test]
fn secrets_reach_the_step_and_nothing_else() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox:1.36\n\
         RUN --mount=type=secret,id=token test $(wc -c < /run/secrets/token) = 17\n\
         RUN --mount=type=secret,id=other,env=OTHER test ${#OTHER} = 21\n",
    )
    .file("token.txt", "planted-in-a-file");
    let outcome = scene
        .sealift
        .command(
            project.path(),
            &scene.build_arguments(&[
                AMD64[0],
                AMD64[1],
                "--secret",
                "id=token,src=token.txt",
                "--secret",
                "id=other,env=PLANTED",
                "-v",
                "-v",
            ]),
        )
        .env("PLANTED", "planted-in-a-variable")
        .output()
        .unwrap();
    let errors = String::from_utf8(outcome.stderr).unwrap();
    assert!(outcome.status.success(), "{errors}");
    let found = std::process::Command::new("grep")
        .args(["-r", "-l", "planted-in-a-variable"])
        .arg(scene.sealift.home())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
    assert!(!errors.contains("planted-in-a-file"), "{errors}");
}

#[test]
fn an_absent_secret_is_an_error_at_once() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\n");
    let outcome = scene
        .build(project.path(), &["--secret", "id=x,src=gone.txt"])
        .failure();
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("gone.txt"), "{}", outcome.stderr);
}

#[test]
fn an_ssh_agent_is_forwarded() {
    let scene = Scene::new();
    let agent = SshAgent::start();
    let busybox = busybox_builder("linux/amd64");
    // ssh-add speaks to the agent from inside of the step; it comes with what it needs.
    scene
        .registry
        .push(&with_ssh_add(busybox), "library/ssh", "1");
    let project = Project::dockerfile("FROM ssh:1\nRUN --mount=type=ssh /usr/bin/ssh-add -L\n");
    let arguments = scene.build_arguments(&[AMD64[0], AMD64[1], "--ssh", "default"]);
    let output = scene
        .sealift
        .command(project.path(), &arguments)
        .env("SSH_AUTH_SOCK", agent.socket())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    let key = agent.public_key();
    let body = key.split(' ').nth(1).unwrap();
    assert!(errors.contains(body), "{errors}");
}

/// Adds this machine's ssh-add and the libraries that it loads.
fn with_ssh_add(image: sealift_test_support::ImageBuilder) -> sealift_test_support::Image {
    let program = sealift_test_support::program("ssh-add");
    let listed = std::process::Command::new("ldd")
        .arg(&program)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libraries = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let mut files = vec![(
        "usr/bin/ssh-add".to_owned(),
        std::fs::read(&program).unwrap(),
    )];
    for library in libraries {
        files.push((
            library.trim_start_matches('/').to_owned(),
            std::fs::read(library).unwrap(),
        ));
    }
    let files: Vec<_> = files
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice(), 0o755))
        .collect();
    image.files(&files).build()
}

#[test]
fn arguments_hosts_labels_and_contexts() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox:1.36 AS base\n\
         ARG WHO=nobody\n\
         RUN grep -q '10.1.2.3.*apphub' /etc/hosts\n\
         RUN echo \"hello $WHO\"\n\
         COPY --from=extra note.txt /\n\
         FROM base AS other\n\
         RUN false\n",
    )
    .file("more/note.txt", "a note");
    let outcome = scene
        .build(
            project.path(),
            &[
                "--platform",
                "linux/amd64",
                "--target",
                "base",
                "--build-arg",
                "WHO=you",
                "--add-host",
                "apphub:10.1.2.3",
                "--label",
                "made=here",
                "--build-context",
                "extra=more",
                "-t",
                "localhost/arguments:1",
                "-t",
                "localhost/arguments:1",
            ],
        )
        .success();
    assert_eq!(outcome.stderr.matches("Stored ").count(), 1);
    assert!(outcome.stderr.contains("hello you"), "{}", outcome.stderr);
    let image = format!("oci:{}:localhost/arguments:1", scene.store().display());
    let config = sealift_test_support::skopeo(&["inspect", "--config", &image]);
    assert!(config.contains("\"made\": \"here\""), "{config}");
}

#[test]
fn an_image_may_stand_in_for_another() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM ubuntu:24.04\nRUN busybox true\n");
    let context = "ubuntu:24.04=docker-image://busybox:1.36";
    scene
        .build(
            project.path(),
            &[AMD64[0], AMD64[1], "--build-context", context],
        )
        .success();
}

#[test]
fn an_image_is_found_under_each_name_that_it_has() {
    let scene = Scene::new();
    let context = ["--build-context", "extra=docker-image://busybox:1.36"];
    for [first, second] in [["extra", "busybox:1.36"], ["busybox:1.36", "extra"]] {
        let project = Project::dockerfile(&format!(
            "FROM scratch\nCOPY --from={first} /bin/busybox /1\n\
             COPY --from={second} /bin/busybox /2\n"
        ));
        let outcome = scene
            .build(
                project.path(),
                &[AMD64[0], AMD64[1], context[0], context[1]],
            )
            .success();
        assert!(!outcome.stderr.contains(" again: "), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("Prefetching 1 unique"),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains(", 1 image from the store)"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_context_may_be_for_one_platform() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox:1.36 AS base\nFROM base\nCOPY --from=extra /bin/busybox /1\n",
    );
    let outcome = scene
        .build(
            project.path(),
            &[
                "--platform=linux/amd64,linux/arm64",
                "--build-context=extra::linux/amd64=docker-image://busybox:1.36",
                "--build-context=extra::linux/arm64=docker-image://busybox:1.36",
            ],
        )
        .success();
    assert!(!outcome.stderr.contains(" again: "), "{}", outcome.stderr);
}
