//! The only reader of the environment: one snapshot of it, and the places that follow from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// What the machine and its user decide, resolved once at the start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Variables, as they were at the start.
    pub environment: BTreeMap<String, String>,
    /// The folder that the command was started in.
    pub working_directory: PathBuf,
    /// Where all state of this user lives: `$SEALIFT_HOME`, else `$XDG_CACHE_HOME/sealift`, else
    /// `~/.cache/sealift`.
    pub home: PathBuf,
    /// The path of this program, for what lies beside it.
    pub program: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Kind::Usage`] where no home folder can be found, or the working folder is gone.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads them"
    )]
    pub fn read() -> Result<Self> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let working_directory = std::env::current_dir().map_err(|error| {
            Error::new(Kind::Local, "cannot tell the current folder").because(error)
        })?;
        Self::from_environment(environment, working_directory, std::env::current_exe().ok())
    }

    fn from_environment(
        environment: BTreeMap<String, String>,
        working_directory: PathBuf,
        program: Option<PathBuf>,
    ) -> Result<Self> {
        let folder = |name: &str| {
            let value = environment.get(name).filter(|value| !value.is_empty())?;
            Some(PathBuf::from(value))
        };
        let home = folder("SEALIFT_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("sealift")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/sealift")))
            .ok_or_else(|| {
                Error::new(Kind::Usage, "no place for the store: HOME is not set")
                    .hint("set SEALIFT_HOME to a folder")
            })?;
        let home = working_directory.join(home);
        Ok(Self {
            environment,
            working_directory,
            home,
            program,
        })
    }

    /// Returns a variable that is set, be it to nothing.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// Returns a variable that is set and not empty, for those whose convention takes an empty one
    /// for an unset one: `XDG_*`, `PATH`, `HOME`, `NO_COLOR`, docker's and BuildKit's.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }

    /// Returns the store's folder.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// Returns the folder of the managed builder.
    #[must_use]
    pub fn builder(&self) -> PathBuf {
        self.home.join("builder")
    }

    /// Returns the folder of what is remembered of the network: tokens, health of endpoints.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.home.join("network")
    }

    /// Returns the file that says which projects are trusted.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.network().join("trust.json")
    }

    /// Returns the user's home folder.
    #[must_use]
    pub fn user_home(&self) -> Option<&Path> {
        self.variable("HOME").map(Path::new)
    }

    /// Returns what the user's terminal can do, and whether colour is wanted (no-color.org).
    #[must_use]
    pub fn screen(&self) -> Screen {
        let terminal = self.variable("TERM");
        Screen {
            moves: terminal.is_some_and(|name| name != "dumb"),
            colour: self.variable("NO_COLOR").is_none(),
        }
    }
}

/// What a terminal can do, where there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Screen {
    /// Whether its cursor can be moved.
    pub moves: bool,
    /// Whether colours are wanted.
    pub colour: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings> {
        let environment = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Settings::from_environment(environment, "/here".into(), None)
    }

    fn home(variables: &[(&str, &str)]) -> Result<PathBuf> {
        settings(variables).map(|settings| settings.home)
    }

    #[test]
    fn a_dumb_terminal_gets_lines_and_no_color_no_colours() {
        for (variables, moves, colour) in [
            (vec![("TERM", "xterm")], true, true),
            (vec![("TERM", "xterm"), ("NO_COLOR", "")], true, true),
            (vec![("TERM", "xterm"), ("NO_COLOR", "1")], true, false),
            (vec![("TERM", "dumb")], false, true),
            (vec![], false, true),
        ] {
            let given = [vec![("HOME", "/h")], variables].concat();
            let screen = settings(&given).unwrap().screen();
            assert_eq!(screen, Screen { moves, colour }, "{given:?}");
        }
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_has_a_value() {
        let settings = settings(&[("HOME", "/h"), ("A", "")]).unwrap();
        assert_eq!(
            (settings.value("A"), settings.variable("A")),
            (Some(""), None)
        );
        assert_eq!(settings.value("B"), None);
    }

    #[test]
    fn the_store_moves_with_the_environment() {
        assert_eq!(
            home(&[("HOME", "/h")]).unwrap(),
            Path::new("/h/.cache/sealift")
        );
        let xdg = home(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]).unwrap();
        assert_eq!(xdg, Path::new("/c/sealift"));
        let own = home(&[
            ("HOME", "/h"),
            ("XDG_CACHE_HOME", "/c"),
            ("SEALIFT_HOME", "s"),
        ])
        .unwrap();
        assert_eq!(own, Path::new("/here/s"));
        assert!(home(&[("SEALIFT_HOME", "")]).is_err());
    }
}
