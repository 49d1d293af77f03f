//! Resolves paths through the symbolic links of a context, so that a link travels together with
//! what it points to (fsutil, `FollowLinks`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::{Trouble, glob, path};
use crate::name;

/// Resolves paths, wildcards in them included, to all links on the way and all targets; `None`
/// where the root itself is one, so that everything is wanted.
///
/// No link leaves the root: an absolute one starts at it, and `..` ends at it.
pub(super) fn resolve(root: &Path, paths: &[String]) -> Result<Option<Vec<String>>, Trouble> {
    let mut resolver = Resolver {
        root,
        resolved: BTreeSet::new(),
    };
    // A list on the heap: a chain of links may be as long as a repository makes it.
    let mut waiting = paths.to_vec();
    while let Some(wanted) = waiting.pop() {
        resolver.add(&wanted, &mut waiting)?;
    }
    Ok(dedupe(resolver.resolved.into_iter().collect()))
}

/// Drops the paths that lie below the one before them; `None` where one is the root.
pub(super) fn dedupe(paths: Vec<String>) -> Option<Vec<String>> {
    let mut kept: Vec<String> = Vec::with_capacity(paths.len());
    for wanted in paths {
        if wanted == "." {
            return None;
        }
        let last = kept.last().map_or("", String::as_str);
        let below = wanted.strip_prefix(last);
        if below.is_some_and(|rest| rest.starts_with('/')) {
            continue;
        }
        kept.push(wanted);
    }
    Some(kept)
}

struct Resolver<'a> {
    root: &'a Path,
    resolved: BTreeSet<String>,
}

impl Resolver<'_> {
    /// Resolves a path up to the first links on it, whose targets have yet to be resolved.
    fn add(&mut self, wanted: &str, waiting: &mut Vec<String>) -> Result<(), Trouble> {
        // Joined to `.`, a rooted path is one of the context.
        let mut rest = path::join(".", wanted);
        let mut current = ".".to_owned();
        loop {
            let (first, after) = match rest.split_once('/') {
                Some((first, after)) => (first.to_owned(), after.to_owned()),
                None => (rest, String::new()),
            };
            current = path::join(&current, &first);
            rest = after;
            let targets = self.targets(&current)?;
            let ends = rest.is_empty() || targets.is_some();
            if ends && !self.resolved.insert(current.clone()) {
                return Ok(());
            }
            for target in targets.iter().flatten() {
                waiting.push(path::join(target, &rest));
            }
            if ends {
                return Ok(());
            }
        }
    }

    /// Returns where a link, or the links that a wildcard matches, point to; `None` where there is
    /// no link.
    fn targets(&self, wanted: &str) -> Result<Option<Vec<String>>, Trouble> {
        let last = path::base(wanted);
        if !has_wildcard(last) {
            return Ok(self.link(wanted)?.map(|target| vec![target]));
        }
        let folder = path::parent(wanted);
        let at = self.root.join(name::to_system(&folder));
        let entries = match fs::read_dir(&at) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Trouble::io(&at)(error)),
        };
        let mut targets = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Trouble::io(&at))?.file_name();
            let entry = name::of_system(&entry);
            if glob::matches(last, &entry).unwrap_or(false) {
                targets.extend(self.link(&path::join(&folder, &entry))?);
            }
        }
        targets.sort_unstable();
        Ok((!targets.is_empty()).then_some(targets))
    }

    /// Reads a link and returns its target as a path from the root.
    fn link(&self, wanted: &str) -> Result<Option<String>, Trouble> {
        if wanted == "." || wanted == "/" {
            return Ok(None);
        }
        let at = self.root.join(name::to_system(wanted));
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_symlink() => {}
            Ok(_) => return Ok(None),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Trouble::io(&at)(error)),
        }
        let target = fs::read_link(&at).map_err(Trouble::io(&at))?;
        let target = path::clean(&name::of_system(target.as_os_str()));
        if target.starts_with('/') {
            return Ok(Some(target));
        }
        let target = path::join(&path::parent(wanted), &target);
        Ok(Some(path::join("/", &target)))
    }
}

fn has_wildcard(name: &str) -> bool {
    let mut characters = name.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                characters.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn resolved(root: &Path, paths: &[&str]) -> Option<Vec<String>> {
        let paths: Vec<String> = paths.iter().map(|&text| text.to_owned()).collect();
        resolve(root, &paths).unwrap()
    }

    #[test]
    fn follows_links_inside_the_root_only() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("dir/sub")).unwrap();
        symlink("dir", at("one")).unwrap();
        symlink("/dir/sub", at("two")).unwrap();
        symlink("../../../../etc/passwd", at("out")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("../one/file", at("dir/back")).unwrap();
        let all = |paths: &[&str]| resolved(root.path(), paths).unwrap();
        assert_eq!(all(&["plain"]), ["plain"]);
        assert_eq!(all(&["one/file"]), ["dir/file", "one"]);
        assert_eq!(all(&["two"]), ["dir/sub", "two"]);
        assert_eq!(all(&["out"]), ["etc/passwd", "out"]);
        assert_eq!(all(&["loop/x"]), ["loop"]);
        assert_eq!(all(&["dir/back"]), ["dir/back", "dir/file", "one"]);
        assert_eq!(all(&["o*"]), ["dir", "etc/passwd", "o*"]);
        assert_eq!(all(&["a", "a/b", "ab"]), ["a", "ab"]);
        assert_eq!(resolved(root.path(), &["a", "."]), None);
    }
}
