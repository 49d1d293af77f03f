//! Transfers with a daemon that we play.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Server};

use super::transfer::CHUNK;
use super::*;
use crate::Error;
use crate::proto::fsutil::PacketType;

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
    let serving = Server::builder().add_service(service);
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
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(Service::METHODS[0]);
    let codec = tonic_prost::ProstCodec::<Packet, Packet>::default();
    let answer = client.streaming(request, path, codec).await?;
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
            paths.push(String::from_utf8(stat.path).unwrap());
        }
        paths
    }

    async fn send(&self, kind: PacketType, id: u32) {
        let packet = Packet::new(kind, id, b"why".to_vec());
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
async fn sends_what_is_asked_for_and_ends_on_request() {
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
async fn a_file_that_has_gone_is_empty() {
    let folder = folder(&[("a", 3), ("gone", 3)]);
    let mut daemon = daemon(folder.path(), "context").await.unwrap();
    daemon.list().await;
    let path = folder.path().canonicalize().unwrap().join("gone");
    std::fs::remove_file(&path).unwrap();
    for (id, sizes) in [(1, vec![0]), (0, vec![3, 0])] {
        daemon.send(PacketType::PacketReq, id).await;
        for size in sizes {
            let packet = daemon.packets.message().await.unwrap().unwrap();
            assert_eq!((packet.id, packet.data.len()), (id, size));
        }
    }
    assert_eq!(daemon.record.take_vanished(), [path]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_with_its_path() {
    let folder = folder(&[("a", 3), ("gone", 3)]);
    let mut daemon = daemon(folder.path(), "context").await.unwrap();
    daemon.list().await;
    std::fs::remove_file(folder.path().join("gone")).unwrap();
    std::fs::create_dir(folder.path().join("gone")).unwrap();
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
