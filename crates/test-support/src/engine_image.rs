//! An image of BuildKit itself, as `moby/buildkit` is one: this machine's buildkitd, buildctl and
//! runc over busybox.

use std::process::Command;

use serde_json::json;

use crate::{Image, busybox_builder, program};

/// Makes an image of one platform, this machine's, whose entry point is buildkitd.
///
/// # Panics
/// Where `tools/setup` has not brought the programs.
#[must_use]
pub fn buildkit_image() -> Image {
    let runc = program("runc");
    let mut files: Vec<(String, Vec<u8>)> = vec![
        read("usr/bin/buildkitd", &program("buildkitd")),
        read("usr/bin/buildctl", &program("buildctl")),
        read("usr/bin/runc", &runc),
    ];
    for library in libraries(&runc) {
        files.push(read(library.trim_start_matches('/'), library.as_ref()));
    }
    let files: Vec<(&str, &[u8], u32)> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_slice(), 0o755))
        .collect();
    busybox_builder(&sealift_oci::Platform::host().to_string())
        .docker()
        .files(&files)
        .config("Entrypoint", json!(["buildkitd", "--oci-worker-net=host"]))
        .config("Cmd", json!(null))
        .build()
}

fn read(path: &str, from: &std::path::Path) -> (String, Vec<u8>) {
    let content = std::fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    (path.to_owned(), content)
}

/// The shared libraries that a program needs, its loader included, from ldd's
/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`.
fn libraries(program: &std::path::Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().expect("ldd runs");
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned)
        .collect()
}
