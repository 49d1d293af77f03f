//! Walks the wanted part of a folder in the order that the protocol wants: siblings by their
//! bytes, folders before what is in them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::pattern::{Matched, Matcher};
use super::stat::Links;
use super::{Selection, Trouble};
use crate::name;
use crate::proto::fsutil::Stat;

/// Walks, and gives each wanted file's description and path to `visit`, which returns false to
/// stop. Files that go away meanwhile are left out.
pub(crate) fn walk(
    selection: &Selection,
    visit: &mut dyn FnMut(Stat, &Path) -> bool,
) -> Result<(), Trouble> {
    let mut walker = Walker {
        selection,
        links: Links::default(),
        folders: Vec::new(),
        visit,
    };
    let root = fs::symlink_metadata(&selection.root).map_err(Trouble::io(&selection.root))?;
    walker.enter(Folder {
        path: selection.root.clone(),
        relative: String::new(),
        metadata: root,
        sent: true,
        verdict: Verdict::default(),
        names: Vec::new().into_iter(),
    })?;
    while let Some(folder) = walker.folders.last_mut() {
        match folder.names.next() {
            Some(name) => walker.entry(&name)?,
            None => drop(walker.folders.pop()),
        }
    }
    Ok(())
}

struct Walker<'a> {
    selection: &'a Selection,
    links: Links,
    /// The folders that we are in, on the heap: a context may be as deep as paths can be long.
    folders: Vec<Folder>,
    visit: &'a mut dyn FnMut(Stat, &Path) -> bool,
}

/// A folder that we are in.
struct Folder {
    path: PathBuf,
    relative: String,
    metadata: Metadata,
    /// The daemon knows it; it gets to know it with the first wanted thing in it.
    sent: bool,
    verdict: Verdict,
    /// What has not been looked at.
    names: std::vec::IntoIter<OsString>,
}

/// What the patterns say of a path.
#[derive(Default)]
struct Verdict {
    skip: bool,
    include: Option<Matched>,
    exclude: Option<Matched>,
}

impl Walker<'_> {
    fn enter(&mut self, mut folder: Folder) -> Result<(), Trouble> {
        match names(&folder.path) {
            Ok(names) => {
                folder.names = names.into_iter();
                self.folders.push(folder);
                Ok(())
            }
            Err(error) if has_gone(&error) => Ok(()),
            // What is not wanted need not be readable.
            Err(error)
                if folder.verdict.skip && error.kind() == io::ErrorKind::PermissionDenied =>
            {
                Ok(())
            }
            Err(error) => Err(Trouble::io(&folder.path)(error)),
        }
    }

    fn entry(&mut self, file: &OsStr) -> Result<(), Trouble> {
        let Some(parent) = self.folders.last() else {
            return Ok(());
        };
        let path = parent.path.join(file);
        let mut relative = name::of_system(file);
        if !parent.relative.is_empty() {
            relative = format!("{}/{relative}", parent.relative);
        }
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if has_gone(&error) => return Ok(()),
            Err(error) => return Err(Trouble::io(&path)(error)),
        };
        let is_folder = metadata.is_dir();
        let (verdict, enter) = self.judge(&relative, is_folder, &parent.verdict)?;
        let sent = !verdict.skip;
        if sent {
            self.send_folders()?;
            if !self.send(&path, &relative, &metadata)? {
                return Ok(());
            }
        }
        if is_folder && enter {
            self.enter(Folder {
                path,
                relative,
                metadata,
                sent,
                verdict,
                names: Vec::new().into_iter(),
            })?;
        }
        Ok(())
    }

    /// Returns what the patterns say of a path, and whether a folder is entered although it is
    /// skipped: something in it may be wanted.
    fn judge(
        &self,
        relative: &str,
        is_folder: bool,
        parent: &Verdict,
    ) -> Result<(Verdict, bool), Trouble> {
        let mut verdict = Verdict::default();
        let mut enter = true;
        if let Some(include) = &self.selection.include {
            let (matched, all) = include.matches(relative, parent.include.as_ref())?;
            verdict.include = Some(all);
            if !matched {
                verdict.skip = true;
                enter &= !is_folder || may_match_below(include, relative, false);
            }
        }
        if let Some(exclude) = self.selection.exclude.as_ref().filter(|_| enter) {
            let (matched, all) = exclude.matches(relative, parent.exclude.as_ref())?;
            verdict.exclude = Some(all);
            if matched {
                verdict.skip = true;
                enter &= !is_folder || may_match_below(exclude, relative, true);
            }
        }
        Ok((verdict, enter))
    }

    /// Sends the folders that we are in and that the daemon does not know.
    fn send_folders(&mut self) -> Result<(), Trouble> {
        for i in 0..self.folders.len() {
            let folder = &mut self.folders[i];
            if std::mem::replace(&mut folder.sent, true) {
                continue;
            }
            let folder = &self.folders[i];
            let stat = self
                .links
                .stat(&folder.path, &folder.relative, &folder.metadata)?;
            if !(self.visit)(stat, &folder.path) {
                return Err(Trouble::Gone);
            }
        }
        Ok(())
    }

    /// Sends a file's description; false where it went away.
    fn send(&mut self, path: &Path, relative: &str, metadata: &Metadata) -> Result<bool, Trouble> {
        let stat = match self.links.stat(path, relative, metadata) {
            Ok(stat) => stat,
            Err(Trouble::Io { source, .. }) if has_gone(&source) => return Ok(false),
            Err(error) => return Err(error),
        };
        if (self.visit)(stat, path) {
            Ok(true)
        } else {
            Err(Trouble::Gone)
        }
    }
}

/// Returns whether a pattern (one that takes back, where `exclusions`) may match something in a
/// folder that itself does not match. A pattern with wildcards may always.
fn may_match_below(matcher: &Matcher, folder: &str, exclusions: bool) -> bool {
    let relevant = || {
        let patterns = matcher.patterns().iter();
        patterns.filter(move |pattern| pattern.is_exclusion() == exclusions)
    };
    if relevant().any(|pattern| !pattern.is_plain()) {
        return true;
    }
    let inside = format!("{folder}/");
    relevant().any(|pattern| format!("{}/", pattern.without_trailing_glob()).starts_with(&inside))
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let entries = fs::read_dir(folder)?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Returns whether a file has gone since it was seen.
pub(crate) fn has_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Wanted;
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["a/b", "a-b", "node_modules/x", "src/deep"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "a/b/c",
            "a/z",
            "a-b/f",
            "top",
            "node_modules/x/y",
            "src/m.rs",
            "src/deep/n.rs",
            "src/deep/n.md",
        ] {
            fs::OpenOptions::new()
                .create_new(true)
                .write(true)
                .open(at(file))
                .unwrap();
        }
        symlink("a/z", at("link")).unwrap();
        fs::hard_link(at("top"), at("top2")).unwrap();
        root
    }

    fn walked(root: &Path, include: &[&str], exclude: &[&str], follow: &[&str]) -> Vec<Stat> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let wanted = Wanted {
            include: owned(include),
            exclude: owned(exclude),
            follow: (!follow.is_empty()).then(|| owned(follow)),
        };
        let selection = Selection::new(root, wanted).unwrap();
        let mut stats = Vec::new();
        let mut visit = |stat: Stat, _: &Path| {
            stats.push(stat);
            true
        };
        walk(&selection, &mut visit).unwrap();
        stats
    }

    fn paths(stats: &[Stat]) -> Vec<&str> {
        let text = |stat| std::str::from_utf8(stat).unwrap();
        stats.iter().map(|stat| text(&stat.path)).collect()
    }

    #[test]
    fn walks_folders_first_and_siblings_by_bytes() {
        let root = tree();
        let stats = walked(root.path(), &[], &["node_modules", "src"], &[]);
        assert_eq!(
            paths(&stats),
            [
                "a", "a/b", "a/b/c", "a/z", "a-b", "a-b/f", "link", "top", "top2"
            ]
        );
        assert_eq!(
            stats[0].mode & DIR_AND_PERMISSIONS,
            DIR_AND_PERMISSIONS & (1 << 31 | 0o755)
        );
        assert_eq!(stats[6].linkname, b"a/z");
        assert!(crate::context::is_symlink(stats[6].mode));
        assert_eq!(stats[8].linkname, b"top");
    }

    const DIR_AND_PERMISSIONS: u32 = 1 << 31 | 0o777;

    #[test]
    fn sends_the_folders_of_what_is_wanted_only() {
        let root = tree();
        let only = walked(root.path(), &["src/**/*.rs"], &[], &[]);
        assert_eq!(
            paths(&only),
            ["src", "src/deep", "src/deep/n.rs", "src/m.rs"]
        );
        let back = walked(root.path(), &[], &["*", "!src/deep/n.md"], &[]);
        assert_eq!(paths(&back), ["src", "src/deep", "src/deep/n.md"]);
        let both = walked(root.path(), &["src"], &["**/*.md"], &[]);
        assert_eq!(
            paths(&both),
            ["src", "src/deep", "src/deep/n.rs", "src/m.rs"]
        );
        let followed = walked(root.path(), &[], &[], &["link"]);
        assert_eq!(paths(&followed), ["a", "a/z", "link"]);
    }

    #[test]
    fn a_link_to_a_file_that_is_left_out_is_a_file() {
        let root = tree();
        let stats = walked(root.path(), &["top2"], &[], &[]);
        assert_eq!(paths(&stats), ["top2"]);
        assert_eq!(stats[0].linkname, b"");
    }

    /// Makes folders named `d` in each other; each is made from the one above it, so that their path
    /// may be longer than the system takes.
    fn deep(root: &Path, depth: usize) {
        use rustix::fs::{Mode, OFlags, mkdirat, openat};
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::open(root, flags, Mode::empty()).unwrap();
        for _ in 0..depth {
            mkdirat(&folder, "d", Mode::RWXU).unwrap();
            folder = openat(&folder, "d", flags, Mode::empty()).unwrap();
        }
    }

    #[test]
    fn depth_is_bounded_by_the_length_of_paths_alone() {
        let root = tempfile::tempdir().unwrap();
        deep(root.path(), 1900);
        // As little stack as a thread may have.
        let walked = |root: PathBuf| {
            let thread = std::thread::Builder::new().stack_size(128 << 10);
            let walk = move || {
                let selection = Selection::new(&root, Wanted::default())?;
                let mut count = 0;
                walk(&selection, &mut |_, _| {
                    count += 1;
                    true
                })?;
                Ok::<_, Trouble>(count)
            };
            thread.spawn(walk).unwrap().join().unwrap()
        };
        assert_eq!(walked(root.path().to_owned()).unwrap(), 1900);
        let deeper = tempfile::tempdir().unwrap();
        deep(deeper.path(), 5000);
        let error = walked(deeper.path().to_owned()).unwrap_err().to_string();
        assert!(
            error.contains("folders deep): File name too long"),
            "{error}"
        );
        assert!(error.len() < 300, "{error}");
    }

    #[test]
    fn a_chain_of_links_is_as_long_as_it_likes() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..3000 {
            let target = format!("{}", number + 1);
            symlink(target, root.path().join(number.to_string())).unwrap();
        }
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        let path = root.path().to_owned();
        let walk = move || walked(&path, &[], &[], &["0"]).len();
        assert_eq!(thread.spawn(walk).unwrap().join().unwrap(), 3000);
    }

    #[test]
    fn names_that_are_no_text_are_sent_as_they_are() {
        use std::os::unix::ffi::OsStrExt as _;
        let root = tree();
        let at = |name: &[u8]| root.path().join(OsStr::from_bytes(name));
        fs::rename(at(b"a-b"), at(b"a-b\xff")).unwrap();
        symlink(OsStr::from_bytes(b"a-b\xff/f"), at(b"caf\xe9")).unwrap();
        let stats = walked(root.path(), &["a-b*", "top"], &[], &["caf?"]);
        let paths: Vec<&[u8]> = stats.iter().map(|stat| stat.path.as_slice()).collect();
        let wanted: [&[u8]; 4] = [b"a-b\xff", b"a-b\xff/f", b"caf\xe9", b"top"];
        assert_eq!(paths, wanted);
        assert_eq!(stats[2].linkname, b"a-b\xff/f");
    }
}
