//! Credential helpers: programs named `docker-credential-NAME` that are asked by `get`
//! (docker-credential-helpers' protocol).

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::{Credential, Helpers};
use crate::code::printable;
use crate::secret::Secret;

const ANSWER_LIMIT: u64 = 1024 * 1024;
const WORDS_LIMIT: u64 = 16 * 1024;
/// What helpers say, on stdout, where they have no entry.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// A credential helper that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("docker-credential-{helper} failed for {server}: {reason}")]
pub struct HelperFailure {
    /// The helper's name, after `docker-credential-`.
    pub helper: String,
    /// What it was asked for.
    pub server: String,
    /// What happened, with what it wrote to its standard error.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// Asks a helper; nothing where it has no entry.
pub(super) async fn get(
    name: &str,
    server: &str,
    helpers: &Helpers,
) -> Result<Option<Credential>, HelperFailure> {
    let failure = |reason: String| HelperFailure {
        helper: name.to_owned(),
        server: server.to_owned(),
        reason,
    };
    if name.contains(['/', '\\']) {
        return Err(failure("its name holds a slash".to_owned()));
    }
    let asked = run(name, server, helpers);
    match tokio::time::timeout(helpers.timeout, asked).await {
        Ok(answer) => answer.map_err(failure),
        Err(_) => Err(failure(format!(
            "no answer within {}",
            seconds(helpers.timeout)
        ))),
    }
}

async fn run(name: &str, server: &str, helpers: &Helpers) -> Result<Option<Credential>, String> {
    let mut command = Command::new(program(name, helpers));
    command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such program in PATH".to_owned(),
        _ => error.to_string(),
    })?;
    let mut stdin = child.stdin.take();
    let ask = async {
        if let Some(mut stdin) = stdin.take() {
            // A helper that does not read its input may still answer.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ((), answer, words) =
        tokio::join!(ask, read(stdout, ANSWER_LIMIT), read(stderr, WORDS_LIMIT));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if !status.success() {
        let said = String::from_utf8_lossy(&answer);
        if said.contains(NOT_FOUND) {
            return Ok(None);
        }
        let words = String::from_utf8_lossy(&words);
        let words = if words.trim().is_empty() { said } else { words };
        return Err(format!("{status}: {}", printable(&words)));
    }
    let answer: Answer = serde_json::from_slice(&answer)
        .map_err(|error| format!("its answer is malformed at column {}", error.column()))?;
    // An empty pair is how some helpers say that they have nothing.
    let empty = answer.secret.is_empty();
    Ok((!empty).then(|| Credential::of(answer.username, answer.secret)))
}

/// Finds the program in the folders given, or leaves it to this process's own PATH.
fn program(name: &str, helpers: &Helpers) -> std::path::PathBuf {
    let file = format!("docker-credential-{name}");
    let folders = helpers.path.iter().flat_map(std::env::split_paths);
    let mut candidates = folders.map(|folder| folder.join(&file));
    candidates
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| file.clone().into())
}

async fn read(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What was read before an error still tells something.
        let _ = (&mut stream).take(limit).read_to_end(&mut bytes).await;
        // Reading on keeps a talkative helper from blocking on a full pipe.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    bytes
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder with a helper named `test`.
    pub(in crate::credentials) struct Scripts(tempfile::TempDir);

    impl Scripts {
        pub(in crate::credentials) fn new(script: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("docker-credential-test");
            // Written by a child: a descriptor open for writing here could leak into a fork of
            // another test and make the kernel refuse to run the script.
            let write = std::process::Command::new("sh")
                .args(["-c", "printf '%s' \"$1\" > \"$2\"", "sh", script])
                .arg(&path)
                .status();
            assert!(write.unwrap().success());
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            Self(folder)
        }

        pub(in crate::credentials) fn helpers(&self, timeout: Duration) -> Helpers {
            let path = Some(self.0.path().as_os_str().to_owned());
            Helpers { timeout, path }
        }

        /// What a script wrote beside itself.
        pub(in crate::credentials) fn log(&self) -> String {
            std::fs::read_to_string(self.0.path().join("docker-credential-test.log")).unwrap()
        }

        async fn get(
            &self,
            name: &str,
            timeout: Duration,
        ) -> Result<Option<Credential>, HelperFailure> {
            get(name, "h:5000", &self.helpers(timeout)).await
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn is_asked_on_stdin_and_answers_in_json() {
        let scripts = Scripts::new(
            "#!/bin/sh\nread server\necho \"{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"$1 $server\\\",\\\"Secret\\\":\\\"s\\\"}\"\n",
        );
        let credential = scripts.get("test", LONG).await.unwrap().unwrap();
        assert_eq!(credential.account(), "get h:5000");
    }

    #[tokio::test]
    async fn an_identity_token_is_told_by_its_user_name() {
        let scripts =
            Scripts::new("#!/bin/sh\necho '{\"Username\":\"<token>\",\"Secret\":\"t\"}'\n");
        let expected = Credential::Identity {
            username: None,
            token: "t".into(),
        };
        assert_eq!(scripts.get("test", LONG).await.unwrap(), Some(expected));
    }

    #[tokio::test]
    async fn not_found_is_no_failure() {
        let scripts =
            Scripts::new("#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n");
        assert_eq!(scripts.get("test", LONG).await.unwrap(), None);
    }

    #[tokio::test]
    async fn failures_show_stderr_and_a_hanging_helper_is_killed() {
        let scripts = Scripts::new("#!/bin/sh\necho 'keychain is locked' >&2\nexit 3\n");
        let failure = scripts.get("test", LONG).await.unwrap_err().to_string();
        assert!(
            failure.contains("keychain is locked") && failure.contains('3'),
            "{failure}"
        );
        let scripts = Scripts::new("#!/bin/sh\nexec sleep 1000\n");
        let failure = scripts
            .get("test", Duration::from_millis(300))
            .await
            .unwrap_err();
        assert_eq!(failure.reason, "no answer within 0.3 s");
        let failure = scripts.get("absent", LONG).await.unwrap_err();
        assert_eq!(failure.reason, "there is no such program in PATH");
        let failure = scripts.get("../test", LONG).await.unwrap_err();
        assert_eq!(failure.reason, "its name holds a slash");
    }
}
