//! Every committed input, and mutations of them that are the same in every run.

use std::fs;
use std::path::Path;

use sealift_fuzz::TARGETS;

/// How many mutations of each target are run: about a minute for all of them in a debug build.
const MUTATIONS: u64 = 10_000;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "{folder:?} has {} inputs", paths.len());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Changes an input a little: bits, bytes, pieces of other inputs, cuts.
fn mutate(input: &mut Vec<u8>, others: &[Vec<u8>], random: &mut fastrand::Rng) {
    for _ in 0..random.u32(1..5) {
        let at = random.usize(..=input.len());
        match random.u8(..6) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 if at < input.len() => {
                input[at] = b"\0\n\r\"'\\{}[]:/@$#=,.<-~9\xff"[random.usize(..23)]
            }
            2 => input.truncate(at),
            3 => input.insert(at, random.u8(..)),
            _ => {
                let other = &others[random.usize(..others.len())];
                let start = random.usize(..=other.len());
                let end = random.usize(start..=other.len().min(start + 40));
                input.splice(at..at, other[start..end].iter().copied());
            }
        }
    }
    input.truncate(4096);
}

fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let inputs = corpus(name);
    for input in &inputs {
        target(input);
    }
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..MUTATIONS {
        let mut input = inputs[random.usize(..inputs.len())].clone();
        mutate(&mut input, &inputs, &mut random);
        let run = std::panic::catch_unwind(|| target(&input));
        assert!(run.is_ok(), "{name}: {:?}", String::from_utf8_lossy(&input));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            let names = TARGETS.map(|(name, _)| name);
            assert_eq!(names[..], [$(stringify!($name)),*]);
        }
    };
}

targets!(dockerfile document reference hosts_toml registries_conf docker_json http_head fsutil);
