//! Solves with a daemon that we play: one that hangs, and one whose success is none.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use sealift_content::Store;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::Address;
use crate::output::Output;
use crate::proto::control::{BytesMessage, ListWorkersRequest, ListWorkersResponse};
use crate::proto::control::{SolveRequest, StatusRequest, StatusResponse};
use crate::session::service;

/// A daemon that opens sessions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Daemon {
    /// It answers nothing else.
    Hung,
    /// It answers a solve at once, and reports nothing, without even the head of an answer.
    Silent,
    /// It breaks its reports off, and answers a solve later.
    Overwhelmed,
    /// It answers a solve after an hour, and lists no workers.
    Busy,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

impl Daemon {
    async fn session(
        self,
        _: Request<Streaming<BytesMessage>>,
    ) -> Answer<BoxStream<'static, std::result::Result<BytesMessage, Status>>> {
        Ok(Response::new(stream::pending().boxed()))
    }

    async fn solve(self, _: Request<SolveRequest>) -> Answer<SolveResponse> {
        self.answer().await
    }

    async fn list_workers(self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersResponse> {
        if self == Self::Busy {
            return Err(Status::unimplemented("no list"));
        }
        self.answer().await
    }

    async fn answer<T: Default>(self) -> Answer<T> {
        match self {
            Self::Hung => std::future::pending().await,
            Self::Silent => {}
            Self::Overwhelmed => tokio::time::sleep(Duration::from_secs(1)).await,
            Self::Busy => tokio::time::sleep(Duration::from_secs(3600)).await,
        }
        Ok(Response::new(T::default()))
    }

    async fn status(
        self,
        _: Request<StatusRequest>,
    ) -> Answer<BoxStream<'static, std::result::Result<StatusResponse, Status>>> {
        if self != Self::Overwhelmed {
            std::future::pending::<()>().await;
        }
        let error = Status::resource_exhausted("message larger than max");
        Ok(Response::new(stream::iter([Err(error)]).boxed()))
    }
}

service! {
    Daemon, "moby.buildkit.v1.Control",
    "Session" streaming session,
    "Solve" unary solve,
    "ListWorkers" unary list_workers,
    "Status" server_streaming status,
}

struct Scene {
    client: Client,
    folder: tempfile::TempDir,
    _server: JoinSet<()>,
}

impl Scene {
    async fn new(daemon: Daemon) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let mut server = JoinSet::new();
        let incoming = UnixListenerStream::new(listener);
        let serving = Server::builder().add_service(daemon);
        server.spawn(async move { serving.serve_with_incoming(incoming).await.unwrap() });
        Self {
            client: Client::connect(&Address::unix(socket)).await.unwrap(),
            folder,
            _server: server,
        }
    }

    fn solve(&self, output: Output) -> Solve {
        Solve::new(self.folder.path()).output(output)
    }
}

#[tokio::test]
async fn success_without_a_result_is_an_error() {
    let scene = Scene::new(Daemon::Silent).await;
    let store = Store::open(scene.folder.path().join("store")).unwrap();
    for (output, wanted) in [
        (
            Output::Store(store),
            Some("it reports success, but no image"),
        ),
        (
            Output::Folder(scene.folder.path().join("out")),
            Some("it reports success, but sent no files"),
        ),
        (Output::None, None),
    ] {
        let (events, _) = mpsc::channel(1);
        let solve = scene.solve(output);
        let solving = scene.client.solve(solve, events, CancellationToken::new());
        match (solving.await, wanted) {
            (Err(Error::Answer { reason, .. }), Some(wanted)) => assert_eq!(reason, wanted),
            (Ok(_), None) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_daemon_that_answers_nothing_is_announced_and_given_up() {
    let scene = Scene::new(Daemon::Hung).await;
    let solve = scene.solve(Output::None);
    let session = scene.client.open_session(&[&solve]).await.unwrap();
    let (events, mut heard) = mpsc::channel(16);
    tokio::time::pause();
    let cancel = CancellationToken::new();
    let error = scene.client.solve_in(&session, solve, events, cancel).await;
    match error.unwrap_err() {
        Error::Lost { message } => {
            assert!(message.ends_with("has not answered for 125 s"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let mut announced = Vec::new();
    while let Some(event) = heard.recv().await {
        match event {
            Event::Unresponsive { silence, process } => {
                assert_eq!(process, i32::try_from(std::process::id()).ok());
                announced.push(silence.as_secs());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(announced, [15, 35, 75]);
}

#[tokio::test]
async fn a_daemon_that_does_not_ask_is_known() {
    let scene = Scene::new(Daemon::Silent).await;
    let store = Store::open(scene.folder.path().join("store")).unwrap();
    assert!(!scene.client.asks_about_sources(&store).await.unwrap());
}

#[tokio::test]
async fn reports_that_break_off_are_announced() {
    let scene = Scene::new(Daemon::Overwhelmed).await;
    let (events, mut heard) = mpsc::channel(1);
    let solve = scene.solve(Output::None);
    let solving = scene.client.solve(solve, events, CancellationToken::new());
    let (solved, event) = tokio::join!(solving, heard.recv());
    solved.unwrap();
    match event.unwrap() {
        Event::Warning(warning) => assert_eq!(
            warning.short,
            "the builder's reports ended (message larger than max); the build goes on"
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_daemon_that_answers_anything_is_waited_for() {
    let scene = Scene::new(Daemon::Busy).await;
    let solve = scene.solve(Output::None);
    let session = scene.client.open_session(&[&solve]).await.unwrap();
    let (events, mut heard) = mpsc::channel(1);
    tokio::time::pause();
    let cancel = CancellationToken::new();
    let solved = scene.client.solve_in(&session, solve, events, cancel).await;
    solved.unwrap();
    assert!(heard.recv().await.is_none());
}
