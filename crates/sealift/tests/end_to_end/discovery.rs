//! Discovery against a real daemon: every Dockerfile of the dockerfile crate's corpus is refused
//! by both or by none, at the same line; and the images that a solve looks for, when it can reach
//! none, are those that discovery finds.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use sealift_buildkit::{Address, Client, Error, Event, Excerpt, Failure, Policy, Solve};
use sealift_dockerfile::{images, parse};
use sealift_oci::Platform;
use sealift_test_support::Buildkitd;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::corpus::{Case, written};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// One failed lookup stops the others, some of them before they are reported.
const ATTEMPTS: usize = 10;

/// How many solves run side by side.
const AT_ONCE: usize = 8;

/// Nothing listens there. An image that a policy denies is not even reported as looked for; one
/// that it sends here is, under its own name.
const NOWHERE: &str = "docker-image://127.0.0.1:1/nowhere:1";

struct Daemon {
    client: Client,
    folder: TempDir,
    _buildkitd: Buildkitd,
}

impl Daemon {
    async fn start() -> Self {
        let buildkitd = Buildkitd::start();
        let address = Address::parse(&buildkitd.address()).unwrap();
        Self {
            client: Client::connect(&address).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            _buildkitd: buildkitd,
        }
    }

    fn solve(&self, case: &Case, number: usize) -> Solve {
        let context = self.folder.path().join(number.to_string());
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(context.join("Dockerfile"), &case.text).unwrap();
        // With a command line, the daemon's own frontend does not hand the file to another one.
        let mut solve = Solve::new(context).attribute("cmdline", "x");
        if let Some(target) = &case.query.target {
            solve = solve.target(target);
        }
        for (name, value) in &case.query.build_args {
            solve = solve.build_arg(name, value);
        }
        solve
    }

    /// Returns the images and platforms that a solve looks for until it misses one.
    async fn looked_for(&self, solve: Solve, platform: &str) -> BTreeSet<String> {
        let solve = solve
            .platform(&Platform::parse(platform).unwrap())
            .attribute("multi-platform", "true")
            .policy(Policy::new().convert("docker-image://*", NOWHERE));
        let (sender, mut receiver) = mpsc::channel(64);
        let gather = async {
            let mut found = BTreeSet::new();
            while let Some(event) = receiver.recv().await {
                if let Event::Vertex(vertex) = event {
                    found.extend(image(&vertex.name));
                }
            }
            found
        };
        let solve = self.client.solve(solve, sender, CancellationToken::new());
        let (result, found) = tokio::join!(solve, gather);
        assert!(result.is_err(), "{found:?} were found nowhere");
        found
    }

    /// Compares a case. Returns what differs, and none where there is nothing to compare.
    async fn compare(&self, case: &Case, number: usize, platform: &str) -> Option<Vec<String>> {
        let ours = needs(case, platform)?;
        let mut theirs = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            let solve = self.solve(case, number);
            theirs.extend(self.looked_for(solve, platform).await);
            if theirs == ours {
                return Some(Vec::new());
            }
        }
        let name = &case.name;
        Some(vec![format!("{name}, {platform}: {theirs:?} / {ours:?}")])
    }
}

/// Returns the line that a failure is about: of its excerpt or, without one, of its message.
fn line(failure: &Failure) -> Option<u32> {
    let lines = failure.excerpts.first().and_then(Excerpt::lines);
    lines.map(|lines| *lines.start()).or_else(|| {
        let (_, after) = failure.message.split_once("parse error on line ")?;
        let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    })
}

/// Reads `[linux/arm64 internal] load metadata for IMAGE`.
fn image(vertex: &str) -> Option<String> {
    let (platform, image) = vertex.split_once(" internal] load metadata for ")?;
    let platform = platform.strip_prefix('[')?;
    // The name has the platform as the Dockerfile has it: `linux/arm64/v8`.
    let normal = Platform::parse(platform).map_or(platform.to_owned(), |known| known.to_string());
    Some(format!("{image} {normal}"))
}

fn needs(case: &Case, platform: &str) -> Option<BTreeSet<String>> {
    let mut query = case.query.clone();
    query.platform = Platform::parse(platform).ok()?;
    query.build_args.remove("BUILDKIT_SYNTAX");
    let mut dockerfile = parse(&case.text).ok()?;
    dockerfile.syntax = None;
    let needs = images(&dockerfile, &query).ok()?;
    let needs = needs
        .iter()
        .map(|need| format!("{} {}", need.reference, need.platform));
    Some(needs.collect()).filter(|needs: &BTreeSet<String>| !needs.is_empty())
}

/// Leaves out what needs more than a Dockerfile: contexts, images with triggers, triggers, which
/// come to nothing where no base is found, and times that the daemon would fetch something for.
fn is_plain(case: &Case) -> bool {
    let query = &case.query;
    let time = query.build_args.get("SOURCE_DATE_EPOCH");
    let number = time.is_none_or(|time| time.bytes().all(|byte| byte.is_ascii_digit()));
    let triggers = case.text.to_uppercase().contains("ONBUILD");
    query.contexts.is_empty() && query.triggers.is_empty() && number && !triggers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_refuses_what_the_parser_refuses() {
    let daemon = Daemon::start().await;
    let mut differences = Vec::new();
    for case in written() {
        let ours = parse(&case.text).err();
        // The frontend answers a question about the Dockerfile and builds nothing.
        let solve = daemon
            .solve(&case, 0)
            .attribute("requestid", "frontend.targets")
            .attribute("frontend.caps", "moby.buildkit.frontend.subrequests");
        let (sender, _) = mpsc::channel(1);
        let answer = daemon
            .client
            .solve(solve, sender, CancellationToken::new())
            .await;
        match (answer, &ours) {
            (Ok(_), None) => {}
            (Err(Error::Failed(failure)), Some(error)) => {
                let line = line(&failure).map(|line| usize::try_from(line).unwrap());
                if line.is_some_and(|line| error.line() != Some(line)) {
                    differences.push(format!("{}: {failure} / {error}", case.name));
                }
            }
            (theirs, ours) => differences.push(format!("{}: {theirs:?} / {ours:?}", case.name)),
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_looks_for_the_images_that_discovery_finds() {
    let daemon = Daemon::start().await;
    let cases: Vec<Case> = written().into_iter().filter(is_plain).collect();
    let questions = cases
        .iter()
        .flat_map(|case| PLATFORMS.map(|platform| (case, platform)));
    let answers: Vec<Option<Vec<String>>> = stream::iter(questions.enumerate())
        .map(|(number, (case, platform))| daemon.compare(case, number, platform))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let answers: Vec<Vec<String>> = answers.into_iter().flatten().collect();
    let differences: Vec<String> = answers.iter().flatten().cloned().collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(
        answers.len() > 300,
        "only {} solves were compared",
        answers.len()
    );
}
