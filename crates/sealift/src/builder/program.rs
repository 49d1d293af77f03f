//! The programs of the managed builder: buildkitd, and runc for its steps.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Kind, Result};
use crate::file;

/// Where a system has its programs.
const STANDARD: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How many files a daemon may have open.
const FILES: u64 = 1 << 20;
/// The names under which buildkitd looks for runc.
const RUNC: [&str; 2] = ["buildkit-runc", "runc"];

/// What a managed builder is run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// buildkitd.
    pub buildkitd: PathBuf,
    /// The PATH that it gets: the folders of these programs, then the system's. It is not the
    /// caller's, as the next caller's may be another one.
    pub path: String,
}

/// Finds buildkitd on PATH, else in a `.tools/bin` beside or above our own program, where nobody
/// else can have put it; nothing where there is none.
///
/// # Errors
/// [`Kind::Builder`] if there is no runc for it.
pub fn find(path: &str, own: Option<&Path>) -> Result<Option<Programs>> {
    find_beside(path, own, STANDARD)
}

fn find_beside(path: &str, own: Option<&Path>, standard: &str) -> Result<Option<Programs>> {
    // Not in the folder that we are started in: whoever wrote that would choose our builder.
    let tools = own.iter().flat_map(|own| own.ancestors());
    let tools = tools.map(|folder| folder.join(".tools/bin"));
    let tools: Vec<PathBuf> = tools
        .filter(|folder| file::is_trusted(&folder.join("buildkitd")))
        .collect();
    let folders: Vec<PathBuf> = std::env::split_paths(path).chain(tools).collect();
    let Some(buildkitd) = program(&folders, "buildkitd") else {
        return Ok(None);
    };
    let beside = buildkitd.parent().map(Path::to_owned);
    let mut places: Vec<PathBuf> = beside.into_iter().chain(folders).collect();
    places.extend(std::env::split_paths(standard));
    let Some(runc) = RUNC.iter().find_map(|name| program(&places, name)) else {
        let text = format!("{} needs runc, which was not found", buildkitd.display());
        return Err(Error::new(Kind::Builder, text)
            .hint("install runc on PATH (Debian: apt-get install runc)")
            .hint("or name a builder that runs: --builder ADDRESS"));
    };
    let mut path = String::new();
    for folder in [&buildkitd, &runc]
        .into_iter()
        .filter_map(|file| file.parent())
    {
        path.push_str(&format!("{}:", folder.display()));
    }
    path.push_str(standard);
    Ok(Some(Programs { buildkitd, path }))
}

/// Finds a program; a folder that is not named in full would be anybody's.
fn program(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    let absolute = folders.iter().filter(|folder| folder.is_absolute());
    absolute.map(|folder| folder.join(name)).find(|file| {
        let mode = file
            .metadata()
            .map(|there| (there.is_file(), there.permissions().mode()));
        mode.is_ok_and(|(is_file, mode)| is_file && mode & 0o111 != 0)
    })
}

/// Runs `start` with the limit of open files that a daemon needs, whatever our caller has: a child
/// gets ours.
pub(super) fn with_many_files<T>(start: impl FnOnce() -> T) -> T {
    let own = getrlimit(Resource::Nofile);
    let more = |hard| Rlimit {
        current: hard,
        maximum: hard,
    };
    // Only root may raise the hard limit.
    if setrlimit(Resource::Nofile, more(Some(FILES))).is_err() {
        let _kept = setrlimit(Resource::Nofile, more(own.maximum));
    }
    let started = start();
    let _restored = setrlimit(Resource::Nofile, own);
    started
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(folder: &Path, name: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn buildkitd_comes_from_path_or_from_tools_that_nobody_else_can_write() {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join(".tools/bin");
        let own = folder.path().join("target/debug/sealift");
        let beside = put(&tools, "buildkitd");
        put(&tools, "runc");
        let found = |path: &str| find(path, Some(&own)).unwrap().map(|found| found.buildkitd);
        assert_eq!(found(""), Some(beside));
        let bin = folder.path().join("bin");
        let on_path = put(&bin, "buildkitd");
        assert_eq!(found(&format!(".:{}", bin.display())), Some(on_path));
        fs::set_permissions(&tools, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(found(""), None);
        fs::set_permissions(&tools, fs::Permissions::from_mode(0o755)).unwrap();
        if file::us() == 0 {
            std::os::unix::fs::chown(&tools, Some(12345), None).unwrap();
            assert_eq!(found(""), None);
        }
    }

    #[test]
    fn a_missing_runc_is_named_before_anything_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let program = put(folder.path(), "buildkitd");
        let path = folder.path().to_str().unwrap();
        let error = find_beside(path, None, "").unwrap_err();
        assert_eq!(
            error.render(),
            format!(
                "error: {} needs runc, which was not found\n  try: install runc on PATH (Debian: apt-get \
                 install runc)\n  try: or name a builder that runs: --builder ADDRESS\n",
                program.display()
            )
        );
    }

    #[test]
    fn the_daemon_gets_a_path_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        put(&bin, "buildkitd");
        put(&bin, "buildkit-runc");
        let path = format!("/opt/theirs:{}", bin.display());
        let found = find(&path, None).unwrap().unwrap();
        let bin = bin.display();
        assert_eq!(found.path, format!("{bin}:{bin}:{STANDARD}"));
    }

    #[test]
    fn a_daemon_may_open_many_files_whatever_we_may() {
        let limit = || getrlimit(Resource::Nofile);
        let (before, inside) = (limit(), with_many_files(limit));
        assert!(inside.current >= before.current && inside.current == inside.maximum);
        assert_eq!(limit().current, before.current);
    }
}
