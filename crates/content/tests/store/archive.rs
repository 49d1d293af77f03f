//! Archives: the same bytes every time, read by skopeo and by ourselves.

use std::collections::BTreeMap;
use std::io::Read as _;

use sealift_content::{Error, Repair, import_oci, write_docker, write_oci};
use sealift_oci::Digest;
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
fn an_oci_archive_comes_back_as_it_went() {
    let (image, archive) = oci_archive(1, "busybox:1.36");
    let (_folder, store) = store();
    let imported = import_oci(&store, archive.as_slice()).unwrap();
    assert_eq!(imported.blobs, image.all().count() as u64);
    let descriptor = store.resolve(&reference("busybox:1.36")).unwrap().unwrap();
    assert_eq!(descriptor.digest, *image.digest());
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
    assert_eq!(import_oci(&store, archive.as_slice()).unwrap().blobs, 0);
    let mut again = Vec::new();
    write_oci(&store, &imported.names, &mut again).unwrap();
    assert_eq!(again, archive);
}

#[test]
fn an_archive_cut_anywhere_names_nothing() {
    let (_, archive) = oci_archive(1, "busybox:1.36");
    for part in 1..8 {
        let (_folder, store) = store();
        let cut = archive.len() * part / 8;
        assert!(import_oci(&store, &archive[..cut]).is_err());
        assert_eq!(store.names().unwrap(), vec![]);
        assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
        // The rest of the way is shorter: blobs that were whole are there.
        import_oci(&store, archive.as_slice()).unwrap();
    }
}

fn hostile(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        // The safe way to set a path refuses what an attacker would write.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_hostile_archive_writes_nothing_outside_and_nothing_wrong() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("evil");
    let hex = Digest::sha256(b"right").hex().to_owned();
    let index = json!({"schemaVersion": 2, "manifests": []}).to_string();
    let target = target.to_str().unwrap().to_owned();
    let absolute = hostile(&[(&target, b"evil"), ("index.json", index.as_bytes())]);
    let climbing = hostile(&[
        ("blobs/sha256/../../../evil", b"evil"),
        ("../evil", b"evil"),
        ("index.json", index.as_bytes()),
    ]);
    let (_folder, store) = store();
    for archive in [absolute, climbing] {
        assert_eq!(import_oci(&store, archive.as_slice()).unwrap().blobs, 0);
    }
    assert!(!std::path::Path::new(&target).exists());
    assert!(!store.root().parent().unwrap().join("evil").exists());

    let wrong = hostile(&[(&format!("blobs/sha256/{hex}"), b"wrong")]);
    let error = import_oci(&store, wrong.as_slice()).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    let error = import_oci(&store, hostile(&[("a", b"b")]).as_slice()).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    let error = import_oci(&store, hostile(&[("index.json", b"{}")]).as_slice()).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    assert_eq!(store.usage().unwrap().blobs, 0);
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
    let repositories: Value = serde_json::from_slice(&files["repositories"]).unwrap();
    assert_eq!(repositories["ghcr.io/a/b"].as_object().unwrap().len(), 2);
    assert_eq!(repositories["busybox"].as_object().unwrap().len(), 1);

    let path = folder.path().join("docker.tar");
    std::fs::write(&path, &archive).unwrap();
    let archive = format!("docker-archive:{}:ghcr.io/a/b:2", path.display());
    let output = skopeo(&["inspect", "--config", &archive]);
    let read: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(read["architecture"], "amd64");
}

#[test]
fn a_docker_archive_comes_back_under_its_names() {
    let (_folder, store) = store();
    let image = image(1);
    put(&store, &image);
    let manifest = &image.children[0].descriptor;
    let names = [reference("busybox"), reference("ghcr.io/a/b:1")];
    let mut archive = Vec::new();
    write_docker(&store, manifest, &names, &mut archive).unwrap();
    let (_folder, other) = self::store();
    let imported = import_oci(&other, archive.as_slice()).unwrap();
    assert!(imported.unnamed.is_empty());
    for name in &names {
        assert_eq!(other.resolve(name).unwrap().as_ref(), Some(manifest));
    }
    assert!(other.verify(Repair::Report, |_| {}).unwrap().is_sound());
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
    assert!(
        matches!(
            error,
            Error::Stream {
                action: "write",
                ..
            }
        ),
        "{error}"
    );
}
