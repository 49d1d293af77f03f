//! A response stream that owns the tasks which fill it: dropped, it ends them.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tonic::Status;

/// Where the tasks of a stream put its items.
pub(crate) type Sender<T> = mpsc::Sender<Result<T, Status>>;

/// A stream of items that tasks of its own make.
pub(crate) struct Owned<T> {
    items: mpsc::Receiver<Result<T, Status>>,
    tasks: JoinSet<()>,
}

impl<T: Send + 'static> Owned<T> {
    /// Makes a stream in which `capacity` items may wait.
    pub(crate) fn channel(capacity: usize) -> (Self, Sender<T>) {
        let (sender, items) = mpsc::channel(capacity);
        let tasks = JoinSet::new();
        (Self { items, tasks }, sender)
    }

    /// Runs a task that makes items.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs blocking code that makes items. It ends by itself when it cannot put one.
    pub(crate) fn spawn_blocking(&mut self, task: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking(task);
    }
}

impl<T> Stream for Owned<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_recv(cx)
    }
}

/// Runs blocking code off the runtime: a session that does not answer is given up.
pub(super) async fn blocking<T: Send + 'static>(
    code: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(code).await;
    done.map_err(|error| Status::internal(error.to_string()))
}
