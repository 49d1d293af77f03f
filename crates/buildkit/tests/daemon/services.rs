//! Secrets, ssh agents and tokens.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use sealift_buildkit::{Authority, Error, Kind, Policy, Refusal, Secret, Token, TokenRequest};
use sealift_test_support::{
    DockerRegistry, FaultPlan, FaultyRegistry, Http, SshAgent, TokenRules, busybox, program,
};

use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_reaches_its_step_only() {
    let site = Site::new().await;
    let solve = site
        .busybox_solve(
            "FROM busybox:1.36\n\
             RUN --mount=type=secret,id=key,required=true rev /run/secrets/key\n\
             RUN --mount=type=secret,id=other ls /run/secrets 2>&1 || echo none\n",
        )
        .secret("key", Secret::new("hunter2"));
    let ran = site.run(solve).await;
    assert_eq!(ran.solved().traffic.secrets_given, 1);
    assert!(ran.log().contains("2retnuh"), "{}", ran.log());
    assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_required_and_absent_fails() {
    let site = Site::new().await;
    let solve = site
        .busybox_solve("FROM busybox:1.36\nRUN --mount=type=secret,id=key,required=true true\n")
        .secret("other", Secret::new("x"));
    let ran = site.run(solve).await;
    let failure = ran.error().failure().unwrap();
    assert!(
        failure.message.contains("secret key: not found"),
        "{failure}"
    );
    assert_eq!(failure.excerpts[0].lines(), Some(2..=2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_too_large_is_refused_at_once() {
    let site = Site::new().await;
    let solve = site
        .busybox_solve("FROM busybox:1.36\n")
        .secret("key", Secret::new(vec![0; Secret::LIMIT + 1]));
    let ran = site.run(solve).await;
    assert!(matches!(ran.error(), Error::SecretTooLarge { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_lists_and_signs_but_loses_no_keys() {
    let site = Site::new().await;
    let agent = SshAgent::start();
    // OpenSSH's own clients, with the libraries that they need.
    for name in ["ssh-add", "ssh-keygen"] {
        install(&site, &program(name));
    }
    site.write("key.pub", agent.public_key());
    let solve = site
        .busybox_solve(
            "FROM busybox:1.36\n\
             COPY root /\n\
             COPY key.pub /key.pub\n\
             RUN --mount=type=ssh ssh-add -D || echo refused; ssh-add -L; \
                 echo text > /text; ssh-keygen -Y sign -f /key.pub -n file /text && cat /text.sig\n",
        )
        .ssh_agent("default", agent.socket());
    let ran = site.run(solve).await;
    ran.solved();
    let log = ran.log();
    let key = agent.public_key();
    let key = key.split(' ').nth(1).unwrap();
    assert!(log.contains("refused"), "{log}");
    assert!(log.contains(key), "{log}");
    assert!(log.contains("BEGIN SSH SIGNATURE"), "{log}");
}

/// Puts a program and its libraries into the context, under `root`.
fn install(site: &Site, program: &Path) {
    let libraries = Command::new("ldd").arg(program).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    let words = libraries.split_whitespace();
    let files = words.filter(|word| word.starts_with('/')).map(Path::new);
    let name = Path::new("/bin").join(program.file_name().unwrap());
    for (from, to) in files
        .map(|file| (file, file))
        .chain([(program, name.as_path())])
    {
        let to = site
            .context()
            .join("root")
            .join(to.strip_prefix("/").unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_nobody_offers_is_named() {
    let site = Site::new().await;
    let agent = SshAgent::start();
    let solve = site
        .busybox_solve("FROM busybox:1.36\nRUN --mount=type=ssh,id=git,required=true true\n")
        .ssh_agent("default", agent.socket());
    let ran = site.run(solve).await;
    let failure = ran.error().failure().unwrap();
    let id = "git".to_owned();
    assert_eq!(failure.kind, Kind::MissingAgent { id }, "{failure}");
    let solve = site
        .busybox_solve("FROM busybox:1.36\n")
        .ssh_agent("default", site.path("absent"));
    let ran = site.run(solve).await;
    assert!(matches!(ran.error(), Error::SshAgent { .. }));
}

/// Fetches tokens from a registry's own endpoint, with an account.
#[derive(Debug)]
struct Fetcher {
    endpoint: SocketAddr,
    asked: Mutex<Vec<TokenRequest>>,
}

impl Authority for Fetcher {
    fn token<'a>(&'a self, wanted: &'a TokenRequest) -> BoxFuture<'a, Result<Token, Refusal>> {
        self.asked.lock().unwrap().push(wanted.clone());
        let query = wanted.scopes.iter().map(|scope| format!("&scope={scope}"));
        let (_, path) = wanted.realm.split_once(&self.endpoint.to_string()).unwrap();
        let target = format!(
            "{path}?service={}{}",
            wanted.service,
            query.collect::<String>()
        );
        // "sealift:secret" in base64.
        let http = Http::new(self.endpoint).header("Authorization", "Basic c2VhbGlmdDpzZWNyZXQ=");
        let response = http.get(&target);
        let document: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let token = document["token"].as_str().map(|value| Token {
            value: value.to_owned(),
            expires_in: 60,
        });
        Box::pin(std::future::ready(
            token.ok_or(Refusal("no token".to_owned())),
        ))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_fetched_by_us() {
    let registry = DockerRegistry::start();
    registry.push(&busybox(&["linux/amd64"]), "private/busybox", "1.36");
    let rules = TokenRules::private().account("sealift", "secret");
    let front = FaultyRegistry::with_tokens(registry.address(), rules, FaultPlan::none());
    let site = Site::new().await;
    let fetcher = Arc::new(Fetcher {
        endpoint: front.token_address(),
        asked: Mutex::default(),
    });
    let dockerfile = format!("FROM {}/private/busybox:1.36\nRUN true\n", front.host());
    let solve = || site.solve(&dockerfile).policy(Policy::new());
    let ran = site.run(solve().authority(fetcher.clone())).await;
    assert!(ran.solved().traffic.auth_requests >= 2);
    // What was fetched for one session is not another's.
    let ran = site.run(solve()).await;
    let failure = ran.error().failure().unwrap();
    assert!(failure.message.contains("401"), "{failure}");
    assert_eq!(failure.kind, Kind::Step);
    let asked = fetcher.asked.lock().unwrap();
    assert_eq!(asked[0].scopes, ["repository:private/busybox:pull"]);
    assert_eq!(asked[0].host, front.host());
}
