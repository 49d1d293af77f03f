//! `sealift trust`: lets a project's sealift.toml say how registries are reached.

use std::path::PathBuf;

use clap::Args;
use sealift_content::write_private;
use sealift_network::project::{self, FILE_NAME};

use super::session::Session;
use crate::cli::network::{malformed, places};
use crate::error::{Error, Kind, Result};
use crate::file;

/// Options of `sealift trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The project's folder, or its sealift.toml
    #[arg(default_value = ".", value_name = "PATH")]
    path: PathBuf,
    /// Lists the projects that are trusted
    #[arg(long, conflicts_with_all = ["revoke", "path"])]
    list: bool,
    /// Stops trusting the project
    #[arg(long)]
    revoke: bool,
}

/// Runs `sealift trust`. Trust ends when the table, or a file that it names, changes.
///
/// # Errors
/// [`Kind::Usage`] where there is nothing to trust or to revoke; [`Kind::Config`] for a table that
/// cannot be understood; [`Kind::Local`] where trust cannot be kept.
pub fn run(args: &TrustArgs, session: &Session) -> Result<()> {
    let settings = &session.settings;
    let mut path = settings.working_directory.join(&args.path);
    if path.is_dir() {
        path.push(FILE_NAME);
    }
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    let places = places(settings, vec![path.clone()])?;
    let mut trust = places.trust.clone();
    let shown = path.display();
    let text = if args.list {
        let tables = trust.tables();
        tables
            .map(|(path, digest)| format!("{}  {digest}\n", path.display()))
            .collect()
    } else if args.revoke {
        if !trust.remove(&path) {
            return Err(Error::new(Kind::Usage, format!("{shown} is not trusted")));
        }
        format!("{shown} is no longer trusted\n")
    } else {
        let table = project::table(&places).map_err(malformed)?;
        let Some(table) = table else {
            let text = if path.exists() {
                format!("{shown} has no [network] table to trust")
            } else {
                format!("there is no {shown}")
            };
            return Err(Error::new(Kind::Usage, text));
        };
        let folder = path.parent().unwrap_or(&path);
        if trust.is_kept_below(folder) {
            let home = settings.home.display();
            let text = format!("{home} is part of the project, which could trust itself there");
            return Err(Error::new(Kind::Usage, text)
                .hint("set SEALIFT_HOME to a folder outside, or give --trust-project"));
        }
        trust.add(table.path, table.digest);
        let changes = table.changes.iter();
        let changes: String = changes.map(|change| format!("  {change}\n")).collect();
        format!("{shown} is trusted. It sets\n{changes}")
    };
    if !args.list {
        let file = settings.trust();
        let bytes = serde_json::to_vec_pretty(&trust).map_err(std::io::Error::from);
        let written = bytes.and_then(|bytes| write_private(&file, &bytes));
        written.map_err(|error| file::failed("write", &file, error))?;
    }
    session.terminal.result(&text);
    Ok(())
}
