//! Content that was damaged on disk: found wherever it is used, moved aside, never delivered.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealift_content::{Error, Named, Origin, Repair, Store, write_docker, write_oci};
use sealift_oci::{Descriptor, Digest};

use crate::fixture::{image, put, put_named, reference, store};

/// Changes one bit in the middle of a blob.
fn flip(store: &Store, digest: &Digest) {
    let path = store.blob_path(digest);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(store: &Store, digest: &Digest) {
    let file = fs::File::options()
        .write(true)
        .open(store.blob_path(digest));
    file.unwrap().set_len(10).unwrap();
}

fn quarantined(store: &Store) -> usize {
    fs::read_dir(store.root().join("quarantine")).map_or(0, Iterator::count)
}

#[test]
fn a_blob_of_another_size_is_not_there_and_comes_back() {
    let (_folder, store) = store();
    let image = image(1);
    let (name, root) = put_named(&store, &image, "a:1");
    let layer = image.blobs.last().unwrap();
    assert!(store.has(&layer.descriptor).unwrap());
    cut(&store, &layer.descriptor.digest);
    assert!(!store.has(&layer.descriptor).unwrap());
    assert_eq!(
        store.take_damaged(),
        std::slice::from_ref(&layer.descriptor.digest)
    );
    assert_eq!(store.take_damaged(), []);
    let named = [(name, root)];
    let error = store.set_names(&named).unwrap_err();
    assert!(matches!(error, Error::IncompleteImage { .. }), "{error}");
    put(&store, &image);
    store.set_names(&named).unwrap();
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
}

#[test]
fn a_descriptor_of_another_size_does_not_touch_the_blob() {
    let (_folder, store) = store();
    let mut descriptor = store.put("text/plain", b"right").unwrap();
    descriptor.size = 4;
    let error = store.has(&descriptor).unwrap_err();
    let sizes = matches!(
        error,
        Error::Size {
            expected: 4,
            actual: 5,
            ..
        }
    );
    assert!(sizes, "{error}");
    assert!(store.contains(&descriptor.digest));
    assert_eq!(quarantined(&store), 0);
}

#[test]
fn a_document_that_is_damaged_is_moved_aside_where_it_is_read() {
    let (_folder, store) = store();
    let image = image(1);
    put(&store, &image);
    flip(&store, image.digest());
    let error = store.closure(&image.root.descriptor).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(!store.contains(image.digest()));
    assert_eq!(store.take_damaged(), std::slice::from_ref(image.digest()));
}

#[test]
fn a_damaged_layer_is_in_no_archive() {
    let (_folder, store) = store();
    let image = image(1);
    let named = put_named(&store, &image, "a:1");
    let layer = &image.blobs[1].descriptor.digest;
    let archives: [&dyn Fn() -> sealift_content::Result<()>; 2] = [
        &|| write_oci(&store, std::slice::from_ref(&named), std::io::sink()),
        &|| {
            let manifest = &image.children[0].descriptor;
            write_docker(&store, manifest, &[], std::io::sink())
        },
    ];
    for write in archives {
        put(&store, &image);
        write().unwrap();
        flip(&store, layer);
        let error = write().unwrap_err();
        assert!(
            matches!(&error, Error::Corrupt { digest, .. } if digest == layer),
            "{error}"
        );
        put(&store, &image);
        cut(&store, layer);
        let error = write().unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        assert_eq!(store.take_damaged(), [layer.clone(), layer.clone()]);
    }
    let error = store.open_checked(layer).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[test]
fn a_link_is_no_blob_and_what_it_points_to_stays_as_it_is() {
    let (folder, store) = store();
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("shadow");
    fs::write(&victim, "secret").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let then = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(1));
    let file = fs::File::options().write(true).open(&victim).unwrap();
    file.set_times(then).unwrap();
    let digest = Digest::sha256(b"secret");
    let place = store.blob_path(&digest);
    symlink(&victim, &place).unwrap();
    let hard = Digest::sha256(b"hard");
    fs::hard_link(&victim, folder.path().join("blobs/sha256").join(hard.hex())).unwrap();

    store.settle().unwrap();
    let verified = store.verify(Repair::MoveAside, |_| {}).unwrap();
    fs::write(store.root().join("boot"), "0123456789abcdef\n").unwrap();
    Store::open(store.root()).unwrap();
    assert_eq!(verified.strange, std::slice::from_ref(&place));
    assert!(!store.contains(&digest));
    assert!(matches!(
        store.open_blob(&digest),
        Err(Error::NotFound { .. })
    ));
    let mode = fs::metadata(&victim).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read(&victim).unwrap(), b"secret");
    // A blob of that digest takes the link's place and leaves its target.
    store.put("text/plain", b"secret").unwrap();
    assert!(fs::symlink_metadata(&place).unwrap().is_file());
    assert!(store.contains(&digest));
}

#[test]
fn nothing_is_collected_while_an_image_cannot_be_read() {
    let (_folder, store) = store();
    let image = image(1);
    let (name, _) = put_named(&store, &image, "a:1");
    let manifest = &image.children[0].descriptor.digest;
    fs::remove_file(store.blob_path(manifest)).unwrap();
    let collected = store.gc(Duration::ZERO).unwrap();
    assert_eq!(collected.incomplete, ["docker.io/library/a:1"]);
    assert_eq!((collected.blobs, collected.spared), (0, 3));
    // The manifest alone has to be fetched again, or the name goes.
    store.put("text/plain", &image.children[0].bytes).unwrap();
    assert_eq!(store.gc(Duration::ZERO).unwrap().incomplete, [""; 0]);
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
    fs::remove_file(store.blob_path(manifest)).unwrap();
    store.remove_names(&[name]).unwrap();
    store.gc(Duration::ZERO).unwrap();
    assert_eq!(store.usage().unwrap().blobs, 0);
}

#[test]
fn a_name_remembers_where_it_was_resolved_and_shows_it_to_nobody() {
    let (_folder, store) = store();
    let image = image(1);
    let content = put(&store, &image);
    let name = reference("a:1");
    let origin = Origin {
        digest: image.digest().clone(),
        endpoints: vec![
            "https://m.example/v2".to_owned(),
            "https://r.example/v2".to_owned(),
        ],
        resolved: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    };
    let named = Named {
        content: content.clone(),
        origin: Some(origin),
    };
    let set = |seen: &Option<Named>| {
        let seen = seen.clone();
        store.update_name(&name, |now| {
            assert_eq!(now, seen);
            Ok::<_, Error>(named.clone())
        })
    };
    set(&None).unwrap();
    assert_eq!(store.look_up(&name).unwrap(), Some(named.clone()));
    set(&Some(named.clone())).unwrap();
    assert_eq!(store.resolve(&name).unwrap(), Some(content.clone()));
    let names = store.names().unwrap();
    assert_eq!(names, [(name.clone(), content.clone())]);
    let mut archive = Vec::new();
    write_oci(&store, &names, &mut archive).unwrap();
    assert!(!String::from_utf8_lossy(&archive).contains("m.example"));
    // What fails changes nothing.
    let failed = store.update_name(&name, |_| Err::<Named, _>(not_found(&content)));
    assert!(matches!(failed, Err(Error::NotFound { .. })));
    assert_eq!(store.look_up(&name).unwrap(), Some(named));
    store.set_names(&[(name.clone(), content)]).unwrap();
    assert_eq!(store.look_up(&name).unwrap().unwrap().origin, None);
    assert!(SystemTime::now() > UNIX_EPOCH);
}

fn not_found(descriptor: &Descriptor) -> Error {
    Error::NotFound {
        digest: descriptor.digest.clone(),
    }
}

/// A store of which nothing can be written, not by root either.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    fn mount(path: &'a Path) -> Self {
        run(
            "mount",
            &["--bind", path.to_str().unwrap(), path.to_str().unwrap()],
        );
        run("mount", &["-o", "remount,bind,ro", path.to_str().unwrap()]);
        Self(path)
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let status = std::process::Command::new(program).args(arguments).status();
    assert!(status.unwrap().success(), "{program} {arguments:?}");
}

#[test]
fn a_read_only_store_is_read_verified_and_written_out() {
    let (folder, store) = store();
    let image = image(1);
    let named = put_named(&store, &image, "a:1");
    fs::write(store.root().join("boot"), "0123456789abcdef\n").unwrap();
    fs::remove_dir_all(store.root().join("locks")).unwrap();
    drop(store);
    let _mounted = ReadOnly::mount(folder.path());
    let store = Store::open(folder.path()).unwrap();
    let _lease = store.lease().unwrap();
    assert_eq!(store.names().unwrap(), std::slice::from_ref(&named));
    assert!(store.verify(Repair::Report, |_| {}).unwrap().is_sound());
    let mut archive = Vec::new();
    write_oci(&store, &[named], &mut archive).unwrap();
    assert!(archive.len() as u64 > image.size());
    let error = store.put("text/plain", b"more").unwrap_err();
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("Read-only file system"), "{text}");
}
