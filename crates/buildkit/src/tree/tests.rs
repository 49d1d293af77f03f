//! What a hostile daemon may ask for.

use super::*;
use proptest::prelude::*;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};

/// Something that a hostile daemon may ask for.
#[derive(Debug, Clone)]
enum Step {
    Folder(String),
    File(String),
    Symlink(String, String),
    Link(String, String),
    Pipe(String),
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        6 => "[abc]",
        1 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just(String::new()),
        2 => Just("out".to_owned()),
        1 => "\\PC{0,8}",
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    let target = prop_oneof![
        path(),
        Just("../../outside".to_owned()),
        Just("/".to_owned())
    ];
    prop_oneof![
        path().prop_map(Step::Folder),
        path().prop_map(Step::File),
        (path(), target).prop_map(|(path, target)| Step::Symlink(path, target)),
        (path(), path()).prop_map(|(path, target)| Step::Link(path, target)),
        path().prop_map(Step::Pipe),
    ]
}

fn take(tree: &mut Tree, step: Step) -> Result<()> {
    let attributes = Attributes {
        mode: 0o755,
        ..Attributes::default()
    };
    match step {
        Step::Folder(path) => tree.folder(&path, attributes),
        Step::File(path) => {
            let mut draft = tree.file(&path, attributes)?;
            draft.write(b"new").unwrap();
            tree.publish(draft)
        }
        Step::Symlink(path, target) => tree.symlink(&path, &target, 0),
        Step::Link(path, target) => tree.link(&path, &target),
        Step::Pipe(path) => {
            let (kind, device) = (FileType::Fifo, 0);
            tree.special(&path, Node { kind, device }, &attributes)
        }
    }
}

/// Lists all that can be seen of a folder from outside.
fn state(folder: &Path) -> Vec<String> {
    let mut state: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let (mode, links) = (metadata.mode(), metadata.nlink());
            let content = fs::read(entry.path()).ok();
            format!("{:?} {mode} {links} {content:?}", entry.file_name())
        })
        .collect();
    state.sort();
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_leaves_the_folder(steps in prop::collection::vec(step(), 1..30)) {
        let base = tempfile::tempdir().unwrap();
        let (dest, outside) = (base.path().join("dest"), base.path().join("outside"));
        for folder in [&dest, &outside] {
            fs::create_dir(folder).unwrap();
        }
        for name in ["a", "b", "victim"] {
            io::Write::write_all(&mut File::create_new(outside.join(name)).unwrap(), b"old")
                .unwrap();
        }
        symlink(&outside, dest.join("out")).unwrap();
        symlink(outside.join("victim"), dest.join("c")).unwrap();
        let before = (state(&outside), state(base.path()));
        let mut tree = Tree::open(&dest).unwrap();
        for step in steps {
            // Each is done within the folder or refused.
            let _ = take(&mut tree, step);
        }
        let _ = tree.finish();
        prop_assert_eq!(state(&outside), before.0);
        prop_assert_eq!(fs::read_dir(base.path()).unwrap().count(), 2);
    }
}

#[test]
fn refuses_paths_that_lead_out() {
    for path in [
        "", "/a", "..", "../a", "a/../b", "a//b", "./a", "a/", "a\0b",
    ] {
        assert!(check(path).is_err(), "{path:?}");
    }
    for path in ["a", "a/b", "...", "a..b/..c", ".git"] {
        assert!(check(path).is_ok(), "{path:?}");
    }
}
