//! Holds the house together: the arrows between crates and between the stages of the command, the
//! sizes and names of files, one TLS provider, and ARCHITECTURE.md's map against the tree.

#![allow(
    clippy::unwrap_used,
    reason = "a tree that cannot be read fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CRATES: [(&str, &[&str]); 9] = [
    ("dockerfile", &["oci"]),
    ("oci", &[]),
    ("transport", &[]),
    ("content", &["oci"]),
    ("registry", &["oci", "content", "transport"]),
    ("buildkit", &["oci", "content"]),
    ("network", &["oci", "transport", "registry"]),
    ("test-support", &["oci"]),
    (
        "sealift",
        &[
            "dockerfile",
            "oci",
            "transport",
            "content",
            "registry",
            "buildkit",
            "network",
        ],
    ),
];

/// Stages from left to right: each uses only what stands to its left.
const STAGES: [&str; 8] = [
    "project", "plan", "prefetch", "builder", "output", "build", "index", "report",
];

/// Values that every stage may use.
const GROUND: [&str; 3] = ["error", "event", "size"];

const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

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

/// Every Rust source file of the crates, tests left out, as (path from the root, text).
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    for (name, _) in CRATES {
        files(&root.join("crates").join(name).join("src"), &mut found);
    }
    let mut sources: Vec<(String, String)> = found
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (
                path.strip_prefix(&root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
                text,
            )
        })
        .collect();
    sources.sort();
    sources
}

fn before_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\n").next().unwrap_or(text)
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let allowed: BTreeMap<_, BTreeSet<_>> = CRATES
        .iter()
        .map(|(name, list)| (*name, list.iter().copied().collect()))
        .collect();
    let folders: BTreeSet<String> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        folders,
        allowed.keys().map(|name| (*name).to_owned()).collect()
    );
    for (name, list) in allowed {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        let runtime = text.split("[dev-dependencies]").next().unwrap();
        let used: BTreeSet<&str> = runtime
            .lines()
            .filter_map(|line| line.strip_prefix("sealift-")?.split(['.', ' ']).next())
            .collect();
        assert!(
            used.is_subset(&list),
            "{name} uses {used:?}, may use {list:?}"
        );
    }
}

#[test]
fn stages_use_only_what_stands_to_their_left() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("crates/sealift/src/") else {
            continue;
        };
        let module = inside.split('/').next().unwrap().trim_end_matches(".rs");
        let position = STAGES.iter().position(|stage| *stage == module);
        let ground = GROUND.contains(&module);
        if position.is_none() && !ground {
            continue;
        }
        for used in before_tests(&text).split("crate::").skip(1) {
            let used = used
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap();
            let place = STAGES.iter().position(|stage| *stage == used);
            let fine = used == module
                || GROUND.contains(&used)
                || matches!((position, place), (Some(here), Some(there)) if there < here);
            if !fine {
                faults.push(format!("{path} uses crate::{used}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_are_short_and_named_for_one_noun() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let lines = before_tests(&text).lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{path} has {lines} lines before its tests"));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{path} does not say what it is for"));
        }
        for part in path.split(['/', '.']) {
            if [
                "util", "utils", "common", "helper", "helpers", "misc", "manager",
            ]
            .contains(&part)
            {
                faults.push(format!("{path}: {part} says nothing"));
            }
        }
        if text.contains("todo!(") || text.contains("unimplemented!(") {
            faults.push(format!("{path} is not finished"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_settings_reads_the_environment_and_only_terminal_writes() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if path.starts_with("crates/test-support/") {
            continue;
        }
        let body = before_tests(&text);
        let owner = |name: &str| path == format!("crates/sealift/src/{name}.rs");
        if body.contains("env::var") && !owner("settings") {
            faults.push(format!("{path} reads the environment"));
        }
        let writes = ["stdout()", "stderr()", "println!", "eprintln!"];
        if writes.iter().any(|word| body.contains(word)) && !owner("terminal") && !owner("main") {
            faults.push(format!("{path} writes to the screen"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn one_tls_provider() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for banned in [
        "aws-lc-rs",
        "aws-lc-sys",
        "openssl-sys",
        "native-tls",
        "serde_yaml",
    ] {
        let line = format!("name = \"{banned}\"");
        assert!(
            !lock.contains(&line),
            "{banned} is in Cargo.lock; see deny.toml"
        );
    }
}

/// ARCHITECTURE.md draws the sources as an indented tree in its first ```text block: a folder ends
/// with `/`, a file stands without `.rs`, a note may follow after two spaces.
#[test]
fn the_map_equals_the_tree() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(
        text.lines().count() < 250,
        "ARCHITECTURE.md is to be read in one sitting"
    );
    let block = text
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let mut folders: Vec<String> = Vec::new();
    let mut mapped = BTreeSet::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        let entry = line.trim_start().split("  ").next().unwrap();
        folders.truncate(indent / 2);
        if let Some(folder) = entry.strip_suffix('/') {
            folders.push(folder.to_owned());
        } else {
            for file in entry.split(' ') {
                let name = format!("{}/{file}.rs", folders.join("/"));
                assert!(
                    mapped.insert(name.clone()),
                    "{name} stands twice in the map"
                );
            }
        }
    }
    let tree: BTreeSet<String> = sources()
        .into_iter()
        .map(|(path, _)| path.replacen("crates/", "", 1).replacen("/src/", "/", 1))
        .filter(|path| !path.ends_with("/mod.rs") && !path.ends_with("/lib.rs"))
        .collect();
    let missing: Vec<_> = tree.difference(&mapped).collect();
    let gone: Vec<_> = mapped.difference(&tree).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in the map: {missing:#?}\nonly there: {gone:#?}"
    );
}
