//! One write of a blob into a store, as the daemon's exporter does it: each message is answered
//! before the next one comes.

use std::sync::Arc;
use std::time::Duration;

use sealift_content::{Ingest, Ingestion, Store};
use sealift_oci::Digest;
use tonic::{Status, Streaming};

use super::owned::{Sender, blocking};
use super::record::{Count, Record};
use crate::proto::content as proto;
use crate::proto::content::WriteAction;

/// How long to wait until a blob that somebody else brings in is asked for again.
const BUSY: Duration = Duration::from_millis(25);

/// One write of a blob: a first message with its digest, then bytes, then the commit.
pub(super) struct Write {
    store: Store,
    record: Record,
    ingest: Option<(Digest, Arc<Ingest>)>,
}

impl Write {
    pub(super) fn new(store: Store, record: Record) -> Self {
        Self {
            store,
            record,
            ingest: None,
        }
    }

    pub(super) async fn run(
        mut self,
        mut messages: Streaming<proto::WriteRequest>,
        sender: &Sender<proto::WriteResponse>,
    ) -> Result<(), Status> {
        while let Some(message) = messages.message().await? {
            let answer = self.answer(message).await?;
            if sender.send(Ok(answer)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn answer(
        &mut self,
        message: proto::WriteRequest,
    ) -> Result<proto::WriteResponse, Status> {
        let action = message.action();
        let (digest, ingest) = self.begin(&message).await?;
        if action != WriteAction::Stat {
            self.put(&ingest, message.offset, message.data).await?;
        }
        if action == WriteAction::Commit {
            let total = ingest.position();
            if message.total > 0 && message.total.unsigned_abs() != total {
                let text = format!("{digest}: {total} bytes of {}", message.total);
                return Err(Status::failed_precondition(text));
            }
            let committed = blocking(move || ingest.commit().map(|()| ingest)).await?;
            let ingest = committed.map_err(|error| self.record.store_failed(error))?;
            self.record.add(Count::BlobsReceived, 1);
            return Ok(response(action, &digest, &ingest));
        }
        Ok(response(action, &digest, &ingest))
    }

    /// Opens the blob at the first message that names its digest; a blob that is there already is
    /// answered with AlreadyExists, which saves the transfer.
    async fn begin(
        &mut self,
        message: &proto::WriteRequest,
    ) -> Result<(Digest, Arc<Ingest>), Status> {
        if let Some(ingest) = &self.ingest {
            return Ok(ingest.clone());
        }
        let digest = digest(&message.expected)?;
        let size = u64::try_from(message.total).ok().filter(|size| *size > 0);
        loop {
            let (store, wanted) = (self.store.clone(), digest.clone());
            let ingestion = blocking(move || store.ingest(&wanted, size)).await?;
            match ingestion.map_err(|error| self.record.store_failed(error))? {
                Ingestion::Present => {
                    return Err(Status::already_exists(format!("content {digest} is there")));
                }
                Ingestion::Busy => tokio::time::sleep(BUSY).await,
                Ingestion::Ready(ingest) => {
                    let begun = (digest, Arc::new(ingest));
                    self.ingest = Some(begun.clone());
                    return Ok(begun);
                }
            }
        }
    }

    /// Writes bytes; an offset before what is there begins anew from it, as containerd does.
    async fn put(&self, ingest: &Arc<Ingest>, offset: i64, data: Vec<u8>) -> Result<(), Status> {
        let offset =
            u64::try_from(offset).map_err(|_| Status::out_of_range("the offset is negative"))?;
        let position = ingest.position();
        if offset > position {
            let text = format!("write at {offset}, but only {position} bytes are there");
            return Err(Status::out_of_range(text));
        }
        self.record.add(Count::BytesReceived, data.len() as u64);
        let ingest = Arc::clone(ingest);
        let written = blocking(move || {
            if offset < position {
                ingest.discard(offset..u64::MAX)?;
            }
            ingest.write_at(offset, &data)
        });
        written
            .await?
            .map_err(|error| self.record.store_failed(error))
    }
}

/// Answers a message of a write.
fn response(action: WriteAction, digest: &Digest, ingest: &Ingest) -> proto::WriteResponse {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let committed = action == WriteAction::Commit;
    proto::WriteResponse {
        action: action.into(),
        offset: number(ingest.position()),
        total: number(ingest.size().unwrap_or_default()),
        digest: if committed {
            digest.to_string()
        } else {
            String::new()
        },
    }
}

/// Reads the digest of a request.
pub(super) fn digest(text: &str) -> Result<Digest, Status> {
    Digest::parse(text).map_err(|error| Status::invalid_argument(error.to_string()))
}
