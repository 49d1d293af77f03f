//! A bad network in front of a registry, for benchmarks and demonstrations in shell: prints the
//! address that it listens on, serves until SIGTERM or SIGINT, then prints what it has seen.

#![allow(
    clippy::print_stdout,
    reason = "a program for scripts, which read its output"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sealift_test_support::{Fault, FaultPlan, FaultyRegistry, Kind, Ranges, TokenRules};
use tokio::signal::unix::{SignalKind, signal};

/// Puts a faulty proxy in front of a registry.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address of the real registry, which speaks plain HTTP.
    #[arg(long)]
    upstream: SocketAddr,
    /// Address to listen on; port 0 is one that the kernel chooses.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Demands Bearer tokens, which anyone gets for pulling.
    #[arg(long)]
    tokens: bool,
    /// NAME:PASSWORD of an account that may push, too; demands tokens, as `--tokens` does.
    #[arg(long, value_parser = parse_account)]
    account: Option<(String, String)>,
    /// Seed of all random decisions.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Bytes of body a second that each connection gets.
    #[arg(long)]
    rate: Option<u64>,
    /// Milliseconds that each request waits.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// KIND=FAULT:PROBABILITY. Kinds: token, ping, manifest, blob, upload, publish, any. Faults:
    /// reset, close, silence, html, cut, cut-reset, stall, corrupt, or a status code.
    #[arg(long, value_parser = parse_rule)]
    fault: Vec<Rule>,
    /// How requests for parts of blobs are answered: honest, ignored, refused, lying, shifted.
    #[arg(long, value_parser = parse_ranges, default_value = "honest")]
    ranges: Ranges,
}

/// One `--fault`; without a kind, all requests but those for tokens.
#[derive(Debug, Clone)]
struct Rule {
    kind: Option<Kind>,
    fault: Fault,
    probability: f64,
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let (kind, rest) = text.split_once('=').ok_or("there is no =")?;
    let (fault, probability) = rest.rsplit_once(':').unwrap_or((rest, "1"));
    let kind = match kind {
        "token" => Some(Kind::Token),
        "ping" => Some(Kind::Ping),
        "manifest" => Some(Kind::Manifest),
        "blob" => Some(Kind::Blob),
        "upload" => Some(Kind::Upload),
        "publish" => Some(Kind::Publish),
        "any" => None,
        other => return Err(format!("there is no kind {other}")),
    };
    let fault = match fault {
        "reset" => Fault::Reset,
        "close" => Fault::Close,
        "silence" => Fault::Silence,
        "html" => Fault::Html,
        "cut" => Fault::Cut,
        "cut-reset" => Fault::CutReset,
        "stall" => Fault::Stall,
        "corrupt" => Fault::Corrupt,
        "429" => Fault::TooMany(Some(1)),
        other => match other.parse() {
            Ok(status) => Fault::Status(status),
            Err(_) => return Err(format!("there is no fault {other}")),
        },
    };
    let probability: f64 = probability
        .parse()
        .map_err(|_| format!("{probability} is no probability"))?;
    if kind.is_none() && probability < 1.0 {
        return Err("a fault of any kind comes always: leave the probability out".to_owned());
    }
    Ok(Rule {
        kind,
        fault,
        probability,
    })
}

fn parse_account(text: &str) -> Result<(String, String), String> {
    let (name, password) = text.split_once(':').ok_or("there is no :")?;
    Ok((name.to_owned(), password.to_owned()))
}

fn parse_ranges(text: &str) -> Result<Ranges, String> {
    Ok(match text {
        "honest" => Ranges::Honest,
        "ignored" => Ranges::Ignored,
        "refused" => Ranges::Refused,
        "lying" => Ranges::Lying,
        "shifted" => Ranges::Shifted,
        other => return Err(format!("there is no way {other}")),
    })
}

fn plan(arguments: &Arguments) -> FaultPlan {
    let mut plan = FaultPlan::seeded(arguments.seed)
        .ranges(arguments.ranges)
        .delay(Duration::from_millis(arguments.delay));
    if let Some(rate) = arguments.rate {
        plan = plan.bytes_per_second(rate);
    }
    for rule in &arguments.fault {
        plan = match rule.kind {
            Some(kind) => plan.chance(kind, rule.probability, rule.fault),
            None => plan.always(rule.fault),
        };
    }
    plan
}

fn report(registry: &FaultyRegistry) {
    let kinds = [
        ("token", Kind::Token),
        ("ping", Kind::Ping),
        ("manifest", Kind::Manifest),
        ("blob", Kind::Blob),
        ("upload", Kind::Upload),
        ("publish", Kind::Publish),
        ("other", Kind::Other),
    ];
    for (name, kind) in kinds {
        let requests = registry.count(kind);
        println!("{name} requests={requests} bytes={}", registry.bytes(kind));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (Ok(mut interrupt), Ok(mut end)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return ExitCode::FAILURE;
    };
    let mut rules = arguments.tokens.then(TokenRules::anonymous);
    if let Some((name, password)) = &arguments.account {
        rules = Some(TokenRules::anonymous().account(name, password));
    }
    let registry = FaultyRegistry::at(
        arguments.listen,
        arguments.upstream,
        rules,
        plan(&arguments),
    );
    println!("listening on {}", registry.address());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = end.recv() => {}
    }
    report(&registry);
    ExitCode::SUCCESS
}
