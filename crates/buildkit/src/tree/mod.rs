//! Writes a file tree below one folder, and nowhere else: no name of it leads out, no symbolic
//! link that is there is followed, and a file shows up whole or not at all.

mod attributes;
mod draft;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, futimens, linkat, mkdirat, mknodat, openat, renameat,
    statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

pub(crate) use attributes::Attributes;
use attributes::{set_xattrs, times};
pub(crate) use draft::Draft;

use crate::name;
use crate::{Error, Result};

/// A named pipe or a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) kind: FileType,
    /// A device's number; 0 for a pipe.
    pub(crate) device: u64,
}

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
        let made = match kind(&folder, &name) {
            Ok(FileType::Directory) => Ok(()),
            Ok(_) => unlinkat(&folder, &name, AtFlags::empty())
                .and_then(|()| mkdirat(&folder, &name, Mode::RWXU)),
            Err(Errno::NOENT) => mkdirat(&folder, &name, Mode::RWXU),
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
            name,
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
            symlinkat(name::to_system(target), folder, temporary)?;
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
        self.replace(path, |folder, temporary| {
            // Without AT_SYMLINK_FOLLOW, a link to a symbolic link is to that one itself.
            linkat(
                &target_folder,
                &target_name,
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
        node: Node,
        attributes: &Attributes,
    ) -> Result<()> {
        let mode = Mode::from_raw_mode(attributes.mode);
        self.replace(path, |folder, temporary| {
            mknodat(folder, temporary, node.kind, mode, node.device)?;
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
            let set = openat(&folder, &name, flags, Mode::empty()).and_then(|folder| {
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
        let done = make(&folder, &temporary).and_then(|()| rename(&folder, &temporary, &name));
        done.map_err(|error| {
            // It may not have been made at all.
            let _ = unlinkat(&folder, &*temporary, AtFlags::empty());
            self.failed(path, error)
        })
    }

    /// Opens the folder that a path is in, step by step, and returns it with the path's last part.
    fn parent(&mut self, path: &str) -> Result<(OwnedFd, OsString)> {
        let unsafe_path = |reason| Error::UnsafePath {
            path: path.to_owned(),
            reason,
        };
        check(path).map_err(unsafe_path)?;
        let (folder, last) = path.rsplit_once('/').unwrap_or(("", path));
        let name = name::to_system(last);
        let copied = |folder: &OwnedFd| {
            let copy = folder.try_clone();
            copy.map_err(|source| Error::Output {
                path: self.path.join(name::to_system(path)),
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
            opened = openat(&opened, name::to_system(part), flags, Mode::empty())
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
            path: self.path.join(name::to_system(path)),
            source: error.into(),
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
            ".." => return Err("it leaves its folder"),
            "" | "." => return Err("it is not clean"),
            _ => {}
        }
    }
    Ok(())
}

fn kind(folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Moves a file over what is there; an empty folder makes room, a full one does not.
fn rename(folder: &OwnedFd, from: &str, to: &OsStr) -> rustix::io::Result<()> {
    match renameat(folder, from, folder, to) {
        Err(Errno::ISDIR) => {
            unlinkat(folder, to, AtFlags::REMOVEDIR)?;
            renameat(folder, from, folder, to)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests;
