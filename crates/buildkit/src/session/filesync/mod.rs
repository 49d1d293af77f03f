//! Sends folders to the daemon (`moby.filesync.v1.FileSync`), by fsutil's protocol: we list what
//! there is, the daemon asks for the files that it lacks, several of them travel at a time.

mod header;
mod transfer;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tonic::{Request, Response, Status, Streaming};

use super::owned::Owned;
use super::record::Record;
use super::service::service;
use crate::context::Wanted;
use crate::proto::fsutil::Packet;
use header::values;
use transfer::Transfer;

/// How many packets may wait for the connection; with the size of one, what a transfer takes of
/// memory.
const QUEUE: usize = 32;

/// Sends the folders that the solve names.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) folders: BTreeMap<String, PathBuf>,
    /// Patterns of what is never sent.
    pub(crate) hidden: Vec<String>,
    pub(crate) record: Record,
}

impl Service {
    async fn diff_copy(
        self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Owned<Packet>>, Status> {
        let metadata = request.metadata();
        let name = values(metadata, "dir-name").unwrap_or_default();
        let name = name.first().map_or("", String::as_str);
        let unknown = || Status::not_found(format!("no access allowed to dir {name:?}"));
        let folder = self.folders.get(name).ok_or_else(unknown)?;
        let mut exclude = values(metadata, "exclude-patterns").unwrap_or_default();
        // Last, so that no pattern of the user's brings them back.
        exclude.extend(self.hidden.iter().cloned());
        let wanted = Wanted {
            include: values(metadata, "include-patterns").unwrap_or_default(),
            exclude,
            follow: values(metadata, "followpaths"),
        };
        let (stream, packets) = Owned::channel(QUEUE);
        let transfer = Transfer::new(packets, self.record.clone());
        Ok(Response::new(transfer.start(
            stream,
            folder.clone(),
            wanted,
            request.into_inner(),
        )))
    }
}

service! {
    Service, "moby.filesync.v1.FileSync",
    "DiffCopy" streaming diff_copy,
}

#[cfg(test)]
mod tests;
