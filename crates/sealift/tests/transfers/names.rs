//! What names in the store stand for after pulls: whole indexes, parts of them, several pulls at
//! once, and who may say what a tag stands for.

use std::process::Stdio;

use sealift_test_support::{FaultPlan, FaultyRegistry, Image, ImageBuilder, random_image, skopeo};
use serde_json::Value;

use crate::harbor::Harbor;

/// Returns an image of two platforms with an attestation, in either family.
fn attested(docker: bool) -> Image {
    let images = ["linux/amd64", "linux/arm64", "unknown/unknown"];
    Image::index((0..).zip(images).map(|(seed, platform)| {
        let image = ImageBuilder::new(platform).random(seed, 2000);
        let image = if docker { image.docker() } else { image };
        image.build()
    }))
}

impl Harbor {
    /// Returns the rows of `store ls --json`.
    fn rows(&self) -> Vec<Value> {
        let listed = self.run("store ls --json").success().stdout;
        serde_json::from_str(&listed).unwrap()
    }

    /// Reads the document that the only name in the store stands for.
    fn root(&self) -> Value {
        let [row] = &self.rows()[..] else { panic!() };
        let hex = row["digest"].as_str().unwrap().split_once(':').unwrap().1;
        let blobs = self.sealift.store_home().join("store/blobs/sha256");
        serde_json::from_slice(&std::fs::read(blobs.join(hex)).unwrap()).unwrap()
    }
}

#[test]
fn an_index_that_is_pulled_whole_keeps_its_digest_and_a_part_keeps_its_family() {
    for docker in [false, true] {
        let harbor = Harbor::open();
        let image = attested(docker);
        let name = harbor.publish(&image, "a/b:1");
        let media_type = image.root.descriptor.media_type.to_string();

        harbor
            .run(&format!("pull {name} --platform linux/arm64"))
            .success();
        let part = harbor.root();
        assert_eq!(part["mediaType"], media_type.as_str());
        assert_eq!(part["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(part["manifests"][0]["platform"]["architecture"], "arm64");

        harbor
            .run(&format!("pull {name} --all-platforms"))
            .success();
        let [row] = &harbor.rows()[..] else { panic!() };
        assert_eq!(row["digest"], image.digest().to_string());
        harbor.verify();

        // It is pushed as it came.
        let copy = harbor.name("copy/b:1");
        harbor.run(&format!("push {name} {copy}")).success();
        let copy = format!("docker://{copy}");
        let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &copy]);
        assert_eq!(raw.as_bytes(), image.root.bytes);
    }
}

#[test]
fn pulls_of_one_name_for_two_platforms_at_once_lose_none() {
    let harbor = Harbor::open();
    let image = random_image(1, &["linux/amd64", "linux/arm64", "linux/s390x"], &[1000]);
    for round in 0..12 {
        let name = harbor.publish(&image, &format!("a/b:{round}"));
        let pulls = ["linux/amd64", "linux/arm64"].map(|platform| {
            let words = ["pull", &name, "--platform", platform];
            let mut command = harbor.sealift.command(harbor.sealift.home(), &words);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        });
        for mut pull in pulls {
            assert!(pull.wait().unwrap().success());
        }
    }
    let rows = harbor.rows();
    assert_eq!(rows.len(), 12);
    for row in rows {
        assert_eq!(
            row["platforms"],
            serde_json::json!(["linux/amd64", "linux/arm64"])
        );
    }
}

#[test]
fn what_one_mirror_says_of_a_tag_does_not_count_where_it_is_not_asked() {
    let harbor = Harbor::open();
    let other = FaultyRegistry::open(harbor.registry.address(), FaultPlan::none());
    harbor.publish(&random_image(1, &["linux/amd64"], &[1000]), "library/a:1");
    let project = harbor.sealift.home().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("Dockerfile"), "FROM a:1\n").unwrap();
    let prefetch = |mirrors: &[&FaultyRegistry]| {
        let mirrors = mirrors
            .iter()
            .map(|mirror| format!(" --mirror docker.io={}", mirror.url()));
        let options = "--platform linux/amd64 --progress plain";
        let line = format!("prefetch project {options}{}", mirrors.collect::<String>());
        harbor.run(&line).success().stderr
    };
    let cached = |text: &str| text.contains("✓ docker.io/library/a:1 (cached)");
    assert!(!cached(&prefetch(&[&other])));
    assert!(cached(&prefetch(&[&other])));
    other.forget_seen();
    // Whoever does not ask that mirror asks its own what the tag stands for.
    assert!(!cached(&prefetch(&[&harbor.proxy])));
    assert!(!harbor.proxy.seen().is_empty());
    // One more mirror takes nothing away.
    assert!(cached(&prefetch(&[&other, &harbor.proxy])));
    assert_eq!(other.seen().len(), 0);
}
