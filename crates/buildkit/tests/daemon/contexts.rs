//! What travels of a context.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use sealift_buildkit::{Error, Output};

use crate::site::{Site, listing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_dockerfile_copies_travels() {
    let site = Site::new().await;
    site.write("wanted/a", "a")
        .write("unwanted/big", vec![0; 1 << 20]);
    let solve = site.busybox_solve("FROM busybox:1.36\nCOPY wanted /w\n");
    let ran = site.run(solve).await;
    // The Dockerfile and the one file.
    assert_eq!(ran.solved().traffic.files_sent, 2);
    assert!(ran.solved().traffic.file_bytes_sent < 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dockerignore_decides_as_under_docker() {
    let site = Site::new().await;
    site.write("keep.md", "")
        .write("drop.md", "")
        .write("deep/a/drop.tmp", "")
        .write("deep/a/stay", "")
        .write("out/x", "")
        .write(".dockerignore", "*.md\n!keep.md\n**/*.tmp\nout\n");
    let ran = site
        .run(site.busybox_solve("FROM busybox:1.36\nCOPY . /c\nRUN cd /c && find . | sort\n"))
        .await;
    ran.solved();
    let log = ran.log();
    let files: Vec<&str> = log.lines().filter(|line| line.starts_with("./")).collect();
    assert_eq!(
        files,
        [
            "./.dockerignore",
            "./Dockerfile",
            "./deep",
            "./deep/a",
            "./deep/a/stay",
            "./keep.md"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_arrive_as_they_are() {
    let site = Site::new().await;
    site.write("plain", "plain")
        .write("dir/target", "target")
        .write("empty", "")
        .write("large", vec![b'x'; 3_000_001])
        .write("grün und leer/ß", "umlaut");
    let at = |name: &str| site.context().join(name);
    symlink("dir/target", at("link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    std::fs::hard_link(at("plain"), at("second")).unwrap();
    std::fs::set_permissions(at("plain"), PermissionsExt::from_mode(0o4751)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let solve = site.busybox_solve(
        "FROM busybox:1.36\n\
         COPY . /c\n\
         RUN cd /c && stat -c '%n %F %s %a %u:%g %h' plain second link empty large pipe socket \
             && readlink link && readlink dangling && cat 'grün und leer/ß' && wc -c < large\n",
    );
    let ran = site.run(solve).await;
    ran.solved();
    let log = ran.log();
    for line in [
        "plain regular file 5 4751 0:0 2",
        "second regular file 5 4751 0:0 2",
        "link symbolic link 10 777 0:0 1",
        "empty regular empty file 0",
        "large regular file 3000001",
        "pipe fifo 0 400",
        "dir/target\n",
        "nowhere\n",
        "umlaut",
        "3000001\n",
    ] {
        assert!(log.contains(line), "{line:?} is not in:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_bring_their_targets() {
    let site = Site::new().await;
    site.write("real/sub/file", "content");
    symlink("real/sub", site.context().join("alias")).unwrap();
    let solve = site.busybox_solve(
        "FROM busybox:1.36\nCOPY alias/file /file\nCOPY al*s /dir\nRUN cat /file /dir/file\n",
    );
    let ran = site.run(solve).await;
    ran.solved();
    assert!(ran.log().contains("contentcontent"), "{}", ran.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_no_text_is_copied_as_it_is() {
    use std::os::unix::ffi::OsStrExt as _;
    let site = Site::new().await;
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    std::fs::create_dir(site.context().join("in")).unwrap();
    std::fs::write(site.context().join("in").join(name), "coffee").unwrap();
    symlink(name, site.context().join("in/link")).unwrap();
    // What is not copied breaks nothing.
    std::fs::write(site.context().join(name), "x").unwrap();
    let out = site.path("out");
    let solve = site
        .solve("FROM scratch\nCOPY in /\n")
        .output(Output::Folder(out.clone()));
    site.run(solve).await.solved();
    assert_eq!(std::fs::read(out.join(name)).unwrap(), b"coffee");
    assert_eq!(std::fs::read(out.join("link")).unwrap(), b"coffee");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_copied_as_a_device() {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let site = Site::new().await;
    // Of a block device, buildkitd's own COPY makes a character device.
    let (kind, device) = (
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::makedev(1, 7),
    );
    let path = site.context().join("full");
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RUSR, device).unwrap();
    let out = site.path("out");
    let solve = site
        .solve("FROM scratch\nCOPY full /\n")
        .output(Output::Folder(out.clone()));
    site.run(solve).await.solved();
    let metadata = out.join("full").symlink_metadata().unwrap();
    assert!(metadata.file_type().is_char_device());
    assert_eq!(metadata.rdev(), device);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_is_as_deep_as_it_likes() {
    let site = Site::new().await;
    site.write(&format!("in/{}file", "d/".repeat(400)), "deep");
    let out = site.path("o");
    let solve = site
        .solve("FROM scratch\nCOPY in /\n")
        .output(Output::Folder(out.clone()));
    site.run(solve).await.solved();
    let file = out.join("d/".repeat(400)).join("file");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "deep");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ignore_file_is_as_long_as_it_likes() {
    let site = Site::new().await;
    // The daemon sends its lines back as headers.
    let lines = (0..20_000).map(|number| format!("ignored/{number}\n"));
    site.write(".dockerignore", lines.collect::<String>() + "drop\n")
        .write("drop", "")
        .write("keep", "");
    let out = site.path("out");
    let solve = site
        .solve("FROM scratch\nCOPY . /\n")
        .output(Output::Folder(out.clone()));
    site.run(solve).await.solved();
    assert_eq!(listing(&out), [".dockerignore", "Dockerfile", "keep"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_travels_alone() {
    let site = Site::new().await;
    site.write("one", "1").write("two", "2");
    let dockerfile = "FROM busybox:1.36\nCOPY one two /\n";
    site.run(site.busybox_solve(dockerfile)).await.solved();
    site.write("two", "22");
    let ran = site.run(site.busybox_solve(dockerfile)).await;
    // `busybox_solve` has written the Dockerfile anew, too.
    assert_eq!(ran.solved().traffic.files_sent, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_context_is_found_before_anything_is_sent() {
    let site = Site::new().await;
    let solve = sealift_buildkit::Solve::new(site.path("absent"));
    let ran = site.run(solve).await;
    match ran.error() {
        Error::Source { path, .. } => assert_eq!(*path, site.path("absent")),
        other => panic!("{other:?}"),
    }
    assert!(ran.events.is_empty());
}
