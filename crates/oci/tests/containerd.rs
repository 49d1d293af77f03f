//! Platforms against containerd's package `platforms`, which `tools/platform-oracle` asks: how they
//! are written, and which images' platforms a machine runs, best first.

use fastrand::Rng;
use proptest::prelude::{prop_assert_eq, proptest};
use sealift_oci::Platform;
use sealift_test_support::Oracle;
use serde::Deserialize;

const SEED: u64 = 0x5ea1_1f7d;
const CASES: usize = 4000;

const SYSTEMS: [&str; 7] = [
    "linux", "Linux", "windows", "macos", "wasi", "freebsd", "plan9",
];
const ARCHITECTURES: [&str; 14] = [
    "amd64", "x86_64", "X86-64", "arm64", "aarch64", "arm", "armhf", "armel", "386", "i386",
    "riscv64", "wasm", "s390x", "odd",
];
/// Without unknown ones of arm64, which containerd lets match nothing at all.
const VARIANTS: [&str; 18] = [
    "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v8.0", "v8.2", "v8.9", "v9", "v9.0", "v9.1",
    "v9.6", "5", "7", "8",
];
const VERSIONS: [&str; 12] = [
    "10.0.17763",
    "10.0.17763.1999",
    "10.0.20348",
    "10.0.20348.2",
    "10.0.25398.1",
    "10.0.26100.1742",
    "10.0.26200",
    "10.1.17763",
    "6.1",
    "ltsc2022",
    "0.0.0",
    "10.0.99999",
];
const FEATURES: [&str; 4] = ["win32k", "sve", "A.b", "c+d%/(e)"];
const REFUSED: [&str; 14] = [
    "",
    "/",
    "linux/",
    "/amd64",
    "a/b/c/d",
    "*",
    "linux/*",
    "lin.ux/amd64",
    "linux(/amd64",
    "linux(1+)/amd64",
    "linux(1)x/amd64",
    "linux(%4)/amd64",
    "linux(a b)/amd64",
    "solaris64",
];

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Answer {
    written: String,
    machine: String,
    runs: Vec<usize>,
    #[serde(default)]
    error: String,
}

fn one(random: &mut Rng, of: &[&str]) -> String {
    of[random.usize(..of.len())].to_owned()
}

/// Makes a platform as documents have it: with any of an architecture's names, not normalised.
fn platform(random: &mut Rng) -> Platform {
    // Four systems in five are of the same two, or nothing would match.
    let os = match random.u8(..5) {
        0 => one(random, &SYSTEMS),
        1 => "windows".to_owned(),
        _ => "linux".to_owned(),
    };
    let architecture = match random.u8(..4) {
        0 => one(random, &ARCHITECTURES),
        _ => one(random, &["amd64", "arm64", "arm"]),
    };
    let arm64 = matches!(architecture.as_str(), "arm64" | "aarch64");
    let variants: Vec<&str> = VARIANTS
        .into_iter()
        .filter(|variant| !arm64 || variant.trim_start_matches('v').starts_with(['8', '9']))
        .collect();
    let mut os_features: Vec<String> = Vec::new();
    if random.u8(..3) == 0 {
        os_features.extend(FEATURES.iter().map(|feature| (*feature).to_owned()));
        os_features.retain(|_| random.bool());
        random.shuffle(&mut os_features);
    }
    Platform {
        variant: random.bool().then(|| one(random, &variants)),
        os_version: (random.u8(..3) == 0).then(|| one(random, &VERSIONS)),
        os_features,
        os,
        architecture,
    }
}

/// Makes the text of a machine's platform, some of it malformed or left out.
fn machine(random: &mut Rng) -> String {
    let platform = platform(random);
    let text = platform.to_string();
    match random.u8(..40) {
        0 | 1 => one(random, &REFUSED),
        2 => platform.architecture,
        3 => text.split('/').next().unwrap_or_default().to_owned(),
        _ => text,
    }
}

fn ours(machine: &str, offered: &[Platform]) -> Answer {
    let parsed = Platform::parse_written(machine, &Platform::host());
    let written = match parsed {
        Ok(written) => written,
        Err(error) => {
            return Answer {
                written: String::new(),
                machine: String::new(),
                runs: Vec::new(),
                error: error.to_string(),
            };
        }
    };
    let machine = written.clone().normalized();
    let ranks = offered.iter().map(|platform| machine.rank(platform));
    let mut runs: Vec<(usize, usize)> = ranks
        .enumerate()
        .filter_map(|(number, rank)| Some((rank?, number)))
        .collect();
    runs.sort_unstable();
    Answer {
        written: written.to_string(),
        machine: machine.to_string(),
        runs: runs.into_iter().map(|(_, number)| number).collect(),
        error: String::new(),
    }
}

#[test]
fn machines_and_what_they_run_are_containerds() {
    let mut oracle = Oracle::start("platform-oracle");
    let mut random = Rng::with_seed(SEED);
    let (mut refused, mut several) = (0, 0);
    for _ in 0..CASES {
        let machine = machine(&mut random);
        let offered: Vec<Platform> = (0..30).map(|_| platform(&mut random)).collect();
        let question = serde_json::json!({ "machine": machine, "offered": offered });
        let theirs: Answer = oracle.ask(&question);
        let ours = ours(&machine, &offered);
        assert_eq!(
            theirs.error.is_empty(),
            ours.error.is_empty(),
            "{machine}: {theirs:?} {ours:?}"
        );
        assert_eq!(
            (&theirs.written, &theirs.machine, &theirs.runs),
            (&ours.written, &ours.machine, &ours.runs),
            "{machine}: {question:#}"
        );
        refused += usize::from(!ours.error.is_empty());
        several += usize::from(ours.runs.len() > 1);
    }
    assert!(
        refused > CASES / 50 && several > CASES / 4,
        "{refused} refused, {several} with a choice"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        os in "[a-z0-9_-]{1,8}",
        os_version in proptest::option::of("[0-9a-zA-Z.+%()/]{1,12}"),
        os_features in proptest::collection::vec("[0-9a-zA-Z.+%()/]{1,8}", 0..4),
        architecture in "[a-z0-9_.-]{1,8}",
        variant in proptest::option::of("[a-z0-9_.-]{1,4}"),
    ) {
        let platform = Platform { architecture, os, os_version, os_features, variant }.normalized();
        let text = platform.to_string();
        prop_assert_eq!(Platform::parse(&text), Ok(platform), "{}", text);
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,30}") {
        if let Ok(platform) = Platform::parse(&text) {
            prop_assert_eq!(Platform::parse(&platform.to_string()), Ok(platform));
        }
    }
}
