//! Compares what is sent of a folder with what BuildKit's own client would send, as a small Go
//! program over its `fsutil` reports it (`tools/context-oracle`).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use sealift_test_support::Oracle;
use serde::{Deserialize, Serialize};

use super::{Selection, Trouble, Wanted, walk};
use crate::name;
use crate::proto::fsutil::Stat;

#[derive(Debug, Serialize)]
struct Question<'a> {
    root: &'a Path,
    include: &'a [String],
    exclude: &'a [String],
    follow: Option<&'a [String]>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    files: Vec<File>,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct File {
    path: String,
    mode: u32,
    size: i64,
    modified: i64,
    link: String,
}

fn ours(root: &Path, wanted: Wanted) -> Result<Vec<File>, Trouble> {
    let selection = Selection::new(root, wanted)?;
    let mut files = Vec::new();
    let mut visit = |stat: Stat, _: &Path| {
        files.push(File {
            path: name::text(&stat.path),
            mode: stat.mode,
            size: stat.size,
            modified: stat.mod_time,
            link: name::text(&stat.linkname),
        });
        true
    };
    walk(&selection, &mut visit)?;
    Ok(files)
}

const NAMES: [&str; 14] = [
    "a", "b", "ab", "abc", "a.b", "a b", "a-b", ".git", "x.md", "y.MD", "ä", "[a]", "c*", "b$",
];

/// Makes a tree of files, folders, symbolic and hard links.
fn tree(random: &mut Rng, root: &Path) {
    let mut folders = vec![PathBuf::new()];
    let mut files: Vec<PathBuf> = Vec::new();
    for _ in 0..random.usize(10..40) {
        let name = random.choice(NAMES).unwrap();
        let path = random.choice(&folders).unwrap().join(name);
        let at = root.join(&path);
        if at.symlink_metadata().is_ok() {
            continue;
        }
        match random.u8(0..10) {
            0..4 => {
                fs::create_dir(&at).unwrap();
                folders.push(path);
            }
            4 | 5 => {
                let mut target = String::new();
                for _ in 0..random.usize(0..3) {
                    target.push_str(random.choice(["../", "/", "./", "a/"]).unwrap());
                }
                target.push_str(random.choice(NAMES).unwrap());
                symlink(target, at).unwrap();
            }
            6 if !files.is_empty() => {
                fs::hard_link(root.join(random.choice(&files).unwrap()), at).unwrap();
            }
            _ => {
                let mut file = fs::File::create_new(&at).unwrap();
                file.write_all(name.as_bytes()).unwrap();
                files.push(path);
            }
        }
    }
}

/// What patterns are made of; the last is malformed.
const PARTS: [&str; 35] = [
    "a",
    "b",
    "ab",
    "abc",
    "a.b",
    "a b",
    ".git",
    "x.md",
    "ä",
    "*",
    "**",
    "?",
    "a*",
    "*.md",
    "**b",
    "b**",
    "[ab]",
    "[^a]",
    "[a-c]b",
    "\\a\\b",
    "*.[mM]*",
    "..",
    ".",
    "b$",
    "^a",
    "(a)",
    "a+",
    "{a}",
    "a{2}*",
    "[[:alpha:]]",
    "[a&&b]",
    "[[]a]",
    "a|b",
    "\\*",
    "[",
];

/// Makes patterns, some of which are malformed.
fn patterns(random: &mut Rng) -> Vec<String> {
    let pattern = |random: &mut Rng| {
        let mut text = String::new();
        if random.u8(0..4) == 0 {
            text.push('!');
        }
        for number in 0..random.usize(1..4) {
            if number > 0 {
                text.push('/');
            }
            // Malformed parts are rare, or nothing else would be tried.
            let known = if random.u8(0..30) == 0 { 35 } else { 34 };
            text.push_str(random.choice(&PARTS[..known]).unwrap());
        }
        match random.u8(0..10) {
            0 => text.push('/'),
            1 => text.insert(0, ' '),
            2 => text.push_str("/**"),
            _ => {}
        }
        text
    };
    (0..random.usize(0..5)).map(|_| pattern(random)).collect()
}

#[test]
fn sends_what_buildkits_client_sends() {
    let mut oracle = Oracle::start("context-oracle");
    let mut random = Rng::with_seed(0x5ea1);
    let (mut compared, mut files_in_all, mut refused) = (0, 0, 0);
    for _ in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        tree(&mut random, &root);
        for _ in 0..50 {
            let (include, exclude) = (patterns(&mut random), patterns(&mut random));
            let mut follow = random.bool().then(|| patterns(&mut random));
            if let Some(follow) = &mut follow {
                follow.retain(|path| !path.starts_with('!'));
            }
            let answer: Answer = oracle.ask(&Question {
                root: &root,
                include: &include,
                exclude: &exclude,
                follow: follow.as_deref(),
            });
            let said = format!("{include:?} {exclude:?} {follow:?} {}", answer.error);
            let wanted = Wanted {
                include,
                exclude,
                follow,
            };
            match ours(&root, wanted) {
                Ok(files) => {
                    assert_eq!(answer.error, "", "{said}");
                    assert_eq!(files, answer.files, "{said}");
                    compared += 1;
                    files_in_all += files.len();
                }
                Err(error) => {
                    assert_ne!(answer.error, "", "{said}: {error}");
                    refused += 1;
                }
            }
        }
    }
    let counts = (compared, files_in_all, refused);
    assert!(
        compared > 1500 && files_in_all > 5000 && refused > 10,
        "{counts:?}"
    );
}
