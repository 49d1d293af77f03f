//! What sealift says when it stops: a kind, what failed, why, what to do. The kind alone decides
//! the exit code; docs/exit-codes.md is held against [`Kind::ALL`] by a test.

use std::fmt;
use std::io::ErrorKind;

/// What a failure is: the kinds that scripts can tell apart by their exit code.
pub use sealift_failure::Class as Kind;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// One failure, told once, at the top.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    excerpt: Option<String>,
    hints: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Failures beside this one.
    others: Vec<Error>,
}

impl Error {
    /// Makes an error that says what failed and where.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            excerpt: None,
            hints: Vec::new(),
            source: None,
            others: Vec::new(),
        }
    }

    /// Joins failures that stand side by side; the first decides the exit code. What several of them
    /// say in the same words, such as a disk too small for all images, is said once. Returns nothing
    /// where there are none.
    #[must_use]
    pub fn all(errors: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        let mut said = vec![first.render()];
        for error in errors {
            let text = error.render();
            if !said.contains(&text) {
                said.push(text);
                first.others.push(error);
            }
        }
        Some(first)
    }

    /// Returns the failures beside this one.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        &self.others
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds lines to show as they are: a Dockerfile's, a step's log.
    #[must_use]
    pub fn excerpt(mut self, lines: impl Into<String>) -> Self {
        self.excerpt = Some(lines.into());
        self
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Changes the kind, where it shows later that the failure is another one.
    #[must_use]
    pub const fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Returns what failed, without causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the causes, outermost first, each one that adds words to the one before.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = self
            .source
            .as_ref()
            .map(|source| &**source as &(dyn std::error::Error + 'static));
        while let Some(cause) = next {
            let text = cause.to_string();
            let told = |before: &str| before.contains(&text);
            if !told(&self.message) && !causes.last().is_some_and(|last| told(last)) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    /// Returns what failed and why as one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut parts = vec![self.message.clone()];
        parts.extend(self.causes());
        parts.join(": ").replace('\n', " ")
    }

    /// Returns the lines that are shown as they are.
    #[must_use]
    pub fn lines(&self) -> Option<&str> {
        self.excerpt.as_deref()
    }

    /// Returns what the user can do.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Returns the whole message as it is shown: what failed, why, the lines, what to do.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for cause in self.causes() {
            text.push_str(&format!(
                "  because: {}\n",
                cause.replace('\n', "\n           ")
            ));
        }
        if let Some(excerpt) = &self.excerpt {
            text.push('\n');
            text.push_str(excerpt.trim_end_matches('\n'));
            text.push_str("\n\n");
        }
        for hint in &self.hints {
            text.push_str(&format!("  try: {}\n", hint.replace('\n', "\n       ")));
        }
        for other in &self.others {
            text.push_str(&other.render());
        }
        text
    }
}

impl From<sealift_content::Error> for Error {
    fn from(error: sealift_content::Error) -> Self {
        use sealift_content::Error as Fault;
        let (kind, hint) = match &error {
            Fault::DiskFull { .. } => (Kind::Disk, Some("free space: sealift store gc")),
            Fault::NoInodes { .. } => (Kind::Disk, Some("remove files: sealift store gc")),
            Fault::Corrupt { .. } => (Kind::Corrupt, Some(HEAL)),
            Fault::NotFound { .. } | Fault::IncompleteImage { .. } => (Kind::Corrupt, Some(HEAL)),
            _ => (Kind::Local, system_error(&error).and_then(hint_for)),
        };
        let failed = Self::new(kind, "the content store failed").because(error);
        hint.into_iter().fold(failed, Self::hint)
    }
}

/// What helps where a part of an image is damaged or missing.
const HEAL: &str = "pull or build the image again: only what is missing is fetched";

/// Returns what helps where the system refuses a file of the store.
fn hint_for(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            Some("the store must be writable; another place for it: SEALIFT_HOME=FOLDER")
        }
        _ => None,
    }
}

/// Finds the failure of the system behind another one.
fn system_error(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_each_cause_once_and_hints_last() {
        let inner = Error::new(Kind::Config, "no route");
        let middle = Error::new(Kind::Network, "cannot reach a:80: no route").because(inner);
        let error = Error::new(Kind::Network, "cannot fetch x")
            .because(middle)
            .hint("wait");
        assert_eq!(
            error.render(),
            "error: cannot fetch x\n  because: cannot reach a:80: no route\n  try: wait\n"
        );
    }

    #[test]
    fn the_documentation_lists_them_in_order() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exit-codes.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("| "))
            .skip(2)
            .collect();
        assert_eq!(rows.len(), Kind::ALL.len());
        for (row, kind) in rows.iter().zip(Kind::ALL) {
            let start = format!("| {} | {} | ", kind.exit_code(), kind.as_str());
            assert!(
                row.starts_with(&start),
                "{row:?} does not start with {start:?}"
            );
        }
    }
}
