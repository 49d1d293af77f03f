//! What the programs that build steps run say of a bad network: the programs themselves, against
//! servers and proxies that fail in one way each. Their words, put as BuildKit puts them, find
//! their row of the catalogue.
//!
//! Not to be had here: `no space left on device` and `exec format error` need a disk and a
//! processor of their own, which the end-to-end tests have; busybox's wget, whose static build
//! looks names up only within an image; yum, apk and gem, which Debian does not have, or not as
//! people use them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sealift_failure::{Class, Step, classify_step};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::authority::{Authority, names};
use crate::server::{Act, Server, answer, head, nobody};
use crate::tls::RawPlain;

use Class::{Build, Config, Network, Rate};

/// A way to fail, and what a step that met it is.
const FAULTS: &[(&str, Class)] = &[
    ("reset", Network),
    ("close", Network),
    ("cut", Network),
    ("silence", Network),
    ("closed port", Network),
    ("unknown name", Network),
    ("401", Build),
    ("403", Build),
    ("404", Build),
    ("429", Rate),
    ("500", Network),
    ("502", Network),
    ("503", Network),
    ("504", Network),
    ("unknown authority", Config),
    ("plain for https", Config),
    ("proxy: wants an account", Config),
    ("tunnel: wants an account", Config),
];

/// What some programs alone can tell.
pub(crate) const HTML: (&str, Class) = ("web page", Config);

/// How long a program may run: none has more than a second to wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// The faulty servers, one a fault.
struct World {
    servers: Vec<(&'static str, Server)>,
    closed: String,
    plain: RawPlain,
}

impl World {
    async fn new() -> Self {
        let mut servers = Vec::new();
        for (fault, _) in FAULTS.iter().chain([&HTML]) {
            let acts = acts(fault);
            let server = match *fault {
                "unknown authority" => {
                    let config = Authority::new().server(&names(&["127.0.0.1"]), None);
                    Server::secure(config, move |_| acts.clone()).await
                }
                _ => Server::start(move |_| acts.clone()).await,
            };
            servers.push((*fault, server));
        }
        let closed = nobody().await;
        let plain = RawPlain::start().await;
        Self {
            servers,
            closed,
            plain,
        }
    }

    fn authority(&self, fault: &str) -> String {
        let server = self.servers.iter().find(|(name, _)| *name == fault);
        server.unwrap().1.authority()
    }

    /// The address that a program is given, and its proxy.
    fn place(&self, fault: &str) -> (String, Option<String>) {
        match fault {
            "closed port" => (format!("http://{}", self.closed), None),
            "unknown name" => ("http://no-such-host.invalid".to_owned(), None),
            "unknown authority" => (format!("https://{}", self.authority(fault)), None),
            "plain for https" => (format!("https://{}", self.plain.authority), None),
            "proxy: wants an account" | "tunnel: wants an account" => {
                let scheme = if fault.starts_with("tunnel") {
                    "https"
                } else {
                    "http"
                };
                let proxy = format!("http://{}", self.authority(fault));
                (format!("{scheme}://a.example"), Some(proxy))
            }
            _ => (format!("http://{}", self.authority(fault)), None),
        }
    }
}

/// What a server with this fault does with each request.
fn acts(fault: &str) -> Vec<Act> {
    let cut = [head(200, &[], Some(100_000)), vec![b'x'; 500]].concat();
    let page = b"<!DOCTYPE html><html><title>Log in</title></html>";
    match fault {
        "reset" => vec![Act::Reset],
        "close" => vec![Act::Close],
        "silence" => vec![Act::Hang],
        "cut" => vec![Act::Send(cut), Act::Close],
        "web page" => answer(200, &[("Content-Type", "text/html")], page),
        "401" => answer(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
        "proxy: wants an account" | "tunnel: wants an account" => {
            answer(407, &[("Proxy-Authenticate", "Basic realm=\"x\"")], b"")
        }
        status => answer(status.parse().unwrap_or(400), &[], b""),
    }
}

/// One run of a program in a folder of its own.
struct Run {
    fault: &'static str,
    class: Class,
    command: Command,
    line: String,
    folder: TempDir,
}

/// Runs it and returns its exit code and the end of what it wrote.
fn run(mut run: Run) -> (Run, i32, String) {
    let log = run.folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    run.command
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file);
    let mut child = run.command.spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{}, {}: it does not end", run.line, run.fault);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(30)..].join("\n");
    (run, status.code().unwrap(), end)
}

/// Where a program is sent to.
pub(crate) struct Place<'a> {
    pub(crate) address: &'a str,
    pub(crate) folder: &'a Path,
    /// How long it may wait for an answer, in seconds: long where one comes, as the machine may be
    /// busy.
    pub(crate) patience: u32,
}

/// How one program is called.
pub(crate) type Call = fn(&mut Command, &Place<'_>);

pub(crate) async fn check(program: &str, faults: &[(&'static str, Class)], call: Call) {
    let world = World::new().await;
    let mut running = JoinSet::new();
    let mut wrong = Vec::new();
    let mut waiting = faults.to_vec();
    let mut seen = 0;
    while seen < faults.len() {
        while running.len() < 3
            && let Some((fault, class)) = waiting.pop()
        {
            let (address, proxy) = world.place(fault);
            let one = prepare(program, call, (&address, proxy), (fault, class));
            running.spawn_blocking(move || run(one));
        }
        let (one, code, log) = running.join_next().await.unwrap().unwrap();
        seen += 1;
        if code == 0 {
            wrong.push(format!("{program}, {}: it succeeded\n{log}", one.fault));
            continue;
        }
        let line = &one.line;
        let message = format!(
            "process \"/bin/sh -c {line}\" did not complete successfully: exit code: {code}"
        );
        let found = classify_step(&Step {
            message: &message,
            exit_code: u32::try_from(code).unwrap(),
            log: &log,
            emulated: false,
            proxies: &[],
        });
        let verdict = found.verdict;
        // A name that does not exist, a closed port and the like: the program says of whom it was.
        let named = found.host.is_some() || matches!(program, "wget" | "pip3" | "curl");
        let hinted = verdict.hint.is_some() || one.fault == "404";
        if verdict.class != one.class || !hinted || (verdict.class == Network && !named) {
            wrong.push(format!(
                "{program}, {}: {found:?} of {code}:\n{log}",
                one.fault
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn prepare(
    program: &str,
    call: Call,
    (address, proxy): (&str, Option<String>),
    (fault, class): (&'static str, Class),
) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    let kept = ["PATH", "RUSTUP_HOME", "PYENV_ROOT", "GOROOT", "JAVA_HOME"];
    let kept = kept.map(|name| (name, std::env::var_os(name)));
    let known = kept
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    command
        .env_clear()
        .env("RUSTUP_HOME", home.join(".rustup"))
        .envs(known)
        .env("HOME", folder.path())
        .env("LANG", "C")
        .current_dir(folder.path());
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        if let Some(proxy) = &proxy {
            command.env(name, proxy);
        }
    }
    let place = Place {
        address,
        folder: folder.path(),
        patience: if fault == "silence" { 1 } else { 30 },
    };
    call(&mut command, &place);
    let words = command.get_args().map(|word| word.to_string_lossy());
    let line = format!("{program} {}", words.collect::<Vec<_>>().join(" "));
    Run {
        fault,
        class,
        command,
        line,
        folder,
    }
}

pub(crate) fn all() -> Vec<(&'static str, Class)> {
    FAULTS.to_vec()
}

pub(crate) fn without(faults: &[&str]) -> Vec<(&'static str, Class)> {
    let mut all = all();
    all.retain(|(fault, _)| !faults.contains(fault));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl() {
    check("curl", &all(), |command, place| {
        command.args(["-fsSL", "-o", "/dev/null", "--max-time"]);
        command.arg(place.patience.to_string());
        command.arg(format!("{}/f", place.address));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_curl_and_wget_by_their_exit_codes() {
    let faults = [
        "reset",
        "close",
        "cut",
        "silence",
        "closed port",
        "unknown name",
    ];
    let mut faults = faults.map(|fault| (fault, Network)).to_vec();
    faults.push(("unknown authority", Config));
    check("curl", &faults, |command, place| {
        command.args(["-fs", "-o", "/dev/null", "--max-time"]);
        command.arg(place.patience.to_string());
        command.arg(format!("{}/f", place.address));
    })
    .await;
    check("wget", &faults, |command, place| {
        command.args(["-q", "--tries=1", "-O", "/dev/null"]);
        command.arg(format!("--timeout={}", place.patience));
        command.arg(format!("{}/f", place.address));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wget() {
    check("wget", &all(), |command, place| {
        command.args(["--tries=1", "-O", "/dev/null"]);
        command.arg(format!("--timeout={}", place.patience));
        command.arg(format!("{}/f", place.address));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git() {
    check("git", &all(), |command, place| {
        command.env("GIT_TERMINAL_PROMPT", "0");
        let patience = format!("http.lowSpeedTime={}", place.patience);
        let slow = ["-c", "http.lowSpeedLimit=1", "-c", &patience];
        command
            .args(slow)
            .arg("clone")
            .arg(format!("{}/x.git", place.address));
    })
    .await;
}

/// A step that hangs is ended by its own time-out: the test's is only a net.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_without_a_network_fault_stays_the_users() {
    let checks = tokio::task::spawn_blocking(|| {
        let output = Command::new("sh")
            .args([
                "-c",
                "echo compiling; echo 'make: *** [all] Error 2' >&2; exit 2",
            ])
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        classify_step(&Step {
            message: "process \"make\" did not complete successfully: exit code: 2",
            exit_code: 2,
            log: &log,
            emulated: false,
            proxies: &[],
        })
    });
    let found = tokio::time::timeout(Duration::from_secs(20), checks)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.verdict.class, found.host), (Build, None));
}
