//! The daemons and images of this crate, against skopeo, buildctl and each other.

use std::path::Path;
use std::process::Command;

use sealift_test_support::{
    Authority, Buildkitd, DockerRegistry, Dockerd, Image, ImageBuilder, Project, RegistryOptions,
    SshAgent, busybox, frontend_image, program, random_image,
};

const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Runs a program and returns both of its outputs.
fn run(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(program(name))
        .args(arguments)
        .output()
        .expect("the program runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{name} {arguments:?}:\n{text}");
    text
}

#[test]
fn skopeo_copies_a_random_image_out_of_a_registry() {
    let registry = DockerRegistry::start();
    let image = random_image(1, &BOTH, &[100_000, 5_000]);
    registry.push(&image, "random/two", "1");
    let before = registry.requests().len();
    let folder = tempfile::tempdir().unwrap();
    let source = format!("docker://{}/random/two:1", registry.host());
    let target = format!("oci:{}:copy", folder.path().display());
    run(
        "skopeo",
        &["copy", "--all", "--src-tls-verify=false", &source, &target],
    );
    for blob in image.all() {
        let digest = &blob.descriptor.digest;
        let copied = std::fs::read(folder.path().join("blobs/sha256").join(digest.hex())).unwrap();
        assert_eq!(copied, blob.bytes, "{digest}");
    }
    let blobs = registry.requests()[before..]
        .iter()
        .filter(|access| access.target.contains("/blobs/") && access.status == 200)
        .count();
    assert_eq!(blobs, image.blobs.len());
}

#[test]
fn a_registry_comes_back_with_its_content_at_the_same_address() {
    let mut registry = DockerRegistry::start();
    let image = random_image(2, &["linux/amd64"], &[1_000]);
    registry.push(&image, "a", "1");
    let address = registry.address();
    registry.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
    registry.restart();
    assert_eq!(registry.address(), address);
    assert_eq!(registry.get("a/manifests/1").body, image.root.bytes);
}

#[test]
fn skopeo_passes_tls_client_certificates_and_a_password() {
    let authority = Authority::new("sealift test");
    let registry = DockerRegistry::with(RegistryOptions {
        password: true,
        tls: Some(authority.server(&["127.0.0.1", "localhost"])),
        client_authority: Some(authority.certificate().to_owned()),
        storage: None,
    });
    let client = authority.client("someone");
    let certificates = Project::new()
        .file("ca.crt", authority.certificate())
        .file("client.cert", &client.certificate)
        .file("client.key", &client.key);
    registry.push(&random_image(3, &["linux/amd64"], &[10]), "secret", "1");
    let folder = certificates.path().display().to_string();
    let account = format!("{}:{}", DockerRegistry::USER, DockerRegistry::PASSWORD);
    let image = format!("docker://{}/secret:1", registry.host());
    let shown = run(
        "skopeo",
        &[
            "inspect",
            "--raw",
            "--creds",
            &account,
            "--cert-dir",
            &folder,
            &image,
        ],
    );
    assert!(shown.contains("manifests"), "{shown}");
    let refused = Command::new(program("skopeo"))
        .args(["inspect", "--raw", "--cert-dir", &folder, &image])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("unauthorized"), "{text}");
}

#[test]
fn layouts_are_read_by_skopeo() {
    let folder = tempfile::tempdir().unwrap();
    random_image(4, &BOTH, &[10]).write_layout(folder.path(), "example.org/x:1");
    let source = format!("oci:{}:example.org/x:1", folder.path().display());
    let config = run(
        "skopeo",
        &["--override-arch", "arm64", "inspect", "--config", &source],
    );
    assert!(config.contains("arm64"), "{config}");
}

#[test]
fn images_of_dockers_family_are_read_by_skopeo() {
    let registry = DockerRegistry::start();
    let image = Image::index(BOTH.map(|platform| {
        ImageBuilder::new(platform)
            .docker()
            .files(&[("hello", b"hi", 0o644)])
            .config("Labels", serde_json::json!({"place": platform}))
            .build()
    }));
    registry.push(&image, "old", "1");
    let source = format!("docker://{}/old:1", registry.host());
    let config = run(
        "skopeo",
        &[
            "--override-arch=arm64",
            "inspect",
            "--config",
            "--tls-verify=false",
            &source,
        ],
    );
    assert!(config.contains(r#""place": "linux/arm64""#), "{config}");
}

#[test]
fn buildkitd_runs_both_architectures_with_a_frontend_from_a_local_registry() {
    let registry = DockerRegistry::start();
    registry.push(&frontend_image(), "docker/dockerfile", "1");
    registry.push(&busybox(&BOTH), "library/busybox", "1.36");
    let settings = format!(
        "[registry.\"docker.io\"]\nmirrors = [\"{0}\"]\n[registry.\"{0}\"]\nhttp = true\n",
        registry.host()
    );
    let daemon = Buildkitd::with(&settings, &[], &[]);
    let project = Project::dockerfile(
        "# syntax=docker/dockerfile:1\nFROM busybox:1.36\nRUN echo machine=$(uname -m)\n",
    );
    let folder = project.path().display();
    let output = run(
        "buildctl",
        &[
            "--addr",
            &daemon.address(),
            "build",
            "--progress=plain",
            "--frontend=dockerfile.v0",
            &format!("--local=context={folder}"),
            &format!("--local=dockerfile={folder}"),
            "--opt=platform=linux/amd64,linux/arm64",
        ],
    );
    assert!(output.contains("machine=x86_64"), "{output}");
    assert!(output.contains("machine=aarch64"), "{output}");
    assert!(
        output.contains("docker-image://docker.io/docker/dockerfile:1"),
        "{output}"
    );
}

#[test]
fn dockerd_answers_and_ends() {
    let daemon = Dockerd::start();
    let version = daemon.get("/version").text();
    assert!(version.contains("\"ApiVersion\""), "{version}");
    let socket = daemon.socket();
    drop(daemon);
    assert!(!Path::new(&socket).exists());
}

#[test]
fn buildkitd_runs_a_step_inside_a_container_of_dockerd() {
    let daemon = Dockerd::start();
    daemon.run_buildkitd("builder");
    daemon.docker(&[
        "exec",
        "builder",
        "sh",
        "-c",
        "mkdir /c && cp /bin/busybox /c/",
    ]);
    let dockerfile = r#"printf 'FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox","echo","ran-inside"]\n' >/c/Dockerfile"#;
    daemon.docker(&["exec", "builder", "sh", "-c", dockerfile]);
    let build = "buildctl build --progress=plain --frontend=dockerfile.v0 --local context=/c --local dockerfile=/c 2>&1";
    let printed = daemon.docker(&["exec", "builder", "sh", "-c", build]);
    assert!(printed.contains("ran-inside"), "{printed}");
}

#[test]
fn an_agent_lists_its_key() {
    let agent = SshAgent::start();
    let output = Command::new(program("ssh-add"))
        .arg("-L")
        .env("SSH_AUTH_SOCK", agent.socket())
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(listed.trim(), agent.public_key());
}
