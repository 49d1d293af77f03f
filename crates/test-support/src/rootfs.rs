//! The images that tests build from: Debian's static busybox, images of random bytes, and BuildKit's
//! own Dockerfile frontend.

use std::process::Command;

use serde_json::json;

use crate::image::append_file;
use crate::{Image, ImageBuilder, busybox_program, program};

/// Makes an index of real busybox images: a shell and all applets, for each of the platforms.
#[must_use]
pub fn busybox(platforms: &[&str]) -> Image {
    Image::index(
        platforms
            .iter()
            .map(|platform| busybox_builder(platform).build()),
    )
}

/// Begins an image with a busybox layer, to add to.
///
/// # Panics
/// Where `tools/setup` has fetched no busybox for that architecture.
#[must_use]
pub fn busybox_builder(platform: &str) -> ImageBuilder {
    let architecture = platform.split('/').nth(1).unwrap_or(platform);
    let content = std::fs::read(busybox_program(architecture)).expect("busybox can be read");
    let mut archive = tar::Builder::new(Vec::new());
    for (folder, mode) in [
        ("bin/", 0o755),
        ("etc/", 0o755),
        ("root/", 0o700),
        ("tmp/", 0o1777),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(mode);
        archive
            .append_data(&mut header, folder, std::io::empty())
            .expect("memory takes all writes");
    }
    append_file(&mut archive, "bin/busybox", &content, 0o755);
    append_file(
        &mut archive,
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\n",
        0o644,
    );
    append_file(&mut archive, "etc/group", b"root:x:0:\n", 0o644);
    for applet in applets() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        archive
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .expect("memory takes all writes");
    }
    let tar = archive.into_inner().expect("memory takes all writes");
    ImageBuilder::new(platform)
        .tar(tar)
        .config("Cmd", json!(["sh"]))
}

/// The applets of this machine's busybox; both architectures are built from one source.
fn applets() -> Vec<String> {
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let output = Command::new(busybox_program(architecture))
        .arg("--list")
        .output()
        .expect("busybox runs");
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    list.lines()
        .filter(|applet| !applet.is_empty() && *applet != "busybox")
        .map(str::to_owned)
        .collect()
}

/// Makes an index of images whose layers are random bytes: `sizes` for each platform, all different.
#[must_use]
pub fn random_image(seed: u64, platforms: &[&str], sizes: &[usize]) -> Image {
    Image::index((0u64..).zip(platforms).map(|(number, platform)| {
        (0u64..)
            .zip(sizes)
            .fold(ImageBuilder::new(platform), |builder, (layer, size)| {
                builder.random(seed * 1_000_000 + number * 1_000 + layer, *size)
            })
            .build()
    }))
}

/// Makes an image of BuildKit's own Dockerfile frontend, for `# syntax=` lines. It runs on this
/// machine's architecture.
///
/// # Panics
/// Where `tools/setup` has not compiled it.
#[must_use]
pub fn frontend_image() -> Image {
    let frontend = std::fs::read(program("dockerfile-frontend")).expect("the program can be read");
    let platform = sealift_oci::Platform::host().to_string();
    let image = ImageBuilder::new(&platform)
        .files(&[("bin/dockerfile-frontend", &frontend, 0o755)])
        .config("Entrypoint", json!(["/bin/dockerfile-frontend"]))
        .config(
            "Labels",
            json!({"moby.buildkit.frontend.network.none": "true",
                   "moby.buildkit.frontend.caps": "moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts"}),
        )
        .build();
    Image::index([image])
}
