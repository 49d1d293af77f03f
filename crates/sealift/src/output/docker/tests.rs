//! Real daemons, and fake ones that say what real ones rarely do.

use std::sync::Arc;
use std::time::Duration;

use sealift_oci::{Digest, MediaType};
use sealift_test_support::{Dockerd, Image, ImageBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::engine::Endpoint;
use crate::event::{Event, Events, Listener};

const PATIENCE: Duration = Duration::from_secs(60);

/// Hears nothing.
struct Deaf;

impl Listener for Deaf {
    fn event(&self, _event: &Event) {}
}

fn docker(address: &str) -> Engine {
    let endpoint = Endpoint::find(Some(address), None).unwrap();
    Engine::new(endpoint, &Events::new(Arc::new(Deaf)), PATIENCE)
}

fn stored(image: &Image) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for blob in image.all() {
        store
            .put(blob.descriptor.media_type.as_str(), &blob.bytes)
            .unwrap();
    }
    (folder, store)
}

fn image(seed: u64) -> Image {
    ImageBuilder::new("linux/amd64")
        .random(seed, 2_000_000)
        .files(&[("hello.txt", b"hello", 0o644)])
        .build()
}

fn names(names: &[&str]) -> Vec<Reference> {
    names
        .iter()
        .map(|name| Reference::parse(name).unwrap())
        .collect()
}

fn inspected(daemon: &Dockerd, name: &str) -> Value {
    let answer = daemon.get(&format!("/images/{name}/json"));
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

#[tokio::test]
async fn a_real_daemon_has_the_image_under_all_its_names() {
    let daemon = Dockerd::start();
    let docker = docker(&daemon.address());
    let first = image(1);
    let (_folder, store) = stored(&first);
    let names = names(&["app", "127.0.0.1:5000/team/app:1.0"]);
    load(&docker, &store, &first.root.descriptor, &names)
        .await
        .unwrap();
    let config: Value = serde_json::from_slice(&first.blobs[0].bytes).unwrap();
    for name in ["app:latest", "127.0.0.1:5000/team/app:1.0"] {
        let found = inspected(&daemon, name);
        assert_eq!(found["Id"], first.blobs[0].descriptor.digest.to_string());
        assert_eq!(found["RootFS"]["Layers"], config["rootfs"]["diff_ids"]);
    }
    // A name moves to the next image; one that is there already is no failure.
    let second = image(2);
    let (_folder, store) = stored(&second);
    for _ in 0..2 {
        load(&docker, &store, &second.root.descriptor, &names[..1])
            .await
            .unwrap();
    }
    let config = &second.blobs[0].descriptor.digest;
    assert_eq!(inspected(&daemon, "app:latest")["Id"], config.to_string());
    // Without a name it is there by its id.
    let third = image(3);
    let (_folder, store) = stored(&third);
    load(&docker, &store, &third.root.descriptor, &[])
        .await
        .unwrap();
    let id = third.blobs[0].descriptor.digest.to_string();
    let _image = inspected(&daemon, &id);
}

#[tokio::test]
async fn what_a_real_daemon_refuses_is_told_in_its_words() {
    let daemon = Dockerd::start();
    let docker = docker(&daemon.address());
    let good = image(1);
    let (_folder, store) = stored(&good);
    // The same image, but its layer is no archive.
    let noise = store.put(MediaType::OCI_LAYER, &[7; 300_000]).unwrap();
    let mut manifest = Manifest::parse(&good.root.bytes).unwrap();
    manifest.layers = vec![noise.clone(), noise];
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let manifest = store.put(MediaType::OCI_MANIFEST, &bytes).unwrap();
    let names = names(&["broken:1"]);
    let error = load(&docker, &store, &manifest, &names).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Local);
    assert!(
        error.message().starts_with("docker at unix:///"),
        "{}",
        error.render()
    );
    assert!(
        error.message().contains(" cannot load the image: "),
        "{}",
        error.render()
    );
    assert_eq!(daemon.get("/images/broken:1/json").status, 404);
}

#[tokio::test]
async fn a_part_that_is_missing_here_is_our_error_and_nothing_is_loaded() {
    let daemon = Dockerd::start();
    let docker = docker(&daemon.address());
    let image = image(1);
    let (_folder, store) = stored(&image);
    let lost = &image.blobs.last().unwrap().descriptor.digest;
    std::fs::remove_file(store.blob_path(lost)).unwrap();
    let names = names(&["half:1"]);
    let error = load(&docker, &store, &image.root.descriptor, &names)
        .await
        .unwrap_err();
    assert!(
        error.render().contains(&lost.to_string()),
        "{}",
        error.render()
    );
    assert_eq!(daemon.get("/images/half:1/json").status, 404);
}

#[tokio::test]
async fn layers_that_an_old_daemon_can_not_read_are_explained() {
    let daemon = Dockerd::start();
    let docker = docker(&daemon.address());
    let good = image(1);
    let (_folder, store) = stored(&good);
    // The magic number of zstd, then noise: version 20.10 takes it for a tar.
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd];
    bytes.resize(100_000, 9);
    let media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
    let mut manifest = Manifest::parse(&good.root.bytes).unwrap();
    manifest.layers = vec![store.put(media_type, &bytes).unwrap(); 2];
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let manifest = store.put(MediaType::OCI_MANIFEST, &bytes).unwrap();
    let error = load(&docker, &store, &manifest, &[]).await.unwrap_err();
    assert!(error.hints()[0].contains("zstd"), "{}", error.render());
}

/// Answers every request over TCP with what `answer` says of its first line.
async fn fake(answer: fn(&str) -> (u16, String)) -> (Engine, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let docker = docker(&format!("tcp://{}", listener.local_addr().unwrap()));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            let chunked = |seen: &[u8]| seen.starts_with(b"POST");
            while !(seen.ends_with(b"0\r\n\r\n")
                || (!chunked(&seen) && seen.ends_with(b"\r\n\r\n")))
            {
                if stream.read_buf(&mut seen).await.unwrap() == 0 {
                    break;
                }
            }
            let line = String::from_utf8_lossy(&seen[..seen.len().min(200)]).into_owned();
            let (status, body) = answer(line.lines().next().unwrap_or_default());
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _gone = stream.write_all((head + &body).as_bytes()).await;
        }
    });
    (docker, tasks)
}

async fn refusal(answer: fn(&str) -> (u16, String)) -> Error {
    let image = image(1);
    let (_folder, store) = stored(&image);
    let (docker, _tasks) = fake(answer).await;
    load(&docker, &store, &image.root.descriptor, &names(&["app:1"]))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_load_that_only_seems_to_succeed_is_found_out() {
    let error = refusal(
        |line| match line.starts_with("POST /images/load?quiet=0 ") {
            true => (200, "{\"stream\":\"Loaded image: app:1\\n\"}\n".to_owned()),
            false => (404, "{\"message\":\"No such image\"}".to_owned()),
        },
    )
    .await;
    assert!(
        error.message().contains("has not kept the name app:1"),
        "{}",
        error.render()
    );

    let error = refusal(|line| match line.starts_with("POST") {
        true => (200, String::new()),
        false => (200, format!("{{\"Id\":\"{}\"}}", Digest::sha256(b"other"))),
    })
    .await;
    assert!(
        error.message().contains("has another image as app:1"),
        "{}",
        error.render()
    );
}

#[tokio::test]
async fn a_full_disk_at_the_daemon_is_told_as_such() {
    let error = refusal(|_| {
        let line =
            "{\"errorDetail\":{\"message\":\"x\"},\"error\":\"write /a: no space left on device\"}";
        (200, format!("{{\"stream\":\"...\"}}\n{line}\n"))
    })
    .await;
    assert_eq!(error.kind(), Kind::Disk);
    let error = refusal(|_| (500, "{\"message\":\"no graph\"}".to_owned())).await;
    assert!(error.message().ends_with("no graph"), "{}", error.render());
}
