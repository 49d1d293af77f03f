//! The calls of `/images`.

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::connection::{Body, Call};
use super::{Engine, connection};
use crate::error::Result;

/// What a daemon says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// The digest of its configuration, or of its manifest where containerd is the daemon's store.
    pub id: String,
}

/// One line of the answer to a load.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
}

impl Engine {
    /// Loads the images of a Docker archive. The daemon answers 200 before it begins, and reports
    /// failures in the body alone; whether it kept the names is to be asked afterwards.
    ///
    /// # Errors
    /// [`crate::error::Kind::Config`] if nobody answers, [`crate::error::Kind::Disk`] if the
    /// daemon's disk is full, [`crate::error::Kind::Local`] with the daemon's message otherwise.
    pub async fn load_images(&self, archive: Body) -> Result<()> {
        let mut answer = self
            .call(Call {
                doing: "load the image",
                method: Method::POST,
                // Not quiet: lines of progress show that the daemon is at work.
                target: "/images/load?quiet=0",
                media_type: Some("application/x-tar"),
                body: archive,
            })
            .await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal().await?);
        }
        while let Some(line) = answer.line().await? {
            // A line that is no JSON says nothing that asking afterwards would not find.
            if let Ok(Line { error: Some(error) }) = serde_json::from_slice(&line) {
                return Err(answer.refused(&error));
            }
        }
        Ok(())
    }

    /// Returns what the daemon knows of an image, by name or id; nothing if it has none.
    ///
    /// # Errors
    /// As [`Self::load_images`].
    pub async fn inspect_image(&self, name: &str) -> Result<Option<Image>> {
        let mut answer = self
            .call(Call {
                doing: "inspect the image",
                method: Method::GET,
                target: &format!("/images/{name}/json"),
                media_type: None,
                body: connection::empty(),
            })
            .await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => answer.json().await.map(Some),
            _ => Err(answer.refusal().await?),
        }
    }
}
