//! Every case against its golden text, and every buildkitd.toml against a real buildkitd.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::{Case, SECRET};
use crate::toml_grammar;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/cases")
}

fn cases() -> Vec<(String, Case)> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    folders
        .iter()
        .map(|path| (name(path), Case::read(path)))
        .collect()
}

#[test]
fn every_case_has_its_model_and_its_sinks() {
    let bless = std::env::var_os("SEALIFT_BLESS").is_some();
    let cases = cases();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let mut differences = String::new();
    for (name, case) in &cases {
        let outcome = case.run();
        let path = folder().join(name).join("expected.txt");
        if bless {
            std::fs::write(&path, &outcome.text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if expected != outcome.text {
            let line = expected
                .lines()
                .zip(outcome.text.lines())
                .position(|(a, b)| a != b);
            let line = line.unwrap_or(expected.lines().count().min(outcome.text.lines().count()));
            differences += &format!(
                "{name}, line {}:\n- {}\n+ {}\n",
                line + 1,
                expected.lines().nth(line).unwrap_or(""),
                outcome.text.lines().nth(line).unwrap_or("")
            );
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn no_secret_is_ever_shown() {
    let mut planted = 0;
    for (name, case) in cases() {
        let shown = case.run().shown;
        assert!(!shown.contains(SECRET), "{name} shows a secret");
        // base64 of "alice:hunter2", as config.json keeps it.
        assert!(
            !shown.contains("YWxpY2U6aHVudGVyMg"),
            "{name} shows an encoded secret"
        );
        planted += usize::from(holds_secret(&folder().join(name)));
    }
    assert!(planted >= 15, "only {planted} cases hold a secret");
}

fn holds_secret(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .any(|path| {
            if path.is_dir() {
                return holds_secret(&path);
            }
            let text = std::fs::read(&path).unwrap();
            String::from_utf8_lossy(&text).contains(SECRET)
        })
}

/// buildkitd reads its file first and looks at the log's format next, so a format that it does not
/// know ends it right after the file was parsed.
fn parse_by_buildkitd(file: &Path) -> String {
    let output = Command::new(sealift_test_support::program("buildkitd"))
        .args(["--log-format", "none-such", "--config"])
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn buildkitd_parses_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("buildkitd.toml");
    for (name, case) in cases() {
        let Some(text) = case.run().toml else {
            continue;
        };
        std::fs::write(&file, &text).unwrap();
        let said = parse_by_buildkitd(&file);
        assert!(
            said.contains("unsupported log type"),
            "{name}: {said}\n{text}"
        );
        toml_grammar::check(&text).unwrap_or_else(|fault| panic!("{name}: {fault}\n{text}"));
    }
    for broken in [
        "[registry.\"a\"]\nmirrors = 1\n",
        "[registry.\"a\"]\nhttp = \"yes\"\n",
        "[dns\n",
    ] {
        std::fs::write(&file, broken).unwrap();
        let said = parse_by_buildkitd(&file);
        assert!(
            said.contains("failed to parse config"),
            "the check itself fails: {said}"
        );
    }
}

#[test]
fn a_buildkitd_starts_with_the_richest_files() {
    for name in ["71-corporate", "72-everything", "49-containerd-tls"] {
        let case = Case::read(&folder().join(name));
        let text = case.run().toml.unwrap();
        // Becoming ready is the proof: `with` waits for an answer of its worker.
        let daemon = sealift_test_support::Buildkitd::with(&text, &[], &[]);
        assert!(
            !daemon.log().contains("failed to parse config"),
            "{name}: {}",
            daemon.log()
        );
    }
}
