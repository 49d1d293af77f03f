//! Every file of every case, spoilt in many ways: reading it ends with a model or with named
//! mistakes, never with a panic, and never with a secret in what is shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealift_network::{Flags, Network, Places, Trust};

use crate::case::SECRET;
use crate::golden::folder;

const VARIANTS: usize = 24;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn spoil(content: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut spoilt = content.to_vec();
    let mut below = |limit: usize| random.usize(..limit.max(1));
    let at = below(content.len());
    match below(5) {
        0 => spoilt.truncate(at),
        1 if at < spoilt.len() => spoilt[at] = b"\"'{}[]:,=#%@/\\ \n\0x"[below(18)],
        2 if at < spoilt.len() => drop(spoilt.remove(at)),
        3 => spoilt.insert(at, b"\"'{}[]:,=#%@/\\ \n\0x"[below(18)]),
        _ => {
            let end = at + below(content.len() - at);
            spoilt.drain(at..end);
        }
    }
    spoilt
}

#[test]
fn spoilt_files_are_named_and_keep_their_secrets() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut mistakes = 0;
    for case in std::fs::read_dir(folder()).unwrap() {
        let root = case.unwrap().path().join("root");
        let mut paths = Vec::new();
        files(&root, &mut paths);
        paths.sort();
        let planted = tempfile::tempdir().unwrap();
        for path in &paths {
            let there = planted.path().join(path.strip_prefix(&root).unwrap());
            std::fs::create_dir_all(there.parent().unwrap()).unwrap();
            std::fs::copy(path, there).unwrap();
        }
        for path in &paths {
            let there = planted.path().join(path.strip_prefix(&root).unwrap());
            let content = std::fs::read(path).unwrap();
            for _ in 0..VARIANTS {
                let spoilt = spoil(&content, &mut random);
                std::fs::write(&there, &spoilt).unwrap();
                let (shown, failed) = shown(planted.path());
                mistakes += usize::from(failed);
                let text = String::from_utf8_lossy(&spoilt);
                assert!(
                    !shown.contains(SECRET),
                    "{}:\n{text}\n{shown}",
                    path.display()
                );
            }
            std::fs::write(&there, &content).unwrap();
        }
    }
    assert!(
        mistakes > 500,
        "only {mistakes} spoilt files were found out"
    );
}

fn shown(root: &Path) -> (String, bool) {
    let variables = [("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/1000")];
    let environment: BTreeMap<_, _> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let places = Places {
        root: root.to_owned(),
        environment,
        working_directory: PathBuf::from("/project"),
        project_files: vec![PathBuf::from("/project/sealift.toml")],
        trust: Trust::default().with_any(true),
        user: 0,
        flags: Flags::default(),
    };
    match Network::read(&places) {
        Err(error) => (format!("{error} {error:?}"), true),
        Ok(network) => {
            let mut out = Vec::new();
            network.overview().write(&mut out).unwrap();
            let table = String::from_utf8(out).unwrap();
            let json = serde_json::to_string(&network.overview()).unwrap();
            (format!("{table} {json} {network:?}"), false)
        }
    }
}
