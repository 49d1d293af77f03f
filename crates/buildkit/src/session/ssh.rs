//! Forwards ssh agents to RUN steps (`moby.sshforward.v1`): keys can be listed and used, and
//! nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_stream::StreamExt as _;
use tokio_util::io::StreamReader;
use tonic::{Request, Response, Status, Streaming};

use super::owned::{Owned, Sender};
use crate::proto::ssh::ssh_server::Ssh;
use crate::proto::ssh::{BytesMessage, CheckAgentRequest, CheckAgentResponse};

/// Connects RUN steps with the agents that the solve offers, by id.
pub(crate) struct Service {
    pub(crate) agents: BTreeMap<String, PathBuf>,
}

const ID: &str = "buildkit.ssh.id";
const DEFAULT: &str = "default";
/// The size of an agent's message, in bytes: OpenSSH's own limit.
const MESSAGE_LIMIT: u32 = 256 << 10;

/// Requests that a step may send (draft-miller-ssh-agent, 6.1).
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
/// The answer `SSH_AGENT_FAILURE`, with its length.
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];

impl Service {
    fn agent(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { DEFAULT } else { id };
        let unknown = || {
            // As the daemon says it where no agent at all is forwarded.
            Status::not_found(format!("no SSH key \"{id}\" forwarded from the client"))
        };
        self.agents.get(id).ok_or_else(unknown)
    }
}

#[tonic::async_trait]
impl Ssh for Service {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.agent(&request.into_inner().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = Owned<BytesMessage>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request.metadata().get(ID).and_then(|id| id.to_str().ok());
        let path = self.agent(id.unwrap_or_default())?;
        let agent = UnixStream::connect(path).await.map_err(|error| {
            Status::unavailable(format!("ssh agent {}: {error}", path.display()))
        })?;
        let requests = request.into_inner().map(|message| match message {
            Ok(message) => Ok(Bytes::from(message.data)),
            Err(status) => Err(io::Error::other(status)),
        });
        let (mut stream, answers) = Owned::channel(8);
        stream.spawn(async move {
            if let Err(error) = relay(StreamReader::new(requests), &answers, agent).await {
                let status = Status::unavailable(format!("ssh agent: {error}"));
                // The step may have gone meanwhile; then nobody reads the answer.
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(stream))
    }
}

/// Passes requests on one by one and their answers back, until either side ends.
async fn relay(
    mut requests: impl AsyncRead + Unpin,
    answers: &Sender<BytesMessage>,
    mut agent: UnixStream,
) -> io::Result<()> {
    while let Some(request) = read_message(&mut requests).await? {
        let allowed = matches!(request.get(4), Some(&(REQUEST_IDENTITIES | SIGN_REQUEST)));
        let data = if allowed {
            agent.write_all(&request).await?;
            let answer = read_message(&mut agent).await?;
            answer.ok_or(io::ErrorKind::UnexpectedEof)?
        } else {
            FAILURE.to_vec()
        };
        let sent = answers.send(Ok(BytesMessage { data })).await;
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
    Ok(())
}

/// Reads one message with its length; `None` at the end.
async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(head);
    if !(1..=MESSAGE_LIMIT).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = head.to_vec();
    message.resize(4 + length as usize, 0);
    from.read_exact(&mut message[4..]).await?;
    Ok(Some(message))
}
