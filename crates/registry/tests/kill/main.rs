//! A fetch that is killed over and over, at random moments. This program is both the test and,
//! started again with arguments, the process that it kills.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that prints its own result"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use sealift_content::{Repair, Store};
use sealift_oci::{Platform, Reference};
use sealift_registry::{Client, Config, Silent};
use sealift_test_support::{DockerRegistry, FaultPlan, FaultyRegistry, Image, ImageBuilder, Kind};
use sealift_transport::{Settings, Transport};

/// The first argument that makes this program fetch.
const ROLE: &str = "--fetch";
const NAME: &str = "killed_fetches_lose_no_more_than_what_was_on_its_way";
const KILLS: usize = 200;
/// What each connection brings a second, in bytes: slow enough that every kill hits a transfer.
const RATE: u64 = 1_000_000;
/// What all runs together may move, in percent of the image. A kill loses what is on its way on each
/// of a few connections, some 50 KiB in all, so the image is large enough for 200 of them.
const ALLOWED: u64 = 105;
/// The most memory that a fetch may take, in KiB.
const MEMORY: u64 = 64 << 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, image, store] = arguments.as_slice()
        && role == ROLE
    {
        return fetch(image, Path::new(store));
    }
    if arguments.iter().any(|text| text == "--list") {
        println!("{NAME}: test");
        return;
    }
    // The filter that cargo test passes on; its options begin with a dash.
    let filter = arguments.iter().find(|text| !text.starts_with('-'));
    if filter.is_none_or(|filter| NAME.contains(filter.as_str())) {
        kill_and_go_on();
        println!("test {NAME} ... ok\n\n1 passed, 0 failed");
    }
}

/// The process that is killed: it fetches, names what it fetched, and prints the most memory that it
/// took, in KiB.
fn fetch(image: &str, store: &Path) {
    let store = Store::open(store).unwrap();
    let reference = Reference::parse(image).unwrap();
    let platforms = Platform::parse_list("linux/amd64,linux/arm64").unwrap();
    let transport = Transport::new(Settings::default(), Arc::new(sealift_transport::Silent));
    let client = Client::new(transport, Config::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let _lease = store.lease().unwrap();
    let pull = client.pull(&store, &reference, &platforms, Arc::new(Silent));
    let pulled = runtime.block_on(pull).unwrap();
    store.set_names(&[(reference, pulled.origin)]).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.unwrap().trim().trim_end_matches(" kB"));
}

fn kill_and_go_on() {
    let registry = DockerRegistry::start();
    let image = image();
    registry.push(&image, "killed", "1");
    let faulty = FaultyRegistry::open(registry.address(), FaultPlan::none().bytes_per_second(RATE));
    let name = format!("{}/killed:1", faulty.host());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let start = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([ROLE, &name]).arg(&path).stdin(Stdio::null());
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut random = fastrand::Rng::with_seed(4);
    let mut killed = 0;
    while killed < KILLS {
        let mut child = start();
        sleep(Duration::from_millis(random.u64(10..250)));
        if child.try_wait().unwrap().is_some() {
            // It was done: nothing is left to be interrupted.
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        let store = Store::open(&path).unwrap();
        if killed % 20 == 0 {
            assert!(store.verify(Repair::Report, |_| ()).unwrap().is_sound());
        }
    }
    faulty.set_plan(FaultPlan::none());
    assert!(start().wait().unwrap().success());
    let store = Store::open(&path).unwrap();
    for blob in image.all() {
        assert!(store.read_blob(&blob.descriptor.digest, 1 << 30).unwrap() == blob.bytes);
    }
    let (moved, size) = (faulty.bytes(Kind::Blob), image.size());
    println!("{killed} kills, {moved} bytes moved for {size}");
    assert!(killed > KILLS / 4, "only {killed} kills hit a transfer");
    assert!(
        moved * 100 <= size * ALLOWED,
        "{moved} bytes moved for {size} after {killed} kills"
    );
    fetch_in_little_memory(&name, &folder.path().join("another"));
}

/// Fetches all of the image at once, and as fast as it goes.
fn fetch_in_little_memory(name: &str, store: &Path) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args([ROLE, name]).arg(store).output();
    let output = output.unwrap();
    assert!(output.status.success());
    let peak: u64 = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    println!("{peak} KiB of memory at most");
    assert!(peak < MEMORY, "{peak} KiB of memory");
}

fn image() -> Image {
    let one = |platform: &str, own: u64| {
        let shared = ImageBuilder::new(platform).random(1, 40 << 20);
        shared
            .random(own, 250 << 20)
            .random(own + 100, 50 << 20)
            .build()
    };
    Image::index([one("linux/amd64", 2), one("linux/arm64", 3)])
}
