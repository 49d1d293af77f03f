//! Writes a file tree below one folder, and nowhere else: no name of it leads out, no symbolic
//! link that is there is followed, and a file shows up whole or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags, fchmod, fsetxattr, futimens,
    linkat, mkdirat, mknodat, openat, renameat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::{Error, Result};

/// A folder that a tree is written to.
#[derive(Debug)]
pub(crate) struct Tree {
    path: PathBuf,
    root: OwnedFd,
    /// The folder that was used last, which is mostly the next one.
    last: Option<(String, OwnedFd)>,
    /// Counts temporary names.
    temporaries: u64,
    /// Folders whose modes and times are set at the end: what is written in them changes both.
    folders: Vec<(String, Attributes)>,
}

/// What a file has beside its content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    /// Permissions, set-id and sticky bits, as in `st_mode`.
    pub(crate) mode: u32,
    /// Time of modification, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// Extended attributes.
    pub(crate) xattrs: HashMap<String, Vec<u8>>,
}

/// A file that is being written, under a temporary name.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    folder: OwnedFd,
    temporary: String,
    name: String,
    path: String,
    attributes: Attributes,
    published: bool,
}

impl Tree {
    /// Opens a folder, which is made where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::Output {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(failed)?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        Ok(Self {
            path: path.to_owned(),
            root: root.map_err(|error| failed(error.into()))?,
            last: None,
            temporaries: 0,
            folders: Vec::new(),
        })
    }

    /// Makes a folder; one that is there stays, with what is in it.
    pub(crate) fn folder(&mut self, path: &str, attributes: Attributes) -> Result<()> {
        let (folder, name) = self.parent(path)?;
        let made = match kind(&folder, name) {
            Ok(FileType::Directory) => Ok(()),
            Ok(_) => unlinkat(&folder, name, AtFlags::empty())
                .and_then(|()| mkdirat(&folder, name, Mode::RWXU)),
            Err(Errno::NOENT) => mkdirat(&folder, name, Mode::RWXU),
            Err(error) => Err(error),
        };
        made.map_err(|error| self.failed(path, error))?;
        self.folders.push((path.to_owned(), attributes));
        Ok(())
    }

    /// Begins a file.
    pub(crate) fn file(&mut self, path: &str, attributes: Attributes) -> Result<Draft> {
        let temporary = self.temporary();
        let (folder, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = openat(
            &folder,
            &*temporary,
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        );
        let file = file.map_err(|error| self.failed(path, error))?;
        Ok(Draft {
            file: file.into(),
            folder,
            temporary,
            name: name.to_owned(),
            path: path.to_owned(),
            attributes,
            published: false,
        })
    }

    /// Ends a file: it gets its name.
    pub(crate) fn publish(&self, mut draft: Draft) -> Result<()> {
        let done = draft.publish();
        done.map_err(|error| self.failed(&draft.path, error))
    }

    /// Makes a symbolic link. Where it points to is its reader's business: we never follow it.
    pub(crate) fn symlink(&mut self, path: &str, target: &str, modified: i64) -> Result<()> {
        self.replace(path, |folder, temporary| {
            symlinkat(target, folder, temporary)?;
            utimensat(
                folder,
                temporary,
                &times(modified),
                AtFlags::SYMLINK_NOFOLLOW,
            )
        })
    }

    /// Makes a second name for a file that was written before.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let (target_folder, target_name) = self.parent(target)?;
        let target_name = target_name.to_owned();
        self.replace(path, |folder, temporary| {
            // Without AT_SYMLINK_FOLLOW, a link to a symbolic link is to that one itself.
            linkat(
                &target_folder,
                &*target_name,
                folder,
                temporary,
                AtFlags::empty(),
            )
        })
    }

    /// Makes a named pipe or a device.
    pub(crate) fn special(
        &mut self,
        path: &str,
        (kind, device): (FileType, u64),
        attributes: &Attributes,
    ) -> Result<()> {
        let mode = Mode::from_raw_mode(attributes.mode);
        self.replace(path, |folder, temporary| {
            mknodat(folder, temporary, kind, mode, device)?;
            let times = times(attributes.modified);
            utimensat(folder, temporary, &times, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Sets the modes and times of the folders that were made.
    pub(crate) fn finish(mut self) -> Result<()> {
        let folders = std::mem::take(&mut self.folders);
        // The innermost first: a folder that nobody may enter keeps us out.
        for (path, attributes) in folders.iter().rev() {
            let (folder, name) = self.parent(path)?;
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let set = openat(&folder, name, flags, Mode::empty()).and_then(|folder| {
                fchmod(&folder, Mode::from_raw_mode(attributes.mode))?;
                set_xattrs(&folder, &attributes.xattrs);
                futimens(&folder, &times(attributes.modified))
            });
            set.map_err(|error| self.failed(path, error))?;
        }
        Ok(())
    }

    /// Makes something under a temporary name and moves it in place of what is there.
    fn replace(
        &mut self,
        path: &str,
        make: impl FnOnce(&OwnedFd, &str) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let temporary = self.temporary();
        let (folder, name) = self.parent(path)?;
        let done = make(&folder, &temporary).and_then(|()| rename(&folder, &temporary, name));
        done.map_err(|error| {
            // It may not have been made at all.
            let _ = unlinkat(&folder, &*temporary, AtFlags::empty());
            self.failed(path, error)
        })
    }

    /// Opens the folder that a path is in, step by step, and returns it with the path's last part.
    fn parent<'a>(&mut self, path: &'a str) -> Result<(OwnedFd, &'a str)> {
        let unsafe_path = |reason| Error::UnsafePath {
            path: path.to_owned(),
            reason,
        };
        check(path).map_err(unsafe_path)?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let copied = |folder: &OwnedFd| {
            let copy = folder.try_clone();
            copy.map_err(|source| Error::Output {
                path: self.path.join(path),
                source,
            })
        };
        match &self.last {
            Some((last, opened)) if last == folder => return Ok((copied(opened)?, name)),
            _ => {}
        }
        let mut opened = copied(&self.root)?;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            opened = openat(&opened, part, flags, Mode::empty())
                .map_err(|error| self.failed(path, error))?;
        }
        self.last = Some((folder.to_owned(), copied(&opened)?));
        Ok((opened, name))
    }

    fn temporary(&mut self) -> String {
        self.temporaries += 1;
        let (process, number) = (std::process::id(), self.temporaries);
        format!(".sealift-{process}-{number}.tmp")
    }

    fn failed(&self, path: &str, error: Errno) -> Error {
        Error::Output {
            path: self.path.join(path),
            source: error.into(),
        }
    }
}

impl Draft {
    /// Returns its path in the tree.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn publish(&mut self) -> rustix::io::Result<()> {
        set_xattrs(&self.file, &self.attributes.xattrs);
        fchmod(&self.file, Mode::from_raw_mode(self.attributes.mode))?;
        futimens(&self.file, &times(self.attributes.modified))?;
        rename(&self.folder, &self.temporary, &self.name)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // A left-over with a name like ours does no harm.
            let _ = unlinkat(&self.folder, &*self.temporary, AtFlags::empty());
        }
    }
}

/// Checks that a path stays below its root: relative, clean, without `..`.
pub(crate) fn check(path: &str) -> std::result::Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("it is absolute");
    }
    if path.contains('\0') {
        return Err("it has a zero byte");
    }
    for part in path.split('/') {
        match part {
            ".." => return Err("it leads out of its folder"),
            "" | "." => return Err("it is not clean"),
            _ => {}
        }
    }
    Ok(())
}

fn kind(folder: &OwnedFd, name: &str) -> rustix::io::Result<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Moves a file over what is there; an empty folder makes room, a full one does not.
fn rename(folder: &OwnedFd, from: &str, to: &str) -> rustix::io::Result<()> {
    match renameat(folder, from, folder, to) {
        Err(Errno::ISDIR) => {
            unlinkat(folder, to, AtFlags::REMOVEDIR)?;
            renameat(folder, from, folder, to)
        }
        done => done,
    }
}

/// Sets what the file system and our rights allow.
fn set_xattrs(file: &impl std::os::fd::AsFd, xattrs: &HashMap<String, Vec<u8>>) {
    for (name, value) in xattrs {
        let set = fsetxattr(file, &**name, value, XattrFlags::empty());
        if let Err(error) = set {
            tracing::debug!(name, %error, "an extended attribute is not set");
        }
    }
}

fn times(modified: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: modified.div_euclid(1_000_000_000),
        tv_nsec: modified.rem_euclid(1_000_000_000),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
            Step::Pipe(path) => tree.special(&path, (FileType::Fifo, 0), &attributes),
        }
    }

    /// Tells all that can be seen of a folder from outside.
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
}
