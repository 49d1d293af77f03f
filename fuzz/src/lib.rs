//! Fuzz targets: each takes bytes as they come from outside, and panics where a promise is broken.
//!
//! `cargo test` runs the committed corpora and some mutations of them; `tools/fuzz` searches on.

#![allow(
    clippy::disallowed_methods,
    reason = "scratch files that nobody else reads"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use sealift_dockerfile::{Query, images, parse};
use sealift_network::{Flags, Network, Places, Trust};
use sealift_oci::{Digest, ImageConfig, Index, Manifest, Platform, Reference};
use tempfile::TempDir;

/// What runs one input.
pub type Target = fn(&[u8]);

/// Every target, by the name of the folder that its corpus is in.
pub const TARGETS: [(&str, Target); 8] = [
    ("dockerfile", dockerfile),
    ("document", document),
    ("reference", reference),
    ("hosts_toml", hosts_toml),
    ("registries_conf", registries_conf),
    ("docker_json", docker_json),
    ("http_head", http_head),
    ("fsutil", fsutil),
];

/// Parses a Dockerfile and looks for the images that it needs.
fn dockerfile(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(parsed) = parse(text) else { return };
    for (platform, host) in [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm/v7", "linux/arm64"),
    ] {
        let [platform, host] = [platform, host].map(|text| Platform::parse(text).expect("valid"));
        if let Ok(needs) = images(&parsed, &Query::new(platform, host)) {
            for need in needs {
                let text = need.reference.to_string();
                let again = Reference::parse(&text).expect("a reference can be written");
                assert_eq!(again, need.reference);
            }
        }
    }
}

/// Reads a document as each kind; what is read is read again the same from its own JSON.
fn document(input: &[u8]) {
    macro_rules! same {
        ($kind:ty) => {
            if let Ok(read) = <$kind>::parse(input) {
                let text = serde_json::to_vec(&read).expect("a document can be written");
                let again = <$kind>::parse(&text).expect("what was written can be read");
                assert_eq!(again, read);
            }
        };
    }
    same!(Index);
    same!(Manifest);
    same!(ImageConfig);
    if let Ok(index) = Index::parse(input) {
        let _ = (index.platforms(), index.select(&Platform::host()));
    }
}

/// Parses names; each form in which one is written stands for the same.
fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(read) = Reference::parse(text) {
        for form in [read.to_string(), read.familiar()] {
            assert_eq!(Reference::parse(&form).as_ref(), Ok(&read), "{form}");
        }
    }
    if let Ok(read) = Platform::parse(text) {
        assert_eq!(Platform::parse(&read.to_string()).as_ref(), Ok(&read));
        assert_eq!(read.clone().normalized(), read);
        assert!(read.rank(&read).is_some());
    }
    if let Ok(read) = Digest::parse(text) {
        assert_eq!(read.to_string(), text);
        assert!(!read.hex().contains(['/', '.']));
    }
}

fn hosts_toml(input: &[u8]) {
    network("etc/containerd/certs.d/r.example/hosts.toml", input);
}

fn registries_conf(input: &[u8]) {
    network("etc/containers/registries.conf", input);
}

/// Reads the two JSON files of Docker.
fn docker_json(input: &[u8]) {
    network("etc/docker/daemon.json", input);
    network("home/.docker/config.json", input);
}

/// Reads the network model of a machine that has this one file.
fn network(file: &str, input: &[u8]) {
    let machine = Machine::with(file, input);
    let home = machine.root.join("home").display().to_string();
    let places = Places {
        root: machine.root.clone(),
        environment: BTreeMap::from([("HOME".to_owned(), home)]),
        working_directory: machine.root.clone(),
        project_files: Vec::new(),
        trust: Trust::default(),
        user: 0,
        flags: Flags::default(),
    };
    if let Ok(read) = Network::read(&places) {
        serde_json::to_string(&read).expect("the model can be written");
    }
}

/// A machine's files, in memory where that can be.
struct Machine {
    root: PathBuf,
    file: PathBuf,
}

impl Machine {
    fn with(file: &str, bytes: &[u8]) -> Self {
        let root = scratch();
        let file = root.join(file);
        let folder = file.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("a scratch folder can be written");
        fs::write(&file, bytes).expect("a scratch folder can be written");
        Self { root, file }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_file(&self.file).expect("it was written just now");
    }
}

/// Returns a folder of this thread, in memory where there is such a file system.
fn scratch() -> PathBuf {
    thread_local! {
        static FOLDER: TempDir = {
            let memory = Path::new("/dev/shm");
            let made = match memory.is_dir() {
                true => tempfile::tempdir_in(memory),
                false => tempfile::tempdir(),
            };
            made.expect("a temporary folder can be made")
        };
    }
    FOLDER.with(|folder| folder.path().to_owned())
}

/// Reads header lines, and what follows an empty line as a body, as registries and token servers
/// send them.
fn http_head(input: &[u8]) {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = input.split_at(end.unwrap_or(input.len()));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    sealift_registry::fuzzing::read(&headers, body.trim_ascii_start());
    sealift_transport::fuzzing::read(&headers);
}

/// Receives files from a daemon; nothing is ever written outside the folder.
fn fsutil(input: &[u8]) {
    let base = scratch().join("receive");
    let folder = base.join("folder");
    fs::create_dir_all(&folder).expect("a scratch folder can be written");
    fs::write(base.join("secret"), "outside").expect("a scratch folder can be written");
    sealift_buildkit::fuzzing::receive(&folder, input);
    let outside = fs::read_dir(&base).expect("it was made just now");
    assert_eq!(
        outside.count(),
        2,
        "something was written beside the folder"
    );
    let secret = fs::read(base.join("secret")).expect("nobody removes it");
    assert_eq!(secret, b"outside");
    // A folder may have come that even its owner cannot enter.
    let removed = fs::remove_dir_all(&base);
    removed.expect("root can remove everything");
}
