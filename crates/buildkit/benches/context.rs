//! Sends a context of 600 MB in 3,000 files to a real buildkitd, and its files back into a folder,
//! by this crate and by buildctl in turn, and prints the times and their ratio.
//!
//! `cargo bench -p sealift-buildkit --bench context [-- RUNS]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it prints, and fails by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sealift_buildkit::{Address, Client, Output, Prune, Solve};
use sealift_test_support::{Buildkitd, program};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const FILES: usize = 3000;
const BYTES: usize = 600 << 20;

fn main() {
    let number = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next();
    let runs: usize = number.unwrap_or(5);
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context");
    make(&context);
    let daemon = Buildkitd::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for back in [None, Some(folder.path().join("out"))] {
        let mut times: [Vec<Duration>; 2] = Default::default();
        let before = processor_time();
        for _ in 0..runs {
            let ours = runtime.block_on(ours(&daemon, &context, back.as_deref()));
            times[0].push(ours);
            times[1].push(buildctl(&daemon, &context, back.as_deref()));
        }
        let after = processor_time();
        let [ours, buildctl] = times.map(median);
        let what = if back.is_some() { "in and out" } else { "in" };
        let ratio = ours.as_secs_f64() / buildctl.as_secs_f64();
        println!(
            "600 MB in {FILES} files, {what}: sealift {:.2} s, buildctl {:.2} s, ratio {ratio:.2} \
             (median of {runs})",
            ours.as_secs_f64(),
            buildctl.as_secs_f64()
        );
        let each = |i: usize| (after[i] - before[i]) / runs as f64;
        println!(
            "  processor time a run: sealift {:.2} s, buildctl {:.2} s",
            each(0),
            each(1)
        );
    }
}

/// Returns the processor time of this process and of its children that have ended, in seconds.
fn processor_time() -> [f64; 2] {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // Fields 14 to 17 of proc(5), in hundredths of a second.
    let ticks: Vec<f64> = fields
        .split(' ')
        .skip(11)
        .take(4)
        .map(|field| field.parse().unwrap())
        .collect();
    [(ticks[0] + ticks[1]) / 100.0, (ticks[2] + ticks[3]) / 100.0]
}

/// Writes files of one size, in folders of 100, with content that no two have in common.
fn make(context: &Path) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut content = vec![0; BYTES / FILES];
    for number in 0..FILES {
        let folder = context.join(format!("folder{:02}", number / 100));
        std::fs::create_dir_all(&folder).unwrap();
        random.fill(&mut content);
        std::fs::write(folder.join(format!("file{number}")), &content).unwrap();
    }
    std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
}

async fn ours(daemon: &Buildkitd, context: &Path, back: Option<&Path>) -> Duration {
    let address = Address::parse(&daemon.address()).unwrap();
    let client = Client::connect(&address).await.unwrap();
    clear(&client, back).await;
    let begin = Instant::now();
    let client = Client::connect(&address).await.unwrap();
    let output = back.map_or(Output::None, |folder| Output::Folder(folder.to_owned()));
    let solve = Solve::new(context).output(output);
    let (sender, mut receiver) = mpsc::channel(64);
    let solve = client.solve(solve, sender, CancellationToken::new());
    let drain = async { while receiver.recv().await.is_some() {} };
    let (solved, ()) = tokio::join!(solve, drain);
    let time = begin.elapsed();
    assert_eq!(solved.unwrap().traffic.files_sent, FILES as u64 + 2);
    clear(&client, None).await;
    time
}

async fn clear(client: &Client, back: Option<&Path>) {
    let all = Prune {
        all: true,
        ..Prune::default()
    };
    client.prune(&all).await.unwrap();
    if let Some(folder) = back.filter(|folder| folder.exists()) {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

fn buildctl(daemon: &Buildkitd, context: &Path, back: Option<&Path>) -> Duration {
    let local = |name: &str| format!("--local={name}={}", context.display());
    let mut command = Command::new(program("buildctl"));
    command
        .args([
            "--addr",
            &daemon.address(),
            "build",
            "--frontend=dockerfile.v0",
        ])
        .args([local("context"), local("dockerfile")])
        .arg("--progress=plain");
    if let Some(folder) = back {
        if folder.exists() {
            std::fs::remove_dir_all(folder).unwrap();
        }
        command.arg(format!("--output=type=local,dest={}", folder.display()));
    }
    let begin = Instant::now();
    let output = command.output().unwrap();
    let time = begin.elapsed();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
