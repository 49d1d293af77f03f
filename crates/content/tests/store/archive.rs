//! Archives: the same bytes every time, read by skopeo and by ourselves.

use std::collections::BTreeMap;
use std::io::Read as _;

use sealift_content::{Error, write_docker, write_oci};
use sealift_test_support::{Image, skopeo};
use serde_json::{Value, json};

use crate::fixture::{image, put, put_named, reference, store};

type Files = BTreeMap<String, Vec<u8>>;

fn unpack(archive: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(header.mtime().unwrap(), 0);
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(files.insert(path.clone(), bytes).is_none(), "{path} twice");
    }
    files
}

fn oci_archive(seed: u64, name: &str) -> (Image, Vec<u8>) {
    let (_folder, store) = store();
    let image = image(seed);
    let named = put_named(&store, &image, name);
    put_named(&store, &self::image(99), "not:wanted");
    let mut archive = Vec::new();
    write_oci(&store, &[named], &mut archive).unwrap();
    (image, archive)
}

#[test]
fn an_oci_archive_holds_the_chosen_images_and_is_reproducible() {
    let (image, archive) = oci_archive(1, "busybox:1.36");
    assert_eq!(archive, oci_archive(1, "busybox:1.36").1);
    let files = unpack(&archive);
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(
        index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"],
        "docker.io/library/busybox:1.36"
    );
    let blobs = files
        .keys()
        .filter(|path| path.starts_with("blobs/sha256/") && path.len() > 13);
    assert_eq!(blobs.count(), image.all().count());
    for blob in image.all() {
        let path = format!("blobs/sha256/{}", blob.descriptor.digest.hex());
        assert_eq!(files[&path], blob.bytes);
    }
}

#[test]
fn skopeo_reads_an_oci_archive() {
    let (image, archive) = oci_archive(1, "busybox:1.36");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar");
    std::fs::write(&path, archive).unwrap();
    let archive = format!(
        "oci-archive:{}:docker.io/library/busybox:1.36",
        path.display()
    );
    let output = skopeo(&["inspect", "--raw", &archive]);
    assert_eq!(output.as_bytes(), image.root.bytes);
}

#[test]
fn a_docker_archive_is_what_docker_load_and_skopeo_read() {
    let (folder, store) = store();
    let image = image(1);
    put(&store, &image);
    let manifest = &image.children[0].descriptor;
    let names = [
        reference("busybox"),
        reference("ghcr.io/a/b:1"),
        reference("ghcr.io/a/b:2"),
        reference("c").with_digest(&manifest.digest),
    ];
    let mut archive = Vec::new();
    write_docker(&store, manifest, &names, &mut archive).unwrap();
    let files = unpack(&archive);
    let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        list[0]["RepoTags"],
        json!(["busybox:latest", "ghcr.io/a/b:1", "ghcr.io/a/b:2"])
    );
    assert_eq!(list[0]["Layers"].as_array().unwrap().len(), 2);
    for path in list[0]["Layers"].as_array().unwrap() {
        assert!(files.contains_key(path.as_str().unwrap()));
    }
    let config = &files[list[0]["Config"].as_str().unwrap()];
    assert_eq!(*config, image.blobs[0].bytes);

    let path = folder.path().join("docker.tar");
    std::fs::write(&path, &archive).unwrap();
    let archive = format!("docker-archive:{}:ghcr.io/a/b:2", path.display());
    let output = skopeo(&["inspect", "--config", &archive]);
    let read: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(read["architecture"], "amd64");
}

#[test]
fn a_docker_archive_is_of_one_platform() {
    let (_folder, store) = store();
    let root = put(&store, &image(1));
    let error = write_docker(&store, &root, &[], Vec::new()).unwrap_err();
    assert!(matches!(error, Error::NotAnImage { .. }), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_an_error_of_the_stream() {
    let (_folder, store) = store();
    let named = put_named(&store, &image(1), "a:1");
    let mut room = [0_u8; 2048];
    let error = write_oci(&store, &[named], room.as_mut_slice()).unwrap_err();
    assert!(matches!(error, Error::Stream { .. }), "{error}");
}
