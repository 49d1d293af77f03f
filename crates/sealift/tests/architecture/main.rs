//! Holds the house together: the arrows between crates and between the stages of the command, circles
//! of imports, parameters, the sizes and names of files, one TLS provider, and ARCHITECTURE.md's map
//! against the tree.

#![allow(
    clippy::unwrap_used,
    reason = "a tree that cannot be read fails the test"
)]

mod arrows;
mod circles;
mod imports;
mod parameters;
mod planted;
mod source;

use std::collections::BTreeSet;

use source::{Source, root};

const LINES_MAX: usize = 400;

fn sources() -> Vec<Source> {
    source::read(&arrows::names())
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn crates_depend_only_along_the_arrows() {
    none(&arrows::between_crates());
}

#[test]
fn stages_use_only_what_stands_to_their_left() {
    none(&arrows::between_stages(&sources()));
}

#[test]
fn no_circle_of_imports() {
    let sources = sources();
    none(
        &arrows::names()
            .into_iter()
            .flat_map(|name| circles::of(&sources, name))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_parameter_is_a_tuple() {
    none(
        &sources()
            .iter()
            .flat_map(parameters::tuples)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_are_short_and_named_for_one_noun() {
    let mut faults = Vec::new();
    for Source {
        path, text, lines, ..
    } in sources()
    {
        if lines > LINES_MAX {
            faults.push(format!("{path} has {lines} lines without its tests"));
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
    none(&faults);
}

#[test]
fn only_settings_reads_the_environment_and_only_terminal_writes() {
    let mut faults = Vec::new();
    for Source { path, text, .. } in sources() {
        if path.starts_with("crates/test-support/") {
            continue;
        }
        let owner = |name: &str| path == format!("crates/sealift/src/{name}.rs");
        if text.contains("env::var") && !owner("settings") {
            faults.push(format!("{path} reads the environment"));
        }
        let writes = ["stdout()", "stderr()", "println!", "eprintln!"];
        // `file` writes the file that a user names /dev/stdout.
        let may_write = ["terminal", "main", "file"].iter().any(|name| owner(name));
        if writes.iter().any(|word| text.contains(word)) && !may_write {
            faults.push(format!("{path} writes to the screen"));
        }
    }
    none(&faults);
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

#[test]
fn the_readme_names_the_versions_that_are_needed() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let after = |text: &str, start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap().trim_matches('"').to_owned()
    };
    let rust = after(&read("Cargo.toml"), "rust-version = ");
    let go = after(&read("tools/go.mod"), "go ");
    let minor = go.rsplit_once('.').unwrap().0;
    let expected = format!("with Rust {rust} and Go {minor} or later");
    assert!(
        read("README.md").contains(&expected),
        "README.md: {expected}"
    );
}

/// ARCHITECTURE.md draws the sources as an indented tree in its first ```text block: a folder ends
/// with `/`, a file stands without `.rs`, a note may follow after two spaces.
#[test]
fn the_map_equals_the_tree() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(
        text.lines().count() < 200,
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
        .map(|source| {
            source
                .path
                .replacen("crates/", "", 1)
                .replacen("/src/", "/", 1)
        })
        .filter(|path| !path.ends_with("/mod.rs") && !path.ends_with("/lib.rs"))
        .collect();
    let missing: Vec<_> = tree.difference(&mapped).collect();
    let gone: Vec<_> = mapped.difference(&tree).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in the map: {missing:#?}\nonly there: {gone:#?}"
    );
}
