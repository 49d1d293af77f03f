//! A real ssh-agent with one key.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Process, program};

/// A running agent that holds one ed25519 key.
#[derive(Debug)]
pub struct SshAgent {
    process: Process,
    folder: TempDir,
}

impl SshAgent {
    /// Starts an agent and gives it a fresh key.
    ///
    /// # Panics
    /// Where OpenSSH's client programs are missing or refuse.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("agent.sock");
        let mut command = Command::new(program("ssh-agent"));
        command.arg("-D").arg("-a").arg(&socket);
        let mut process = Process::start(command, &folder.path().join("log"));
        process.wait_until("its socket", || socket.exists().then_some(()));
        let agent = Self { process, folder };
        let key = agent.folder.path().join("key");
        run(Command::new(program("ssh-keygen"))
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "sealift-test", "-f"])
            .arg(&key));
        run(Command::new(program("ssh-add"))
            .arg(&key)
            .env("SSH_AUTH_SOCK", &socket));
        agent
    }

    /// Returns the path of its socket, for `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    /// Returns the public key's line.
    ///
    /// # Panics
    /// Where the key's file is gone.
    #[must_use]
    pub fn public_key(&self) -> String {
        let path = self.folder.path().join("key.pub");
        let text = std::fs::read_to_string(path).expect("the key was made at the start");
        text.trim().to_owned()
    }

    /// Ends the agent.
    pub fn stop(&mut self) {
        self.process.stop();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("OpenSSH's programs run");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
