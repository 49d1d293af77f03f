//! Walks the wanted part of a folder in the order that the protocol wants: siblings by their
//! bytes, folders before what is in them.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::pattern::{Matched, Matcher};
use super::stat::Links;
use super::{Selection, Trouble};
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
    walker.folder(&selection.root, "", Verdict::default())
}

struct Walker<'a> {
    selection: &'a Selection,
    links: Links,
    /// The folders that we are in.
    folders: Vec<Folder>,
    visit: &'a mut dyn FnMut(Stat, &Path) -> bool,
}

/// A folder that we are in: told to the daemon when the first wanted thing in it is.
struct Folder {
    path: PathBuf,
    relative: String,
    metadata: Metadata,
    told: bool,
}

/// What the patterns say of a path.
#[derive(Default)]
struct Verdict {
    skip: bool,
    include: Option<Matched>,
    exclude: Option<Matched>,
}

impl Walker<'_> {
    fn folder(&mut self, path: &Path, relative: &str, verdict: Verdict) -> Result<(), Trouble> {
        let names = match names(path) {
            Ok(names) => names,
            Err(error) if has_gone(&error) => return Ok(()),
            // What is not wanted need not be readable.
            Err(error) if verdict.skip && error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(());
            }
            Err(error) => return Err(Trouble::io(path)(error)),
        };
        for name in names {
            let path = path.join(&name);
            let Some(name) = name.to_str() else {
                return Err(Trouble::Name { path });
            };
            let relative = if relative.is_empty() {
                name.to_owned()
            } else {
                format!("{relative}/{name}")
            };
            self.entry(path, relative, &verdict)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, relative: String, parent: &Verdict) -> Result<(), Trouble> {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if has_gone(&error) => return Ok(()),
            Err(error) => return Err(Trouble::io(&path)(error)),
        };
        let is_folder = metadata.is_dir();
        let (verdict, enter) = self.judge(&relative, is_folder, parent)?;
        let mut told = false;
        if !verdict.skip {
            self.tell_folders()?;
            told = true;
            if !self.tell(&path, &relative, &metadata)? {
                return Ok(());
            }
        }
        if is_folder && enter {
            self.folders.push(Folder {
                path: path.clone(),
                relative: relative.clone(),
                metadata,
                told,
            });
            self.folder(&path, &relative, verdict)?;
            self.folders.pop();
        }
        Ok(())
    }

    /// Tells whether a path is skipped, and whether a folder is entered all the same: something in
    /// it may be wanted.
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

    /// Tells of the folders that we are in and that nobody has been told of.
    fn tell_folders(&mut self) -> Result<(), Trouble> {
        for i in 0..self.folders.len() {
            let folder = &mut self.folders[i];
            if std::mem::replace(&mut folder.told, true) {
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

    /// Tells of a file; false where it went away.
    fn tell(&mut self, path: &Path, relative: &str, metadata: &Metadata) -> Result<bool, Trouble> {
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

/// Tells whether a pattern (one that takes back, where `exclusions`) may match something in a
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

fn has_gone(error: &io::Error) -> bool {
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
        stats.iter().map(|stat| stat.path.as_str()).collect()
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
        assert_eq!(stats[6].linkname, "a/z");
        assert!(crate::context::is_symlink(stats[6].mode));
        assert_eq!(stats[8].linkname, "top");
        assert!(stats.iter().all(|stat| stat.uid == 0 && stat.gid == 0));
    }

    const DIR_AND_PERMISSIONS: u32 = 1 << 31 | 0o777;

    #[test]
    fn tells_the_folders_of_what_is_wanted_only() {
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
        assert_eq!(stats[0].linkname, "");
    }
}
