//! Serves content stores to the daemon (`containerd.services.content.v1.Content`): images are read
//! from them, results are written into them.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use sealift_content::Store;
use sealift_oci::Digest;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::owned::{Owned, Sender, blocking};
use super::record::{Count, Record};
use super::service::service;
use super::write::{Write, digest};
use crate::proto::content as proto;

/// Stores by the name that the daemon asks by.
pub(crate) type Stores = BTreeMap<String, Store>;

/// The header that names a store.
const STORE: &str = "buildkit-attachable-store-id";
/// How many bytes one answer to a read carries.
const CHUNK: usize = 1 << 20;

/// The service; clones share everything.
#[derive(Clone)]
pub(crate) struct Service {
    stores: Arc<Stores>,
    record: Record,
}

impl Service {
    pub(crate) fn new(stores: Stores, record: Record) -> Self {
        Self {
            stores: Arc::new(stores),
            record,
        }
    }

    fn store(&self, metadata: &MetadataMap) -> Result<Store, Status> {
        let name = metadata.get(STORE).and_then(|name| name.to_str().ok());
        let name = name.ok_or_else(|| Status::invalid_argument("the request names no store"))?;
        let store = self.stores.get(name).cloned();
        store.ok_or_else(|| Status::not_found(format!("unknown store {name}")))
    }

    async fn info(
        self,
        request: Request<proto::InfoRequest>,
    ) -> Result<Response<proto::InfoResponse>, Status> {
        let store = self.store(request.metadata())?;
        let digest = digest(&request.get_ref().digest)?;
        let wanted = digest.clone();
        let size = blocking(move || store.size(&wanted)).await?;
        let size = size.map_err(|error| self.record.store_failed(error))?;
        let size = size.ok_or_else(|| Status::not_found(format!("content {digest}: not found")))?;
        let info = proto::Info {
            digest: digest.to_string(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
        };
        Ok(Response::new(proto::InfoResponse { info: Some(info) }))
    }

    /// Answers a change of labels with what is there: our store keeps none, and the daemon only
    /// marks where a blob came from.
    async fn update(
        self,
        request: Request<proto::UpdateRequest>,
    ) -> Result<Response<proto::InfoResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let digest = request.info.unwrap_or_default().digest;
        let request = proto::InfoRequest { digest };
        self.info(Request::from_parts(metadata, extensions, request))
            .await
    }

    async fn read(
        self,
        request: Request<proto::ReadRequest>,
    ) -> Result<Response<Owned<proto::ReadResponse>>, Status> {
        let store = self.store(request.metadata())?;
        let request = request.into_inner();
        let digest = digest(&request.digest)?;
        let offset = u64::try_from(request.offset)
            .map_err(|_| Status::out_of_range("the offset is negative"))?;
        let end = match u64::try_from(request.size) {
            Ok(0) | Err(_) => u64::MAX,
            Ok(size) => offset.saturating_add(size),
        };
        let (mut stream, sender) = Owned::channel(2);
        stream.spawn_blocking(move || {
            if let Err(status) = self.send_blob(&store, &digest, offset..end, &sender) {
                // A daemon that has gone needs no answer.
                let _ = sender.blocking_send(Err(status));
            }
        });
        Ok(Response::new(stream))
    }

    fn send_blob(
        &self,
        store: &Store,
        digest: &Digest,
        range: Range<u64>,
        sender: &Sender<proto::ReadResponse>,
    ) -> Result<(), Status> {
        let open = match range.start {
            // Once a blob, where the daemon begins to read it.
            0 => Store::open_checked,
            _ => Store::open_blob,
        };
        let file = open(store, digest).map_err(|error| self.record.store_failed(error))?;
        let record = &self.record;
        let mut offset = range.start;
        if offset == 0 {
            record.add(Count::BlobReads, 1);
        }
        while offset < range.end {
            let wanted = usize::try_from(range.end - offset)
                .unwrap_or(CHUNK)
                .min(CHUNK);
            let data = read_at(&file, offset, wanted)
                .map_err(|error| Status::internal(format!("{digest}: {error}")))?;
            if data.is_empty() {
                break;
            }
            let count = data.len() as u64;
            record.add(Count::BlobBytesSent, count);
            let answer = proto::ReadResponse {
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
                data,
            };
            if sender.blocking_send(Ok(answer)).is_err() {
                break;
            }
            offset += count;
        }
        Ok(())
    }

    async fn write(
        self,
        request: Request<Streaming<proto::WriteRequest>>,
    ) -> Result<Response<Owned<proto::WriteResponse>>, Status> {
        let store = self.store(request.metadata())?;
        let messages = request.into_inner();
        let (mut stream, sender) = Owned::channel(1);
        stream.spawn(async move {
            let write = Write::new(store, self.record);
            if let Err(status) = write.run(messages, &sender).await {
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(stream))
    }
}

/// Reads up to `wanted` bytes; fewer only at the end of the file.
fn read_at(file: &File, offset: u64, wanted: usize) -> std::io::Result<Vec<u8>> {
    let mut data = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut data[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(filled);
    Ok(data)
}

service! {
    Service, "containerd.services.content.v1.Content",
    "Info" unary info,
    "Update" unary update,
    "Read" server_streaming read,
    "Write" streaming write,
}
