//! A seeded campaign on one store: pulls, pushes, collections, verifications and removals, killed,
//! stopped, short of room and damaged at random. Only two promises are checked: whatever exits 0 did
//! what it says, and whatever is named verifies but for what was damaged since.
//!
//! `benches/chaos.sh` runs it for longer: `SEALIFT_CHAOS_STEPS` and `SEALIFT_CHAOS_SEED`.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sealift_content::{Repair, Store};
use sealift_oci::{Digest, Index, Manifest, Platform, Reference};
use sealift_test_support::{Image, random_image, skopeo};

use crate::harbor::Harbor;

const STEPS: u64 = 60;
const IMAGES: u64 = 4;
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

struct Campaign {
    harbor: Harbor,
    images: Vec<(String, Image)>,
    /// Blobs that were damaged and not yet found.
    damaged: BTreeSet<Digest>,
    random: fastrand::Rng,
    /// What happened, for whoever has to find a fault.
    log: Vec<String>,
}

/// How a command ended, and what was done to it meanwhile.
struct Ended {
    line: String,
    code: Option<i32>,
}

impl Campaign {
    fn begin(seed: u64) -> Self {
        let harbor = Harbor::open();
        harbor.disk_of(24);
        let images = (0..IMAGES).map(|number| {
            let image = random_image(number, &PLATFORMS, &[400_000, 60_000, 3_000]);
            (harbor.publish(&image, &format!("a/b:{number}")), image)
        });
        let images = images.collect();
        Self {
            harbor,
            images,
            damaged: BTreeSet::new(),
            random: fastrand::Rng::with_seed(seed),
            log: Vec::new(),
        }
    }

    fn store(&self) -> Store {
        Store::open(self.harbor.sealift.store_home().join("store")).unwrap()
    }

    fn start(&self, line: &str) -> Child {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = self
            .harbor
            .sealift
            .command(self.harbor.sealift.home(), &words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Runs a command to its end, or to one that comes from outside.
    fn run(&mut self, line: &str) -> Ended {
        let mut child = self.start(line);
        let pause = Duration::from_millis(self.random.u64(5..120));
        let fate = self.random.u8(..8);
        if fate < 3 {
            std::thread::sleep(pause);
            let signal = ["-KILL", "-KILL", "-STOP"][usize::from(fate)];
            // It may have ended by itself.
            send(&child, signal);
            if signal == "-STOP" {
                std::thread::sleep(pause);
                send(&child, "-CONT");
            }
        }
        let code = child.wait().unwrap().code();
        self.log.push(format!("{line}: fate {fate}, {code:?}"));
        Ended {
            line: line.to_owned(),
            code,
        }
    }

    fn step(&mut self) {
        let (name, image) = self.images[self.random.usize(..self.images.len())].clone();
        let platform = PLATFORMS[self.random.usize(..PLATFORMS.len())];
        match self.random.u8(..12) {
            0..=4 => {
                let ended = self.run(&format!("pull {name} --platform {platform}"));
                self.check_pull(&ended, (&name, &image, platform));
            }
            5 => {
                let ended = self.run(&format!("pull {name} --all-platforms"));
                for platform in PLATFORMS {
                    self.check_pull(&ended, (&name, &image, platform));
                }
            }
            6 => {
                let copy = self.harbor.name(&format!("copy/b:{}", self.random.u8(..3)));
                let ended = self.run(&format!("push {name} {copy}"));
                if ended.code == Some(0) {
                    // The registry checks digests itself: all of it must be readable there.
                    let folder = tempfile::tempdir().unwrap();
                    let target = format!("dir:{}", folder.path().display());
                    let source = format!("docker://{copy}");
                    skopeo(&["copy", "--all", "--src-tls-verify=false", &source, &target]);
                }
            }
            7 => drop(self.run("store gc --grace 0s")),
            8 => drop(self.run(&format!("store rm {name}"))),
            9 => {
                let ended = self.run("store verify --repair");
                if ended.code == Some(0) {
                    self.check("a verification that found nothing", &BTreeSet::new());
                } else if ended.code == Some(15) {
                    self.damaged.clear();
                }
            }
            10 => self.flip(),
            _ => self.without_room(&name, platform),
        }
    }

    /// Pulls while some other program fills the disk.
    fn without_room(&mut self, name: &str, platform: &str) {
        let filler = self.harbor.sealift.store_home().join("filler");
        let _full = fs::write(&filler, vec![0; 64 << 20]);
        drop(self.run(&format!("pull {name} --platform {platform}")));
        // A store that could not be made cannot be collected.
        if self
            .harbor
            .sealift
            .store_home()
            .join("store/index.json")
            .exists()
        {
            let ended = self.run("store gc --grace 0s");
            let fine = matches!(ended.code, Some(0) | None);
            assert!(fine, "gc on a full disk: {:?}", ended.code);
        }
        fs::remove_file(filler).unwrap();
    }

    /// Changes a bit of some blob.
    fn flip(&mut self) {
        let blobs = self.harbor.sealift.store_home().join("store/blobs/sha256");
        let mut paths: Vec<_> = fs::read_dir(blobs)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        paths.sort();
        let Some(path) = paths.get(self.random.usize(..paths.len().max(1))) else {
            return;
        };
        let mut bytes = fs::read(path).unwrap();
        let at = self.random.usize(..bytes.len());
        bytes[at] ^= 1 << self.random.u8(..8);
        fs::write(path, bytes).unwrap();
        let hex = path.file_name().unwrap().to_str().unwrap();
        let digest = Digest::parse(&format!("sha256:{hex}")).unwrap();
        self.log.push(format!("flip {digest}"));
        self.damaged.insert(digest);
    }

    /// Checks that a pull that exited 0 brought the platform, under the name, as it was published.
    fn check_pull(&self, ended: &Ended, (name, image, platform): (&str, &Image, &str)) {
        if ended.code != Some(0) {
            return;
        }
        let store = self.store();
        let name = Reference::parse(name).unwrap();
        let root = store.resolve(&name).unwrap().expect("it has its name");
        let parse = |digest: &Digest| fs::read(store.blob_path(digest)).unwrap();
        let index = Index::parse(&parse(&root.digest)).unwrap();
        let platform = Platform::parse(platform).unwrap();
        let manifest = index.select(&platform).expect("it has the platform");
        let bytes = parse(&manifest.digest);
        let parts = Manifest::parse(&bytes).unwrap();
        for part in parts.blobs().chain([manifest]) {
            let published = image
                .all()
                .find(|blob| blob.descriptor.digest == part.digest);
            let published = published.expect("nothing else is in it");
            let right = parse(&part.digest) == published.bytes;
            let known = self.damaged.contains(&part.digest);
            assert!(right || known, "{}: {}", ended.line, part.digest);
        }
    }

    /// Checks that everything that is named is there and right, but for what is known to be damaged.
    fn check(&self, after: &str, damaged: &BTreeSet<Digest>) {
        let found = self.store().verify(Repair::Report, |_| {}).unwrap();
        let new = |digest: &Digest| !damaged.contains(digest);
        let corrupt: Vec<_> = found
            .corrupt
            .iter()
            .filter(|one| new(&one.digest))
            .collect();
        // What was damaged may have been moved aside by whoever met it.
        let missing: Vec<_> = found
            .missing
            .iter()
            .filter(|one| new(&one.digest))
            .collect();
        assert!(
            corrupt.is_empty() && missing.is_empty(),
            "after {after}: {found:?}"
        );
        assert!(
            found.unreadable.is_empty() || !damaged.is_empty(),
            "after {after}: {found:?}"
        );
    }
}

fn send(child: &Child, signal: &str) {
    let mut kill = Command::new("kill");
    kill.args([signal, &child.id().to_string()])
        .stderr(Stdio::null());
    let _gone = kill.status().unwrap();
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().unwrap())
}

/// Prints what happened where a promise is broken.
struct Story<'a>(&'a mut Campaign, u64);

impl Drop for Story<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}:\n{}", self.1, self.0.log.join("\n"));
        }
    }
}

#[test]
fn whatever_exits_0_is_right_and_whatever_is_named_verifies() {
    let seed = number("SEALIFT_CHAOS_SEED", 2026);
    let mut campaign = Campaign::begin(seed);
    let story = Story(&mut campaign, seed);
    let mut everything_damaged = BTreeSet::new();
    for _ in 0..number("SEALIFT_CHAOS_STEPS", STEPS) {
        story.0.step();
        everything_damaged.extend(story.0.damaged.iter().cloned());
        story.0.check("a step", &everything_damaged);
    }
    // In the end everything heals.
    let campaign = &mut *story.0;
    let _found = campaign.harbor.run("store verify --repair");
    for (name, _) in &campaign.images {
        let line = format!("pull {name} --all-platforms");
        campaign.harbor.run(&line).success();
    }
    campaign.damaged.clear();
    campaign.check("the end", &BTreeSet::new());
    let ended = Ended {
        line: "the end".to_owned(),
        code: Some(0),
    };
    for (name, image) in &campaign.images {
        for platform in PLATFORMS {
            campaign.check_pull(&ended, (name, image, platform));
        }
    }
}
