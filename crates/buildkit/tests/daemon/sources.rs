//! Builds whose sources we decide about when the daemon asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sealift_buildkit::{Context, Decision, Kind, Policy, Solve, Source, SourceAuthority};
use sealift_oci::Digest;
use sealift_test_support::{busybox, frontend_image};

use crate::site::{Site, amd64};

const BUSYBOX: &str = "docker-image://docker.io/library/busybox:1.36";
const FRONTEND: &str = "docker-image://docker.io/docker/dockerfile:1";
const FILE: &str = "https://files.example/a/tool.tar";

/// Decides by a table, after a while, and denies the rest.
#[derive(Debug, Default)]
struct Table {
    decisions: BTreeMap<String, Decision>,
    asked: Mutex<Vec<Source>>,
}

impl SourceAuthority for Table {
    fn decide<'a>(&'a self, source: &'a Source) -> BoxFuture<'a, Decision> {
        self.asked.lock().unwrap().push(source.clone());
        let denied = || Decision::Deny(format!("{} is not in the store", source.identifier));
        let known = self.decisions.get(&source.identifier).cloned();
        Box::pin(async move {
            // The daemon waits, longer than it would for a call of its own.
            tokio::time::sleep(Duration::from_secs(2)).await;
            known.unwrap_or_else(denied)
        })
    }
}

impl Table {
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let mut asked: Vec<String> = asked.iter().map(|s| s.identifier.clone()).collect();
        asked.sort();
        asked.dedup();
        asked
    }
}

fn digest(context: Context) -> Digest {
    match context {
        Context::Image { digest, .. } => digest,
        other => panic!("{other:?}"),
    }
}

/// Answers for busybox, the frontend and a file.
fn table(site: &Site) -> Arc<Table> {
    let file = site
        .store
        .put("application/octet-stream", b"a tool")
        .unwrap();
    let image = digest(site.image(&busybox(&["linux/amd64", "linux/arm64"])));
    let frontend = digest(site.image(&frontend_image()));
    let blob = Decision::Blob {
        digest: file.digest,
        filename: "tool.tar".to_owned(),
    };
    let decisions = [
        (BUSYBOX, Decision::Image(image)),
        (FRONTEND, Decision::Image(frontend)),
        (FILE, blob),
    ];
    let decisions = decisions.map(|(name, decision)| (name.to_owned(), decision));
    Arc::new(Table {
        decisions: BTreeMap::from(decisions),
        asked: Mutex::default(),
    })
}

fn solve(site: &Site, table: &Arc<Table>, dockerfile: &str) -> Solve {
    let authority: Arc<dyn SourceAuthority> = table.clone();
    site.solve(dockerfile)
        .policy(Policy::new())
        .platform(&amd64())
        .sources(authority, site.store.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_source_comes_from_the_store_on_ask() {
    let site = Site::new().await;
    site.write("local", "of the context");
    let table = table(&site);
    let dockerfile = format!(
        "# syntax=docker/dockerfile:1\n\
         FROM busybox:1.36 AS one\n\
         RUN echo built > /made\n\
         FROM busybox:1.36\n\
         COPY --from=one /made /\n\
         COPY --from=busybox:1.36 /etc/passwd /copied\n\
         COPY local /local\n\
         ADD --chmod=640 {FILE} /\n\
         RUN cat /made /local /tool.tar && stat -c '%n %a' /tool.tar\n"
    );
    let ran = site.run(solve(&site, &table, &dockerfile)).await;
    let solved = ran.solved();
    site.manifest(solved.image.as_ref().unwrap());
    assert_eq!(table.asked(), [FRONTEND, BUSYBOX, FILE]);
    let platforms: Vec<_> = table.asked.lock().unwrap().clone();
    let busybox = platforms.iter().find(|s| s.identifier == BUSYBOX).unwrap();
    assert_eq!(busybox.platform, Some(amd64()));
    assert_eq!(busybox.image(), Some("docker.io/library/busybox:1.36"));
    let log = ran.log();
    assert!(
        log.contains("built\nof the contexta tool/tool.tar 640\n"),
        "{log}"
    );
    assert!(solved.traffic.sources_asked > 3, "{:?}", solved.traffic);
    assert_eq!(solved.traffic.auth_requests, 0);
    // Steps keep their real names and numbers.
    let names: Vec<_> = ran.vertexes().map(|vertex| vertex.name.as_str()).collect();
    for name in [
        "[internal] load metadata for docker.io/library/busybox:1.36",
        "[stage-1 3/6] COPY --from=busybox:1.36 /etc/passwd /copied",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_denied_fails_with_the_reason() {
    let site = Site::new().await;
    let table = table(&site);
    for (dockerfile, source) in [
        (
            "FROM alpine:3\nRUN true\n",
            "docker-image://docker.io/library/alpine:3",
        ),
        (
            "FROM busybox:1.36\nADD https://files.example/b /\n",
            "https://files.example/b",
        ),
    ] {
        let ran = site.run(solve(&site, &table, dockerfile)).await;
        let failure = ran.error().failure().unwrap();
        let wanted = Kind::PolicyDenied {
            source: source.to_owned(),
            reason: Some(format!("{source} is not in the store")),
        };
        assert_eq!(failure.kind, wanted, "{failure}");
        assert!(!failure.is_transient());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_allowed_is_the_daemons_to_read() {
    let site = Site::new().await;
    let table = Arc::new(Table {
        decisions: BTreeMap::from([("docker-image://127.0.0.1:1/a:1".to_owned(), Decision::Allow)]),
        asked: Mutex::default(),
    });
    let ran = site
        .run(solve(&site, &table, "FROM 127.0.0.1:1/a:1\nRUN true\n"))
        .await;
    let failure = ran.error().failure().unwrap();
    assert!(failure.message.contains("connection refused"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_is_known_to_ask() {
    let site = Site::new().await;
    assert!(site.client.asks_about_sources(&site.store).await.unwrap());
}
