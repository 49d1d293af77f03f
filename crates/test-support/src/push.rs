//! Pushes an image into a plain registry, by the shortest way that the distribution spec has.

use crate::{Blob, Http, Image};

/// Pushes an image: all blobs, then the manifests, then the root under the tag.
///
/// # Panics
/// Where the registry refuses it.
pub fn push_image(http: &Http, image: &Image, repository: &str, tag: &str) {
    for blob in &image.blobs {
        push_blob(http, repository, blob);
    }
    for child in &image.children {
        let digest = child.descriptor.digest.to_string();
        push_manifest(http, repository, &digest, child);
    }
    push_manifest(http, repository, tag, &image.root);
}

fn push_blob(http: &Http, repository: &str, blob: &Blob) {
    let digest = &blob.descriptor.digest;
    let known = http.send("HEAD", &format!("/v2/{repository}/blobs/{digest}"), &[]);
    if known.status == 200 {
        return;
    }
    let begun = http.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[]);
    assert_eq!(begun.status, 202, "upload refused: {}", begun.text());
    let location = begun.header("location").expect("an upload has a location");
    let target = match location.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => location,
    };
    let join = if target.contains('?') { '&' } else { '?' };
    let done = http
        .clone()
        .header("Content-Type", "application/octet-stream")
        .send(
            "PUT",
            &format!("{target}{join}digest={digest}"),
            &blob.bytes,
        );
    assert_eq!(done.status, 201, "blob {digest} refused: {}", done.text());
}

fn push_manifest(http: &Http, repository: &str, reference: &str, manifest: &Blob) {
    let done = http
        .clone()
        .header("Content-Type", manifest.descriptor.media_type.as_str())
        .send(
            "PUT",
            &format!("/v2/{repository}/manifests/{reference}"),
            &manifest.bytes,
        );
    assert_eq!(
        done.status,
        201,
        "manifest {repository}:{reference} refused: {}",
        done.text()
    );
}
