//! The programs of this crate, as shells use them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use sealift_test_support::{DockerRegistry, Http};

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
