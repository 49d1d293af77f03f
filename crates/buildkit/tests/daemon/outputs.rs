//! Results in folders and stores.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use sealift_buildkit::Output;
use sealift_content::{Ingestion, Store};
use sealift_oci::Digest;

use crate::site::{Site, listing};

const TREE: &str = "FROM busybox:1.36 AS make\n\
    RUN mkdir -p /t/d/e && echo one > /t/d/one && ln /t/d/one /t/d/two && ln -s ../x /t/d/l \
        && mkfifo /t/p && : > /t/empty && chmod 640 /t/d/one && chmod 555 /t/d/e \
        && touch -d '2020-02-02 02:02:02' /t/d/one /t/d && head -c 3000000 /dev/zero > /t/large\n\
    FROM scratch\n\
    COPY --from=make /t /\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_gets_the_files() {
    let site = Site::new().await;
    let out = site.path("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("other"), "stays").unwrap();
    let solve = site.busybox_solve(TREE).output(Output::Folder(out.clone()));
    let ran = site.run(solve).await;
    assert!(ran.solved().traffic.bytes_received >= 3_000_000);
    assert_eq!(
        listing(&out),
        [
            "d", "d/e", "d/l", "d/one", "d/two", "empty", "large", "other", "p"
        ]
    );
    let metadata = |name: &str| out.join(name).symlink_metadata().unwrap();
    assert_eq!(std::fs::read_to_string(out.join("d/two")).unwrap(), "one\n");
    assert_eq!(metadata("d/one").permissions().mode() & 0o7777, 0o640);
    assert_eq!(metadata("d/e").permissions().mode() & 0o7777, 0o555);
    assert_eq!(metadata("large").len(), 3_000_000);
    assert_eq!(
        std::fs::read_link(out.join("d/l")).unwrap(),
        std::path::Path::new("../x")
    );
    for name in ["d", "d/one"] {
        let modified = metadata(name).modified().unwrap();
        let seconds = modified
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        assert_eq!(seconds, 1_580_608_922, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_written_twice_and_no_link_is_followed() {
    let site = Site::new().await;
    let (out, outside) = (site.path("out"), site.path("outside"));
    for folder in [&out, &outside] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(outside.join("large"), "untouched").unwrap();
    // The result has a folder d and a file large.
    symlink(&outside, out.join("d")).unwrap();
    symlink(outside.join("large"), out.join("large")).unwrap();
    for _ in 0..2 {
        let solve = site.busybox_solve(TREE).output(Output::Folder(out.clone()));
        site.run(solve).await.solved();
    }
    assert_eq!(listing(&outside), ["large"]);
    assert_eq!(
        std::fs::read_to_string(outside.join("large")).unwrap(),
        "untouched"
    );
    assert!(out.join("d/one").is_file());
    assert_eq!(
        out.join("large").symlink_metadata().unwrap().len(),
        3_000_000
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_named() {
    let site = Site::new().await;
    let out = site.path("out");
    std::fs::create_dir_all(out.join("large/full")).unwrap();
    let solve = site.busybox_solve(TREE).output(Output::Folder(out.clone()));
    let ran = site.run(solve).await;
    match ran.error() {
        sealift_buildkit::Error::Output { path, .. } => assert_eq!(*path, out.join("large")),
        other => panic!("{other:?}"),
    }
    assert!(out.join("large/full").is_dir());
    assert!(listing(&out).iter().all(|name| !name.contains(".tmp")));
}

const RANDOM: &str =
    "FROM busybox:1.36\nRUN head -c 2000000 /dev/urandom > /random && touch -d @1 /random\n";

/// Begins the ingest of a blob that a build will make, with what `bytes` has of it, and gives up.
fn leave_half(site: &Site, store: &Store, digest: &Digest, change: bool) -> u64 {
    let mut bytes = site.store.read_blob(digest, 1 << 30).unwrap();
    let size = bytes.len() as u64;
    if change {
        bytes[1000] ^= 1;
    }
    let Ingestion::Ready(ingest) = store.ingest(digest, Some(size)).unwrap() else {
        panic!("nobody else uses this store");
    };
    ingest.write_at(0, &bytes[..bytes.len() / 2]).unwrap();
    size
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_goes_on_where_an_earlier_run_ended() {
    let site = Site::new().await;
    let ran = site.run(site.busybox_solve(RANDOM)).await;
    let image = ran.solved().image.clone().unwrap();
    let layer = site.manifest(&image).layers[1].digest.clone();
    let build = |store: &Store| {
        let solve = site.busybox_solve(RANDOM);
        solve.output(Output::Store(store.clone()))
    };
    let whole = Store::open(site.path("whole")).unwrap();
    let whole = site
        .run(build(&whole))
        .await
        .solved()
        .traffic
        .bytes_received;

    let store = Store::open(site.path("half")).unwrap();
    let size = leave_half(&site, &store, &layer, false);
    let ran = site.run(build(&store)).await;
    assert_eq!(ran.solved().traffic.bytes_received, whole - size / 2);
    assert_eq!(store.size(&layer).unwrap(), Some(size));

    let store = Store::open(site.path("spoiled")).unwrap();
    leave_half(&site, &store, &layer, true);
    let ran = site.run(build(&store)).await;
    assert!(ran.error().is_transient(), "{:?}", ran.error());
    assert!(!store.contains(&layer));
    site.run(build(&store)).await.solved();
    assert_eq!(store.size(&layer).unwrap(), Some(size));
}
