//! From an image to its parts, and documents that try to lead astray.

use sealift_content::{DOCUMENT_LIMIT, Error};
use sealift_oci::{Descriptor, Index, MediaType};

use crate::fixture::{image, put, store};

#[test]
fn the_closure_of_an_image_is_all_of_it_once() {
    let (_folder, store) = store();
    let image = image(1);
    let root = put(&store, &image);
    let mut found: Vec<_> = store
        .closure(&root)
        .unwrap()
        .into_iter()
        .map(|part| part.digest)
        .collect();
    assert_eq!(found.first(), Some(&root.digest));
    let mut expected: Vec<_> = image
        .all()
        .map(|blob| blob.descriptor.digest.clone())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    std::fs::remove_file(store.blob_path(&image.children[1].descriptor.digest)).unwrap();
    assert!(matches!(
        store.closure(&root).unwrap_err(),
        Error::NotFound { .. }
    ));
}

#[test]
fn nesting_has_an_end() {
    let (_folder, store) = store();
    let mut root = store.put(MediaType::OCI_LAYER, b"leaf").unwrap();
    for level in 1..=5 {
        let index = serde_json::to_vec(&Index::new(vec![root])).unwrap();
        root = store.put(MediaType::OCI_INDEX, &index).unwrap();
        let closure = store.closure(&root);
        assert_eq!(closure.is_ok(), level <= 4, "{level}: {closure:?}");
    }
    assert!(matches!(
        store.closure(&root).unwrap_err(),
        Error::Nesting { limit: 4, .. }
    ));
}

#[test]
fn a_document_that_claims_itself_ends_and_is_found_corrupt() {
    let (_folder, store) = store();
    // A cycle needs a digest that does not hold; a store that was tampered with can have one.
    let mut claimed = store.put(MediaType::OCI_INDEX, b"{}").unwrap();
    let index = Index::new(vec![claimed.clone()]);
    let bytes = serde_json::to_vec(&index).unwrap();
    claimed.size = bytes.len() as u64;
    std::fs::write(store.blob_path(&claimed.digest), &bytes).unwrap();
    assert!(matches!(
        store.closure(&claimed).unwrap_err(),
        Error::Corrupt { .. }
    ));
    assert!(!store.contains(&claimed.digest));
}

#[test]
fn a_document_beyond_the_limit_is_not_read() {
    let (_folder, store) = store();
    let mut bytes = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    bytes.resize(DOCUMENT_LIMIT as usize, b' ');
    let fits = store.put(MediaType::OCI_INDEX, &bytes).unwrap();
    assert_eq!(store.closure(&fits).unwrap().len(), 1);
    bytes.push(b' ');
    let large = store.put(MediaType::OCI_INDEX, &bytes).unwrap();
    assert!(matches!(
        store.closure(&large).unwrap_err(),
        Error::TooLarge { .. }
    ));
}

#[test]
fn a_document_of_another_kind_is_refused() {
    let (_folder, store) = store();
    for (media_type, text) in [
        (
            MediaType::OCI_INDEX,
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
        ),
        (MediaType::OCI_MANIFEST, r#"{"schemaVersion":1}"#),
        (MediaType::DOCKER_MANIFEST, "<html>"),
        (
            MediaType::OCI_INDEX,
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:../../etc/passwd","size":1}]}"#,
        ),
    ] {
        let root: Descriptor = store.put(media_type, text.as_bytes()).unwrap();
        let error = store.closure(&root).unwrap_err();
        assert!(matches!(error, Error::Document { .. }), "{text}: {error}");
    }
}
