//! Sends folders to the daemon (`moby.filesync.v1.FileSync`), by fsutil's protocol: we list what
//! there is, the daemon asks for the files that it lacks, several of them travel at a time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender as IdSender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::owned::{Owned, Sender};
use super::record::{Count, Record};
use crate::Error;
use crate::context::{self, Selection, Trouble, Wanted};
use crate::proto::filesync::file_sync_server::FileSync;
use crate::proto::fsutil::packet::PacketType;
use crate::proto::fsutil::{Packet, Stat};

/// How many files travel at a time.
const LANES: usize = 4;
/// How many bytes of a file one packet carries.
const CHUNK: usize = 128 << 10;
/// How many packets may wait for the connection; with [`CHUNK`], what a transfer takes of memory.
const QUEUE: usize = 32;

/// Sends the folders that the solve names.
pub(crate) struct Service {
    pub(crate) folders: BTreeMap<String, PathBuf>,
    /// Patterns of what is never sent.
    pub(crate) hidden: Vec<String>,
    pub(crate) record: Record,
}

#[tonic::async_trait]
impl FileSync for Service {
    type DiffCopyStream = Owned<Packet>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
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
        let transfer = Transfer {
            files: Arc::default(),
            packets,
            record: self.record.clone(),
        };
        Ok(Response::new(transfer.start(
            stream,
            folder.clone(),
            wanted,
            request.into_inner(),
        )))
    }

    type TarStreamStream = Owned<Packet>;

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("tar streams are not served"))
    }
}

/// One folder on its way.
#[derive(Clone)]
struct Transfer {
    /// The files that may be asked for, by their number in the list.
    files: Arc<Mutex<HashMap<u32, PathBuf>>>,
    packets: Sender<Packet>,
    record: Record,
}

impl Transfer {
    fn start(
        self,
        mut stream: Owned<Packet>,
        folder: PathBuf,
        wanted: Wanted,
        requests: Streaming<Packet>,
    ) -> Owned<Packet> {
        let list = self.clone();
        stream.spawn_blocking(move || {
            if let Err(trouble) = list.list(&folder, wanted) {
                list.fail(trouble, &folder);
            }
        });
        let (ids, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..LANES {
            let (lane, queue) = (self.clone(), Arc::clone(&queue));
            stream.spawn_blocking(move || lane.send_files(&queue));
        }
        stream.spawn(async move {
            if let Err(status) = self.answer(requests, ids).await {
                // A daemon that has gone needs no answer.
                let _ = self.packets.send(Err(status)).await;
            }
        });
        stream
    }

    /// Lists what is wanted of the folder, then an empty description.
    fn list(&self, folder: &Path, wanted: Wanted) -> Result<(), Trouble> {
        let root = folder.canonicalize().map_err(|source| Trouble::Io {
            path: folder.to_owned(),
            source,
        })?;
        let selection = Selection::new(&root, wanted)?;
        let mut number = 0;
        let mut visit = |stat: Stat, path: &Path| {
            if context::is_regular(stat.mode) {
                let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                files.insert(number, path.to_owned());
            }
            number += 1;
            self.put(packet(PacketType::PacketStat, 0, Some(stat), Vec::new()))
        };
        context::walk(&selection, &mut visit)?;
        self.put(packet(PacketType::PacketStat, 0, None, Vec::new()));
        Ok(())
    }

    /// Takes the daemon's requests until it has all that it wants.
    async fn answer(
        &self,
        mut requests: Streaming<Packet>,
        ids: IdSender<(u32, PathBuf)>,
    ) -> Result<(), Status> {
        while let Some(request) = requests.message().await? {
            match request.r#type() {
                PacketType::PacketReq => {
                    let id = request.id;
                    let path = {
                        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                        files.remove(&id)
                    };
                    let unknown = || Status::invalid_argument(format!("no file has number {id}"));
                    // The lanes live as long as this queue does.
                    let _ = ids.send((id, path.ok_or_else(unknown)?));
                }
                PacketType::PacketFin => {
                    let end = packet(PacketType::PacketFin, 0, None, Vec::new());
                    let _ = self.packets.send(Ok(end)).await;
                    break;
                }
                PacketType::PacketErr => {
                    let text = String::from_utf8_lossy(&request.data).into_owned();
                    return Err(Status::aborted(format!("error from receiver: {text}")));
                }
                PacketType::PacketStat | PacketType::PacketData => {}
            }
        }
        Ok(())
    }

    /// Sends files as they are asked for.
    fn send_files(&self, queue: &Mutex<Receiver<(u32, PathBuf)>>) {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((id, path)) = next else { return };
            match self.send_file(id, &path) {
                Ok(true) => {}
                Ok(false) => return,
                Err(source) => {
                    let trouble = Trouble::Io {
                        path: path.clone(),
                        source,
                    };
                    return self.fail(trouble, &path);
                }
            }
        }
    }

    /// Sends a file's content, then an empty packet; false where nobody takes it.
    ///
    /// A file that cannot be read fails the transfer: an empty one in its place, as other clients
    /// send it, would silently make a wrong image.
    fn send_file(&self, id: u32, path: &Path) -> io::Result<bool> {
        if let Some(mut file) = open(path)? {
            loop {
                let mut data = Vec::with_capacity(CHUNK);
                let count = (&mut file).take(CHUNK as u64).read_to_end(&mut data)?;
                if count == 0 {
                    break;
                }
                self.record.add(Count::FileBytesSent, count as u64);
                if !self.put(packet(PacketType::PacketData, id, None, data)) {
                    return Ok(false);
                }
            }
        }
        self.record.add(Count::FilesSent, 1);
        Ok(self.put(packet(PacketType::PacketData, id, None, Vec::new())))
    }

    /// Ends the transfer with an error, which is kept as data too.
    fn fail(&self, trouble: Trouble, folder: &Path) {
        let text = trouble.to_string();
        let (path, source) = match trouble {
            Trouble::Gone => return,
            Trouble::Io { path, source } => (path, source),
            Trouble::Name { path } => (
                path,
                io::Error::new(io::ErrorKind::InvalidData, text.clone()),
            ),
            Trouble::Pattern(error) => {
                let source = io::Error::new(io::ErrorKind::InvalidInput, error);
                (folder.to_owned(), source)
            }
        };
        self.record.fail(Error::Source { path, source });
        self.put(packet(
            PacketType::PacketErr,
            0,
            None,
            text.clone().into_bytes(),
        ));
        // A daemon that has gone needs no answer.
        let _ = self.packets.blocking_send(Err(Status::aborted(text)));
    }

    fn put(&self, packet: Packet) -> bool {
        self.packets.blocking_send(Ok(packet)).is_ok()
    }
}

/// Opens a file; sockets have no content, and what became a pipe meanwhile must not block.
fn open(path: &Path) -> io::Result<Option<File>> {
    let mut options = File::options();
    options.read(true);
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) => match path.symlink_metadata() {
            Ok(metadata) if metadata.file_type().is_socket() => Ok(None),
            _ => Err(error),
        },
    }
}

fn packet(kind: PacketType, id: u32, stat: Option<Stat>, data: Vec<u8>) -> Packet {
    Packet {
        r#type: kind.into(),
        stat,
        id,
        data,
    }
}

/// Reads all values of a header, which are query-escaped where a second header says so.
fn values(metadata: &MetadataMap, key: &str) -> Option<Vec<String>> {
    metadata.get(key)?;
    let escaped = metadata
        .get(format!("{key}-encoded"))
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"));
    let values = metadata.get_all(key).iter().map(|value| {
        let text = String::from_utf8_lossy(value.as_encoded_bytes());
        if escaped {
            unescape(&text)
        } else {
            text.into_owned()
        }
    });
    Some(values.collect())
}

/// Undoes Go's `url.QueryEscape`; a text that is none becomes empty, as there.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return String::new();
                };
                bytes.extend(u8::try_from(high * 16 + low));
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_headers_plain_and_escaped() {
        let mut metadata = MetadataMap::new();
        metadata.append("include-patterns", "a+b".parse().unwrap());
        metadata.append("include-patterns", "c%20d".parse().unwrap());
        let plain = values(&metadata, "include-patterns").unwrap();
        assert_eq!(plain, ["a+b", "c%20d"]);
        metadata.insert("include-patterns-encoded", "1".parse().unwrap());
        let escaped = values(&metadata, "include-patterns").unwrap();
        assert_eq!(escaped, ["a b", "c d"]);
        assert_eq!(unescape("gr%C3%BCn"), "grün");
        assert_eq!(unescape("%zz"), "");
        assert_eq!(values(&metadata, "followpaths"), None);
    }

    use crate::proto::filesync::file_sync_client::FileSyncClient;
    use crate::proto::filesync::file_sync_server::FileSyncServer;
    use hyper_util::rt::TokioIo;
    use std::io::Write as _;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;
    use tonic::transport::{Channel, Endpoint, Server};

    /// The daemon's side of a transfer.
    struct Daemon {
        requests: mpsc::Sender<Packet>,
        packets: Streaming<Packet>,
        record: Record,
        _server: tokio::task::JoinSet<()>,
    }

    async fn channel(service: Service, server: &mut tokio::task::JoinSet<()>) -> Channel {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let incoming = tokio_stream::once(Ok::<_, io::Error>(theirs));
        let serving = Server::builder().add_service(FileSyncServer::new(service));
        server.spawn(async move {
            serving.serve_with_incoming(incoming).await.unwrap();
        });
        let mut ours = Some(ours);
        let connector = tower::service_fn(move |_| {
            let ours = ours.take().map(TokioIo::new);
            async move { ours.ok_or(io::Error::from(io::ErrorKind::NotConnected)) }
        });
        let endpoint = Endpoint::from_static("http://test");
        endpoint.connect_with_connector(connector).await.unwrap()
    }

    async fn daemon(folder: &Path, name: &str) -> Result<Daemon, Status> {
        let folders = BTreeMap::from([("context".to_owned(), folder.to_owned())]);
        let record = Record::default();
        let mut server = tokio::task::JoinSet::new();
        let service = Service {
            folders,
            hidden: vec!["hidden".to_owned()],
            record: record.clone(),
        };
        let channel = channel(service, &mut server).await;
        let (requests, queue) = mpsc::channel(8);
        let mut request = Request::new(ReceiverStream::new(queue));
        let metadata = request.metadata_mut();
        metadata.insert("dir-name", name.parse().unwrap());
        let answer = FileSyncClient::new(channel).diff_copy(request).await?;
        Ok(Daemon {
            requests,
            packets: answer.into_inner(),
            record,
            _server: server,
        })
    }

    impl Daemon {
        /// Reads the list to its end.
        async fn list(&mut self) -> Vec<String> {
            let mut paths = Vec::new();
            while let Some(stat) = self.packets.message().await.unwrap().unwrap().stat {
                paths.push(stat.path);
            }
            paths
        }

        async fn send(&self, kind: PacketType, id: u32) {
            let packet = packet(kind, id, None, b"why".to_vec());
            self.requests.send(packet).await.unwrap();
        }
    }

    fn folder(files: &[(&str, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, size) in files {
            let mut file = File::create_new(folder.path().join(name)).unwrap();
            file.write_all(&vec![b'x'; *size]).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn sends_what_is_asked_for_and_ends_when_told() {
        let folder = folder(&[("a", 3), ("b", CHUNK + 1), ("c", 0), ("hidden", 1)]);
        let mut daemon = daemon(folder.path(), "context").await.unwrap();
        assert_eq!(daemon.list().await, ["a", "b", "c"]);
        daemon.send(PacketType::PacketReq, 1).await;
        let mut sizes = Vec::new();
        while sizes.last() != Some(&0) {
            let packet = daemon.packets.message().await.unwrap().unwrap();
            assert_eq!((packet.r#type(), packet.id), (PacketType::PacketData, 1));
            sizes.push(packet.data.len());
        }
        assert_eq!(sizes, [CHUNK, 1, 0]);
        daemon.send(PacketType::PacketFin, 0).await;
        let end = daemon.packets.message().await.unwrap().unwrap();
        assert_eq!(end.r#type(), PacketType::PacketFin);
        assert!(daemon.packets.message().await.unwrap().is_none());
        let traffic = daemon.record.traffic();
        assert_eq!(
            (traffic.files_sent, traffic.file_bytes_sent),
            (1, CHUNK as u64 + 1)
        );
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_fails_with_its_path() {
        let folder = folder(&[("a", 3), ("gone", 3)]);
        let mut daemon = daemon(folder.path(), "context").await.unwrap();
        daemon.list().await;
        std::fs::remove_file(folder.path().join("gone")).unwrap();
        daemon.send(PacketType::PacketReq, 1).await;
        let packet = daemon.packets.message().await.unwrap().unwrap();
        assert_eq!(packet.r#type(), PacketType::PacketErr);
        assert!(String::from_utf8(packet.data).unwrap().contains("gone"));
        assert!(daemon.packets.message().await.is_err());
        match daemon.record.take_problem() {
            Some(Error::Source { path, .. }) => assert!(path.ends_with("gone"), "{path:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn wrong_requests_end_the_transfer_only() {
        let folder = folder(&[("a", 3)]);
        let unknown = daemon(folder.path(), "other").await;
        assert_eq!(unknown.err().unwrap().code(), tonic::Code::NotFound);
        for (kind, id) in [(PacketType::PacketReq, 7), (PacketType::PacketErr, 0)] {
            let mut daemon = daemon(folder.path(), "context").await.unwrap();
            daemon.list().await;
            daemon.send(kind, id).await;
            assert!(daemon.packets.message().await.is_err());
            assert!(daemon.record.take_problem().is_none());
        }
    }
}
