//! `sealift store`: what is in the store, whether it is whole, and what can go.

use std::time::Duration;

use clap::{Args, Subcommand};
use sealift_content::{Corrupt, Repair, Store};
use sealift_oci::{Descriptor, Reference};
use serde::Serialize;

use super::session::{Session, json};
use crate::cli::parse_duration;
use crate::error::{Error, Kind, Result};
use crate::prefetch::inventory;
use crate::size::{self, columns};

/// The commands of `sealift store`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Lists the images in the store
    Ls(LsArgs),
    /// Reads every blob and checks its digest
    Verify(VerifyArgs),
    /// Removes what no image needs
    Gc(GcArgs),
    /// Removes images by name
    Rm(RmArgs),
}

/// Options of `sealift store ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Options of `sealift store verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Removes damaged blobs, so that the next build fetches them again
    #[arg(long)]
    repair: bool,
}

/// Options of `sealift store gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Keeps everything younger than this
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    grace: Duration,
}

/// Options of `sealift store rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The images' names
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<Reference>,
}

/// One image of the store, as `ls --json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    digest: String,
    platforms: Vec<String>,
    size: u64,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs one of them.
///
/// # Errors
/// [`Kind::Corrupt`] where `verify` finds damage; [`Kind::Absent`] where `rm` knows no such name;
/// [`Kind::Local`] and [`Kind::Disk`] where the store can't be used.
pub async fn run(command: StoreCommand, session: &Session) -> Result<()> {
    let store = session.store()?;
    let outcome = tokio::task::spawn_blocking(move || match command {
        StoreCommand::Ls(args) => list(&store, &args),
        StoreCommand::Verify(args) => verify(&store, &args),
        StoreCommand::Gc(args) => gc(&store, &args),
        StoreCommand::Rm(args) => remove(&store, &args),
    });
    let text = outcome.await.map_err(|error| {
        Error::new(Kind::Local, "the store's task ended early").because(error)
    })??;
    session.terminal.result(&text);
    Ok(())
}

fn list(store: &Store, args: &LsArgs) -> Result<String> {
    let mut rows = Vec::new();
    for (reference, root) in store.names()? {
        let (content, error) = match describe(store, &root) {
            Ok(content) => (content, None),
            Err(error) => {
                let cause = error.causes().pop().unwrap_or_else(|| error.to_string());
                (Default::default(), Some(cause))
            }
        };
        let (platforms, size) = content;
        rows.push(Row {
            name: reference.to_string(),
            digest: root.digest.to_string(),
            platforms,
            size,
            error,
        });
    }
    if args.json {
        return json(&rows);
    }
    let mut table = vec![["IMAGE", "DIGEST", "PLATFORMS", "SIZE"].map(str::to_owned)];
    table.extend(rows.into_iter().map(|row| {
        let digest = row.digest.chars().take("sha256:".len() + 12).collect();
        [
            row.name,
            digest,
            match row.error {
                Some(_) => "incomplete: pull it again".to_owned(),
                None => row.platforms.join(","),
            },
            size::bytes(row.size),
        ]
    }));
    Ok(columns(&table))
}

/// Returns an image's platforms and its size in bytes.
fn describe(store: &Store, root: &Descriptor) -> Result<(Vec<String>, u64)> {
    let platforms = match root.media_type.is_index() {
        true => inventory::index(store, root)?.platforms(),
        false => vec![inventory::config(store, root)?.platform()],
    };
    let sizes = store.closure(root)?.into_iter().map(|blob| blob.size);
    Ok((
        platforms.iter().map(ToString::to_string).collect(),
        sizes.sum(),
    ))
}

fn verify(store: &Store, args: &VerifyArgs) -> Result<String> {
    let repair = if args.repair {
        Repair::MoveAside
    } else {
        Repair::Report
    };
    let found = store.verify(repair, |_| {})?;
    let mut text = String::new();
    for corrupt in &found.corrupt {
        let Corrupt {
            digest,
            actual,
            path,
        } = corrupt;
        text += &format!(
            "corrupt: {digest} has the digest {actual}: {}\n",
            path.display()
        );
    }
    for missing in &found.missing {
        let image = missing.reference.as_ref().map(ToString::to_string);
        let image = image.unwrap_or_else(|| "an image without a full name".to_owned());
        text += &format!("missing: {} of {image}\n", missing.digest);
    }
    for unreadable in &found.unreadable {
        text += &format!("unreadable: {unreadable}\n");
    }
    text += &format!(
        "{}, {} read, {} needed by no image\n",
        size::count(found.blobs, "blob"),
        size::bytes(found.bytes),
        found.unnamed.len()
    );
    if found.is_sound() {
        return Ok(text);
    }
    let error = Error::new(Kind::Corrupt, "the store is damaged").excerpt(text);
    Err(if args.repair {
        error.hint("the damaged content was moved away; build or pull again to fetch it")
    } else {
        error.hint("sealift store verify --repair takes damaged blobs out of the way")
    })
}

fn gc(store: &Store, args: &GcArgs) -> Result<String> {
    let gone = store.gc(args.grace)?;
    let mut text = format!(
        "removed {} and {}, {}; kept {} younger than the grace time\n",
        size::count(gone.blobs, "blob"),
        size::count(gone.partials, "partial download"),
        size::bytes(gone.bytes),
        size::count(gone.spared, "unneeded blob")
    );
    for image in &gone.incomplete {
        text += &format!(
            "{image} is incomplete, so nothing that may belong to it was removed: pull it again, or \
             remove it with sealift store rm\n"
        );
    }
    Ok(text)
}

fn remove(store: &Store, args: &RmArgs) -> Result<String> {
    let known = store.names()?;
    for image in &args.images {
        if !known.iter().any(|(name, _)| name == image) {
            return Err(
                Error::new(Kind::Absent, format!("{image} is not in the store"))
                    .hint("sealift store ls lists what is"),
            );
        }
    }
    let count = store.remove_names(&args.images)?;
    Ok(format!(
        "removed {}; sealift store gc frees the space\n",
        size::count(count as u64, "name")
    ))
}
