//! Names of what was fetched: whole originals, parts of them, and what is damaged.

use std::fs;

use sealift_oci::Digest;
use serde_json::json;

use super::*;

const FAMILIES: [[&str; 2]; 2] = [
    [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST],
    [MediaType::DOCKER_INDEX, MediaType::DOCKER_MANIFEST],
];

fn image(store: &Store, media_type: &str, platform: &str) -> (Platform, Descriptor) {
    let platform = Platform::parse(platform).unwrap();
    let config = json!({
        "os": platform.os, "architecture": platform.architecture,
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = store.put(MediaType::OCI_CONFIG, config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config.unwrap(), "layers": null});
    let manifest = store.put(media_type, manifest.to_string().as_bytes());
    (platform, manifest.unwrap())
}

/// Makes an upstream's index, with spaces and a field that we do not know.
fn upstream(store: &Store, media_type: &str, images: &[(Platform, Descriptor)]) -> Descriptor {
    let entries = images.iter().map(|(platform, manifest)| {
        let platform = Some(platform.clone());
        Descriptor {
            platform,
            ..manifest.clone()
        }
    });
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "unknown": 1,
        "manifests": entries.collect::<Vec<_>>()});
    let text = serde_json::to_string_pretty(&index).unwrap();
    store.put(media_type, text.as_bytes()).unwrap()
}

fn record_from(
    store: &Store,
    name: &Reference,
    origin: &Descriptor,
    of: &[(Platform, Descriptor)],
) {
    let pulled = Pulled {
        origin: origin.clone(),
        manifests: of.to_vec(),
    };
    record(
        store,
        name,
        &pulled,
        vec!["https://r.example/v2".to_owned()],
    )
    .unwrap();
}

#[test]
fn a_whole_index_keeps_its_bytes_and_a_part_of_it_its_family() {
    for [index_type, manifest_type] in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let name = Reference::parse("busybox:1").unwrap();
        let images = ["linux/amd64", "linux/arm64"].map(|text| image(&store, manifest_type, text));
        let origin = upstream(&store, index_type, &images);
        let lost = fs::read(store.blob_path(&images[1].1.digest)).unwrap();
        fs::remove_file(store.blob_path(&images[1].1.digest)).unwrap();

        record_from(&store, &name, &origin, &images[..1]);
        let part = store.resolve(&name).unwrap().unwrap();
        assert_ne!(part.digest, origin.digest);
        assert_eq!(part.media_type.as_str(), index_type);
        let parsed = index(&store, &part).unwrap();
        assert_eq!(parsed.media_type, Some(MediaType::new(index_type)));
        assert_eq!(parsed.platforms(), [images[0].0.clone()]);
        let found = |at: usize| find(&store, &name, &images[at].0).unwrap().is_some();
        assert_eq!([found(0), found(1)], [true, false]);

        store.put(manifest_type, &lost).unwrap();
        record_from(&store, &name, &origin, &images[1..]);
        assert_eq!(store.resolve(&name).unwrap(), Some(origin.clone()));
        assert_eq!([found(0), found(1)], [true, true]);
        let known = store.look_up(&name).unwrap().unwrap().origin.unwrap();
        assert_eq!(known.digest, origin.digest);
        assert_eq!(known.endpoints, ["https://r.example/v2"]);
    }
}

#[test]
fn platforms_of_one_original_come_together_and_of_another_replace() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let name = Reference::parse("busybox:1").unwrap();
    let platforms = ["linux/amd64", "linux/arm64", "linux/s390x"];
    let images = platforms.map(|text| image(&store, MediaType::OCI_MANIFEST, text));
    let first = upstream(&store, MediaType::OCI_INDEX, &images);
    let second = upstream(&store, MediaType::OCI_INDEX, &images[1..]);
    fs::remove_file(store.blob_path(&images[2].1.digest)).unwrap();
    let found = |at: usize| find(&store, &name, &images[at].0).unwrap().is_some();
    record_from(&store, &name, &first, &images[..1]);
    assert_eq!([found(0), found(1)], [true, false]);
    record_from(&store, &name, &first, &images[1..2]);
    assert_eq!([found(0), found(1)], [true, true]);
    record_from(&store, &name, &second, &images[1..2]);
    assert_eq!([found(0), found(1)], [false, true]);
}

#[test]
fn a_single_manifest_is_named_itself_and_serves_every_platform() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let name = Reference::parse("busybox:1").unwrap();
    let (amd64, manifest) = image(&store, MediaType::DOCKER_MANIFEST, "linux/amd64");
    record_from(&store, &name, &manifest, &[(amd64, manifest.clone())]);
    assert_eq!(store.resolve(&name).unwrap(), Some(manifest.clone()));
    let arm64 = Platform::parse("linux/arm64").unwrap();
    assert_eq!(find(&store, &name, &arm64).unwrap(), Some(manifest));
}

#[test]
fn an_image_with_a_missing_or_cut_blob_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let name = Reference::parse("busybox:1").unwrap();
    let (platform, manifest) = image(&store, MediaType::OCI_MANIFEST, "linux/amd64");
    let one = [(platform.clone(), manifest.clone())];
    record_from(&store, &name, &manifest, &one);
    let bytes = store.read_blob(&manifest.digest, 1 << 20).unwrap();
    let config: Digest = Manifest::parse(&bytes).unwrap().config.digest;
    let whole = fs::read(store.blob_path(&config)).unwrap();
    fs::remove_file(store.blob_path(&config)).unwrap();
    assert_eq!(find(&store, &name, &platform).unwrap(), None);
    fs::write(store.blob_path(&config), &whole[1..]).unwrap();
    assert_eq!(find(&store, &name, &platform).unwrap(), None);
    assert_eq!(store.take_damaged(), std::slice::from_ref(&config));
    store.put(MediaType::OCI_CONFIG, &whole).unwrap();
    assert!(find(&store, &name, &platform).unwrap().is_some());
}
