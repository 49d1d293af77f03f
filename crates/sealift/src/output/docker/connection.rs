//! A connection to a Docker daemon: one request, and its answer whole.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::{DockerEndpoint, refused};
use crate::error::{Error, Kind, Result};

/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// What a request carries.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A connection for one request.
pub(super) struct Connection<'a> {
    endpoint: &'a DockerEndpoint,
    sender: SendRequest<Body>,
    /// Ends with this value.
    _driver: JoinSet<()>,
}

impl<'a> Connection<'a> {
    /// Opens one.
    pub(super) async fn open(endpoint: &'a DockerEndpoint) -> Result<Self> {
        let stream = endpoint.dial().await?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(endpoint, error))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // What goes wrong on the connection is told to the request.
            let _told = driver.await;
        });
        Ok(Self {
            endpoint,
            sender,
            _driver: tasks,
        })
    }

    /// Asks, and waits for the whole answer.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        target: &str,
        body: Body,
    ) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("Host", "docker")
            .header("Content-Type", "application/x-tar")
            .body(body)
            .map_err(|error| refused(self.endpoint, "its name for the image").because(error))?;
        let answer = self.sender.send_request(request).await;
        let answer = answer.map_err(|error| broken(self.endpoint, error))?;
        let status = answer.status();
        let collected = Limited::new(answer.into_body(), ANSWER_LIMIT)
            .collect()
            .await;
        match collected {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => {
                let what = format!("docker at {} ended its answer early", self.endpoint);
                Err(Error::new(Kind::Local, what).because(error))
            }
        }
    }
}

fn broken(endpoint: &DockerEndpoint, error: hyper::Error) -> Error {
    let plain = matches!(endpoint, DockerEndpoint::Tcp(_, None));
    let no_http = error.is_parse() || error.is_incomplete_message();
    let what = format!("docker at {endpoint} broke the connection off");
    let broken = Error::new(Kind::Local, what).because(error);
    if plain && no_http {
        return broken.hint("if it wants TLS, set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH");
    }
    broken
}
