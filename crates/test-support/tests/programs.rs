//! The programs of this crate, as shells use them, and the checks of `tools/setup`.

#![allow(
    clippy::disallowed_methods,
    reason = "writes a script that nobody reads meanwhile, and reads PATH"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use sealift_test_support::{DockerRegistry, Http, repository_root};

fn test_image(registry: &DockerRegistry, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_test-image"))
        .args(arguments)
        .args(["--registry", &registry.host()])
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn test_image_stores_images_and_prints_their_digests() {
    let registry = DockerRegistry::start();
    let digest = test_image(&registry, &["busybox", "--tag", "1.36"]);
    let stored = registry.get("library/busybox/manifests/1.36");
    assert_eq!(stored.header("docker-content-digest"), Some(&digest[..]));
    assert!(stored.text().contains("arm64"));
    let random = [
        "random",
        "--sizes",
        "10,20",
        "--seed",
        "4",
        "--repository",
        "r",
    ];
    let first = test_image(&registry, &random);
    assert_eq!(first, test_image(&registry, &random));
}

#[test]
fn fault_proxy_serves_and_tells_what_it_has_seen() {
    let registry = DockerRegistry::start();
    let mut proxy = Command::new(env!("CARGO_BIN_EXE_fault-proxy"))
        .args(["--upstream", &registry.host(), "--fault", "ping=503:1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut output = BufReader::new(proxy.stdout.take().expect("a pipe was asked for"));
    let mut line = String::new();
    output.read_line(&mut line).expect("it prints its address");
    let address = line
        .trim()
        .strip_prefix("listening on ")
        .expect("an address");
    let front = Http::new(address.parse().expect("an address"));
    assert_eq!(front.get("/v2/").status, 503);
    let id = proxy.id().to_string();
    let ended = Command::new("kill").arg(&id).status().expect("kill runs");
    assert!(ended.success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("it reports");
    assert!(rest.contains("ping requests=1 bytes="), "{rest}");
    assert!(proxy.wait().expect("it ends").success());
}

#[test]
fn fault_proxy_refuses_faults_that_it_does_not_know() {
    for fault in ["token=sometimes", "nothing=reset", "any=reset:0.5", "token"] {
        let output = Command::new(env!("CARGO_BIN_EXE_fault-proxy"))
            .args(["--upstream", "127.0.0.1:1", "--fault", fault])
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{fault}");
    }
}

/// Runs `tools/setup` where `program` answers as an old version does.
fn setup_with_old(program: &str, answer: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join(program);
    let script = format!("#!/bin/sh\necho '{answer}'\n");
    std::fs::write(&path, script).expect("a file can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("a mode can be set");
    let usual = std::env::var("PATH").expect("there is a PATH");
    let output = Command::new(repository_root().join("tools/setup"))
        .arg("test")
        .env("PATH", format!("{}:{usual}", folder.path().display()))
        .output()
        .expect("the script runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

#[test]
fn setup_says_which_version_of_rust_or_go_is_too_old() {
    assert_eq!(
        setup_with_old("rustc", "rustc 1.63.0 (4b91a6ea7 2022-08-08)"),
        (
            Some(1),
            "setup: Rust 1.63.0 is too old: 1.95 or later is needed \
             (with rustup: rustup update stable)\n"
                .to_owned()
        )
    );
    let (code, text) = setup_with_old("go", "go1.19.8");
    assert_eq!(code, Some(1));
    let first = "setup: Go 1.19.8 is too old: ";
    let last = " or later is needed, to compile BuildKit ";
    assert!(text.starts_with(first) && text.contains(last), "{text}");
}
