//! Secrets and ssh agents.

use std::path::Path;
use std::process::Command;

use sealift_buildkit::{Error, Secret};
use sealift_test_support::{SshAgent, program};

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
    let message = &ran.error().failure().unwrap().message;
    assert!(message.contains("--ssh git=SOCKET"), "{message}");
    let solve = site
        .busybox_solve("FROM busybox:1.36\n")
        .ssh_agent("default", site.path("absent"));
    let ran = site.run(solve).await;
    assert!(matches!(ran.error(), Error::SshAgent { .. }));
}
