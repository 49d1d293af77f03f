//! Ways to a daemon, and its plain calls.

use sealift_buildkit::{Address, Client, Error, Prune};
use sealift_test_support::{Authority, Buildkitd, program};

use crate::site::{Site, amd64};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_tells_of_itself_and_prunes() {
    let site = Site::new().await;
    let version = site.client.version().await.unwrap();
    assert!(version.starts_with('v'), "{version:?}");
    let workers = site.client.workers().await.unwrap();
    assert_eq!(workers.len(), 1);
    assert!(workers[0].runs(&amd64()), "{workers:?}");
    let dockerfile = "FROM busybox:1.36\nRUN echo x > /x\n";
    site.run(site.busybox_solve(dockerfile)).await.solved();
    let before = site.client.disk_usage().await.unwrap();
    assert!(
        before
            .iter()
            .any(|record| record.description.contains("echo x")),
        "{before:?}"
    );
    let all = Prune {
        all: true,
        ..Prune::default()
    };
    let pruned = site.client.prune(&all).await.unwrap();
    assert!(!pruned.is_empty());
    let after = site.client.disk_usage().await.unwrap();
    assert!(after.len() < before.len(), "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_a_way_too() {
    let mut site = Site::new().await;
    let text = format!(
        "exec:{} --addr {} dial-stdio",
        program("buildctl").display(),
        site.daemon.address()
    );
    let client = Client::connect(&Address::parse(&text).unwrap())
        .await
        .unwrap();
    site.client = client;
    let ran = site
        .run(site.busybox_solve("FROM busybox:1.36\nRUN echo through\n"))
        .await;
    ran.solved();
    assert!(ran.log().contains("through"), "{}", ran.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_says_is_in_the_error() {
    let address = Address::parse("exec:sh -c 'echo no such container >&2; exit 1'").unwrap();
    match Client::connect(&address).await.unwrap_err() {
        Error::Connect { reason, .. } => assert!(reason.contains("no such container"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let address = Address::parse("exec:/absent/program").unwrap();
    match Client::connect(&address).await.unwrap_err() {
        Error::Connect { reason, .. } => assert!(reason.contains("/absent/program"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_daemon_is_an_error_with_a_hint() {
    let address = Address::parse("unix:///absent/buildkitd.sock").unwrap();
    match Client::connect(&address).await.unwrap_err() {
        Error::Connect { address, hint, .. } => {
            assert_eq!(address, "unix:///absent/buildkitd.sock");
            assert_eq!(hint, Some("is buildkitd running?"));
        }
        other => panic!("{other:?}"),
    }
}

/// Finds a port that is free now; the daemon takes no port 0.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_works_both_ways_and_a_missing_certificate_is_hinted_at() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test");
    let (server, ours) = (authority.server(&["127.0.0.1"]), authority.client("me"));
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", authority.certificate());
    let certificate = write("cert.pem", &ours.certificate);
    let client_key = write("key.pem", &ours.key);
    let tcp = format!("tcp://127.0.0.1:{}", free_port());
    let (cert, key) = (
        write("server.pem", &server.certificate),
        write("server.key", &server.key),
    );
    let paths = [&ca, &cert, &key].map(|path| path.display().to_string());
    let _daemon = Buildkitd::with(
        "",
        &[],
        &[
            "--addr",
            &tcp,
            "--tlscacert",
            &paths[0],
            "--tlscert",
            &paths[1],
            "--tlskey",
            &paths[2],
        ],
    );
    let trusting = format!("{tcp}?ca={}", paths[0]);
    let known = format!(
        "{trusting}&cert={}&key={}",
        certificate.display(),
        client_key.display()
    );
    let client = Client::connect(&Address::parse(&known).unwrap())
        .await
        .unwrap();
    assert_eq!(client.workers().await.unwrap().len(), 1);

    match Client::connect(&Address::parse(&trusting).unwrap())
        .await
        .unwrap_err()
    {
        Error::Connect { hint, .. } => {
            assert!(hint.unwrap().contains("client certificate"), "{hint:?}");
        }
        other => panic!("{other:?}"),
    }
}
