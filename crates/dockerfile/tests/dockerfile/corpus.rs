//! The written cases: `tests/corpus/*.txt`.
//!
//! A case starts with `=== name`; lines `@target`, `@arg K=V`, `@context K=V` and
//! `@trigger REFERENCE PLATFORM INSTRUCTION` may follow; then comes the Dockerfile. `\r`, `\t` and
//! the like stand for themselves; a case whose name ends in `(crlf)` gets CRLF line endings, one
//! in `(bom)` a byte order mark, one in `(no newline)` loses its last line feed.

use std::path::Path;

use sealift_dockerfile::Query;
use sealift_oci::{Platform, Reference};

/// A Dockerfile and what is asked about it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) query: Query,
}

impl Case {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            query: query("linux/arm64"),
        }
    }
}

/// Asks for the last stage, on a machine of linux/amd64.
pub(crate) fn query(platform: &str) -> Query {
    Query::new(
        Platform::parse(platform).unwrap(),
        Platform::new("linux", "amd64"),
    )
}

/// Reads all written cases. The folder is found from any crate's tests.
pub(crate) fn written() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dockerfile/tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let cases = files.iter().flat_map(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        let topic = file.file_stem().unwrap().to_string_lossy().into_owned();
        read(&topic, &text)
    });
    cases.collect()
}

fn read(topic: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        if let Some(name) = bare.strip_prefix("=== ") {
            cases.push(Case::new(&format!("{topic}: {name}"), ""));
            continue;
        }
        let case = cases.last_mut().expect("a corpus file starts with ===");
        let option = bare.strip_prefix('@').filter(|_| case.text.is_empty());
        match option.map(|option| option.split_once(' ').unwrap()) {
            None => case.text.push_str(line),
            Some(("target", target)) => case.query.target = Some(target.to_owned()),
            Some(("arg", pair)) => insert(&mut case.query.build_args, pair),
            Some(("context", pair)) => insert(&mut case.query.contexts, pair),
            Some(("trigger", rest)) => {
                let parts: Vec<&str> = rest.splitn(3, ' ').collect();
                let reference = Reference::parse(parts[0]).unwrap();
                let key = (reference, Platform::parse(parts[1]).unwrap());
                let triggers = case.query.triggers.entry(key).or_default();
                triggers.push(parts[2].replace("\\n", "\n"));
            }
            Some((option, _)) => panic!("unknown option {option}"),
        }
    }
    for case in &mut cases {
        dress(case);
    }
    cases
}

fn insert(map: &mut std::collections::BTreeMap<String, String>, pair: &str) {
    let (name, value) = pair.split_once('=').unwrap();
    map.insert(name.to_owned(), value.to_owned());
}

fn dress(case: &mut Case) {
    if case.name.ends_with("(crlf)") {
        case.text = case.text.replace('\n', "\r\n");
    }
    if case.name.ends_with("(bom)") {
        case.text.insert(0, '\u{feff}');
    }
    if case.name.ends_with("(no newline)") {
        case.text.truncate(case.text.trim_end_matches('\n').len());
    }
}
