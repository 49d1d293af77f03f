//! Loading an image into a Docker daemon, over its Engine API, without the `docker` program.
//!
//! The image is sent as a Docker archive while it is read from the store; nothing is written to a
//! temporary file. What the daemon says it loaded is asked for again afterwards: `POST
//! /images/load` answers 200 before it has begun, and errors only stand in its body.

mod connection;
mod endpoint;
mod upload;

use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, StatusCode};
use sealift_content::Store;
use sealift_oci::{Descriptor, Manifest, Reference};
use serde::Deserialize;
use tokio::task::JoinSet;

pub use endpoint::DockerEndpoint;

use connection::{Body, Connection};

use crate::error::{Error, Kind, Result};
use crate::prefetch::inventory::store_failed;

/// What a daemon has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The id under which the daemon knows the image.
    pub id: String,
    /// The names that it has now, as docker shows them.
    pub names: Vec<String>,
}

/// Sends the image of one platform to a daemon under some names and checks that they are there.
///
/// # Errors
/// [`Kind::Config`] where nobody answers at the endpoint, [`Kind::Disk`] where the daemon's disk is
/// full, [`Kind::Local`] where it refuses the image or has another one under a name afterwards, and
/// what the store says where the image can't be read.
pub async fn load(
    endpoint: &DockerEndpoint,
    store: &Store,
    manifest: &Descriptor,
    names: &[Reference],
) -> Result<Loaded> {
    let image = read(store, manifest)?;
    let (archive, body) = upload::archive(store.clone(), manifest.clone(), names.to_vec());
    let mut writer = JoinSet::new();
    writer.spawn_blocking(archive);
    let sent = send(endpoint, body).await;
    // The connection has ended, so the writer, if it still writes, ends too.
    let written = writer.join_next().await.and_then(std::result::Result::ok);
    match written {
        // Where the stream broke, the other end knows why.
        None | Some(Ok(()) | Err(sealift_content::Error::Stream { .. })) => {
            sent.map_err(|error| explained(error, &image))?;
        }
        Some(Err(error)) => return Err(store_failed(error)),
    }
    // Daemons give an image its configuration's digest as id, or with containerd as their store its
    // manifest's.
    let ids = [image.config.digest.to_string(), manifest.digest.to_string()];
    confirm(endpoint, names, &ids).await
}

/// Says what may be wrong where an older daemon meets newer layers.
fn explained(error: Error, image: &Manifest) -> Error {
    let zstd = |layer: &Descriptor| layer.media_type.as_str().ends_with("+zstd");
    if image.layers.iter().any(zstd) {
        return error
            .hint("its layers are compressed with zstd, which docker reads since version 23");
    }
    error
}

fn read(store: &Store, manifest: &Descriptor) -> Result<Manifest> {
    let limit = sealift_content::DOCUMENT_LIMIT;
    let bytes = store
        .read_blob(&manifest.digest, limit)
        .map_err(store_failed)?;
    Manifest::parse(&bytes).map_err(|error| {
        let what = format!("cannot load {} into docker", manifest.digest);
        Error::new(Kind::Local, what).because(error)
    })
}

async fn send(endpoint: &DockerEndpoint, body: Body) -> Result<()> {
    let mut connection = Connection::open(endpoint).await?;
    let target = "/images/load?quiet=1";
    let (status, answer) = connection.ask(Method::POST, target, body).await?;
    if status != StatusCode::OK {
        return Err(refused(endpoint, &message(&answer)));
    }
    for line in answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        // A line that is no JSON says nothing that the check afterwards would not find.
        if let Ok(Line { error: Some(error) }) = serde_json::from_slice(line) {
            return Err(refused(endpoint, &error));
        }
    }
    Ok(())
}

/// One line of the answer to a load.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
}

/// Asks for each name, or for the image itself where it has none.
async fn confirm(
    endpoint: &DockerEndpoint,
    names: &[Reference],
    ids: &[String; 2],
) -> Result<Loaded> {
    let names: Vec<String> = names
        .iter()
        .filter(|name| name.tag().is_some())
        .map(tagged)
        .collect();
    if names.is_empty() {
        for id in ids {
            if let Some(id) = inspect(endpoint, id).await? {
                return Ok(Loaded { id, names });
            }
        }
        return Err(refused(endpoint, "it has not kept the image"));
    }
    let mut found = String::new();
    for name in &names {
        found = match inspect(endpoint, name).await? {
            Some(id) if ids.contains(&id) => id,
            Some(id) => {
                let reason = format!("{name} is another image there, {id}");
                return Err(refused(endpoint, &reason));
            }
            None => {
                return Err(refused(
                    endpoint,
                    &format!("it has not kept the name {name}"),
                ));
            }
        };
    }
    Ok(Loaded { id: found, names })
}

/// Returns a name as docker writes it, always with its tag.
fn tagged(name: &Reference) -> String {
    let familiar = name.familiar();
    let bare = familiar.split('@').next().unwrap_or_default();
    match name.tag() {
        Some("latest") if name.digest().is_none() => format!("{bare}:latest"),
        _ => bare.to_owned(),
    }
}

async fn inspect(endpoint: &DockerEndpoint, name: &str) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(rename = "Id")]
        id: String,
    }
    let mut connection = Connection::open(endpoint).await?;
    let target = format!("/images/{name}/json");
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let (status, answer) = connection.ask(Method::GET, &target, body).await?;
    match status {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::OK => {
            let image: Image = serde_json::from_slice(&answer)
                .map_err(|error| refused(endpoint, "its answer is not docker's").because(error))?;
            Ok(Some(image.id))
        }
        _ => Err(refused(endpoint, &message(&answer))),
    }
}

/// Returns the daemon's words in an answer that is no success.
fn message(answer: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    match serde_json::from_slice::<Message>(answer) {
        Ok(Message { message }) => message,
        Err(_) => String::from_utf8_lossy(answer).chars().take(500).collect(),
    }
}

fn refused(endpoint: &DockerEndpoint, reason: &str) -> Error {
    let full = reason.contains("no space left on device");
    let kind = if full { Kind::Disk } else { Kind::Local };
    let what = format!("docker at {endpoint} cannot load the image: {reason}");
    Error::new(kind, what)
}

#[cfg(test)]
mod tests;
