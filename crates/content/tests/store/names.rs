//! Names in index.json.

use std::fs;

use sealift_content::{Error, Store};
use sealift_oci::{Descriptor, Index, MediaType};
use serde_json::{Value, json};

use crate::fixture::{image, put, put_named, reference, store};

fn index(store: &Store) -> Value {
    serde_json::from_slice(&fs::read(store.root().join("index.json")).unwrap()).unwrap()
}

#[test]
fn a_name_is_a_full_reference_and_is_replaced_whole() {
    let (_folder, store) = store();
    let (name, first) = put_named(&store, &image(1), "busybox");
    assert_eq!(store.resolve(&name).unwrap(), Some(first));
    let (_, second) = put_named(&store, &image(2), "docker.io/library/busybox:latest");
    let (other, third) = put_named(&store, &image(3), "ghcr.io/a/b:1");
    assert_eq!(
        store.names().unwrap(),
        vec![(name.clone(), second.clone()), (other.clone(), third)]
    );
    let key = "org.opencontainers.image.ref.name";
    assert_eq!(
        index(&store)["manifests"][0]["annotations"][key],
        "docker.io/library/busybox:latest"
    );
    assert_eq!(store.remove_names(&[other.clone(), other]).unwrap(), 1);
    assert_eq!(store.names().unwrap(), vec![(name.clone(), second)]);
    assert_eq!(store.resolve(&reference("busybox:2")).unwrap(), None);
}

#[test]
fn many_names_are_set_or_none() {
    let (_folder, store) = store();
    let good = put(&store, &image(1));
    let whole = image(2);
    let bad = put(&store, &whole);
    let lost = whole.blobs.last().unwrap().descriptor.digest.clone();
    fs::remove_file(store.blob_path(&lost)).unwrap();
    let names = [
        (reference("a:1"), good.clone()),
        (reference("b:1"), bad.clone()),
    ];
    match store.set_names(&names).unwrap_err() {
        Error::IncompleteImage { reference, digest } => {
            assert_eq!(reference, names[1].0);
            assert_eq!(digest, lost);
        }
        other => panic!("{other}"),
    }
    assert_eq!(store.names().unwrap(), vec![]);
    put(&store, &whole);
    store.set_names(&names).unwrap();
    assert_eq!(store.names().unwrap().len(), 2);
    assert_eq!(
        store
            .remove_names(&[names[0].0.clone(), names[1].0.clone()])
            .unwrap(),
        2
    );
}

#[test]
fn an_image_whose_part_has_another_size_is_not_named() {
    let (_folder, store) = store();
    let layer = store.put(MediaType::OCI_LAYER, b"layer").unwrap();
    let mut lie = layer.clone();
    lie.size = 6;
    let index = serde_json::to_vec(&Index::new(vec![lie])).unwrap();
    let root = store.put(MediaType::OCI_INDEX, &index).unwrap();
    assert!(matches!(
        store.set_names(&[(reference("a:1"), root)]).unwrap_err(),
        Error::Size {
            expected: 6,
            actual: 5,
            ..
        }
    ));
}

#[test]
fn a_layer_that_its_origin_keeps_may_be_missing() {
    let (_folder, store) = store();
    let foreign = Descriptor::of(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        b"elsewhere",
    );
    let index = serde_json::to_vec(&Index::new(vec![foreign])).unwrap();
    let root = store.put(MediaType::OCI_INDEX, &index).unwrap();
    store.set_names(&[(reference("a:1"), root)]).unwrap();
    assert!(
        store
            .verify(sealift_content::Repair::Report, |_| {})
            .unwrap()
            .is_sound()
    );
}

#[test]
fn entries_of_other_tools_are_left_alone() {
    let (_folder, store) = store();
    let foreign = put(&store, &image(1));
    let mut entry = serde_json::to_value(&foreign).unwrap();
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    let text = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    fs::write(store.root().join("index.json"), text).unwrap();
    put_named(&store, &image(2), "docker.io/library/latest:latest");
    assert_eq!(store.names().unwrap().len(), 1);
    assert_eq!(index(&store)["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(index(&store)["manifests"][0], entry);
    let digest = &foreign.digest;
    store.gc(std::time::Duration::ZERO).unwrap();
    assert!(store.contains(digest));
}

#[test]
fn a_folder_of_another_layout_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oci-layout");
    for text in [r#"{"imageLayoutVersion":"2.0.0"}"#, "{}", "no JSON"] {
        fs::write(&path, text).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Layout { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_broken_index_is_an_error_that_names_it_and_nothing_is_lost() {
    let (_folder, store) = store();
    let (_, root) = put_named(&store, &image(1), "a:1");
    fs::write(store.root().join("index.json"), "{\"schemaVersion\":2,").unwrap();
    let error = store.names().unwrap_err();
    assert!(error.to_string().contains("index.json"), "{error}");
    assert!(store.gc(std::time::Duration::ZERO).is_err());
    assert!(store.contains(&root.digest));
    assert!(store.set_names(&[(reference("b:1"), root)]).is_err());
}

#[test]
fn threads_that_name_at_once_lose_no_name() {
    let (_folder, store) = store();
    let root = put(&store, &image(1));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, root) = (&store, &root);
            scope.spawn(move || {
                for number in 0..10 {
                    let name = reference(&format!("t{thread}:n{number}"));
                    store.set_names(&[(name, root.clone())]).unwrap();
                }
            });
        }
    });
    assert_eq!(store.names().unwrap().len(), 40);
}
