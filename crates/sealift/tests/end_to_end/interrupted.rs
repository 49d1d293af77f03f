//! Runs that are killed, and the runs after them.

use std::io::BufRead as _;
use std::time::Duration;

use sealift_test_support::{FaultPlan, Project, random_image};

use crate::scene::Scene;

/// Kills a run once `ready` says so, then checks that it was still running.
fn kill_when(mut child: std::process::Child, mut ready: impl FnMut() -> bool) {
    for _ in 0..1200 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed"
        );
        if ready() {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    child.kill().unwrap();
    panic!("it never came so far");
}

#[test]
fn killed_while_fetching_the_next_run_fetches_no_finished_blob_again() {
    let scene = Scene::new();
    let image = random_image(3, &["linux/amd64"], &[300_000, 400_000, 3_000_000]);
    scene.registry.push(&image, "library/large", "1");
    // Slow enough that the large layer is under way when the small ones are done.
    scene
        .proxy
        .set_plan(FaultPlan::none().bytes_per_second(600_000));
    let project = Project::dockerfile("FROM large:1\nCOPY Dockerfile /\n");
    let arguments = scene.build_arguments(&["--platform", "linux/amd64"]);
    let blobs = scene.store().join("blobs/sha256");
    let count = || std::fs::read_dir(&blobs).map_or(0, |entries| entries.flatten().count());
    // Manifest, configuration and two layers; the third one is on its way.
    kill_when(scene.sealift.spawn(project.path(), &arguments), || {
        count() >= 4
    });
    scene.verify_store();
    scene.proxy.set_plan(FaultPlan::none());
    let finished: Vec<String> = std::fs::read_dir(&blobs)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let before = scene.registry.requests().len();
    scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .success();
    for access in scene.registry.requests().split_off(before) {
        let again = finished.iter().any(|hex| access.target.ends_with(hex));
        assert!(
            !(again && access.target.contains("/blobs/")),
            "fetched again: {access:?}"
        );
        // What was under way goes on where it was.
        assert!(
            !access.target.contains("/blobs/") || access.status == 206,
            "{access:?}"
        );
    }
    scene.verify_store();
}

#[test]
fn killed_while_building_the_next_run_succeeds_without_fetching() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUN echo begun && sleep 3\n");
    let arguments = scene.build_arguments(&["--platform", "linux/amd64"]);
    let layout = scene.store().join("index.json");
    let fetched =
        || std::fs::read_to_string(&layout).is_ok_and(|text| text.contains("busybox:1.36"));
    let mut since = 0;
    kill_when(scene.sealift.spawn(project.path(), &arguments), || {
        since += i32::from(fetched());
        // About half a second after the fetch the step runs.
        since > 20
    });
    let before = scene.registry.requests().len();
    scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .success();
    assert_eq!(scene.registry.requests().len(), before);
    scene.verify_store();
}

#[test]
fn a_stopped_run_says_how_to_go_on() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUN sleep 60\n");
    let arguments = scene.build_arguments(&["--platform", "linux/amd64"]);
    let mut command = scene.sealift.command(project.path(), &arguments);
    let child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let layout = scene.store().join("index.json");
    while !std::fs::read_to_string(&layout).is_ok_and(|text| text.contains("busybox")) {
        std::thread::sleep(Duration::from_millis(25));
    }
    std::thread::sleep(Duration::from_millis(500));
    let pid = child.id().to_string();
    let status = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.ends_with(
            "error: stopped\n  try: run it again: it resumes from what is in the store\n"
        ),
        "{errors}"
    );
}

#[test]
fn a_stopped_fetch_keeps_the_names_of_the_images_that_are_whole() {
    let scene = Scene::new();
    let image = random_image(4, &["linux/amd64"], &[30_000_000]);
    scene.registry.push(&image, "library/large", "1");
    scene
        .proxy
        .set_plan(FaultPlan::none().bytes_per_second(2_000_000));
    let project = Project::dockerfile("FROM large:1\nCOPY --from=busybox:1.36 /bin /bin\n");
    let mut arguments = scene.build_arguments(&["--platform", "linux/amd64"]);
    "prefetch".clone_into(&mut arguments[0]);
    let layout = scene.store().join("index.json");
    let named = || std::fs::read_to_string(&layout).is_ok_and(|text| text.contains("busybox:1.36"));
    kill_when(scene.sealift.spawn(project.path(), &arguments), named);
    let listed = scene
        .sealift
        .run(project.path(), &["store", "ls"])
        .success();
    assert!(listed.stdout.contains("busybox:1.36"), "{}", listed.stdout);
    assert!(!listed.stdout.contains("large:1"), "{}", listed.stdout);
}

#[test]
fn a_managed_builder_that_dies_is_started_again_and_the_build_ends_well() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUN echo begun && sleep 4\n");
    let mut arguments = vec!["build".to_owned(), "--progress=plain".to_owned()];
    arguments.extend(scene.mirrors());
    let tools = sealift_test_support::program("buildkitd");
    let tools = tools.parent().unwrap().display();
    let path = format!("{tools}:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut command = scene.sealift.command(project.path(), &arguments);
    let child = command
        .env("PATH", &path)
        .stderr(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let mut until = |word: Option<&str>| {
        for line in lines.by_ref().map(Result::unwrap) {
            said += &format!("{line}\n");
            if word.is_some_and(|word| line.ends_with(word)) {
                return said.clone();
            }
        }
        said.clone()
    };
    until(Some(" begun"));
    let pid = scene.sealift.store_home().join("builder/buildkitd.pid");
    let pid = std::fs::read_to_string(pid).unwrap();
    let kill = std::process::Command::new("kill")
        .args(["-KILL", pid.trim()])
        .status();
    assert!(kill.unwrap().success());
    let said = until(None);
    assert!(child.wait().unwrap().success(), "{said}");
    let again = "warning: the builder ended in the middle of the build and was started again";
    assert!(said.contains(again), "{said}");
    let stop = ["builder".to_owned(), "stop".to_owned()];
    scene.sealift.run(project.path(), &stop).success();
}
