//! The builder that sealift runs: what it is started with, and what happens when it dies.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sealift_test_support::{Project, program};

use crate::scene::Scene;

/// Makes a build that starts the managed builder.
fn build(scene: &Scene, project: &Project) -> Command {
    let mut arguments = vec!["build".to_owned(), "--progress=plain".to_owned()];
    arguments.extend(scene.mirrors());
    arguments.extend(["--platform", "linux/amd64"].map(str::to_owned));
    let tools = program("buildkitd");
    let tools = tools.parent().unwrap().display();
    let mut command = scene.sealift.command(project.path(), &arguments);
    command
        .env("PATH", format!("{tools}:/usr/sbin:/usr/bin:/sbin:/bin"))
        .env("CI_JOB_TOKEN", "secret")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn wait_for(file: &Path) -> String {
    for _ in 0..1200 {
        if let Ok(text) = std::fs::read_to_string(file)
            && !text.is_empty()
        {
            return text;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} never came", file.display());
}

/// A path that Linux allows for a socket and buildkitd does not (moby/buildkit issue 4036).
#[test]
fn a_home_whose_path_is_nearly_too_long_for_a_socket_has_it_elsewhere() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    let folder = tempfile::tempdir().unwrap();
    let pad = 105 - "/builder/buildkitd.sock".len() - folder.path().as_os_str().len() - 1;
    let home = folder.path().join("h".repeat(pad));
    let runtime = folder.path().join("run");
    std::fs::create_dir(&runtime).unwrap();
    let with_home = |mut command: Command| {
        command
            .env("SEALIFT_HOME", &home)
            .env("XDG_RUNTIME_DIR", &runtime);
        command.output().unwrap()
    };
    let output = with_home(build(&scene, &project));
    let stopped = with_home(scene.sealift.command(project.path(), &["builder", "stop"]));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8(stopped.stdout).unwrap(), "stopped\n");
    let kept = std::fs::read_to_string(home.join("builder/socket-folder")).unwrap();
    let kept = Path::new(&kept);
    assert!(kept.starts_with(&runtime), "{}", kept.display());
    let mode = std::fs::metadata(kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(
        errors.contains(&format!("unix://{}/buildkitd.sock", kept.display())),
        "{errors}"
    );
}

/// Stops the builder, whatever becomes of the test.
struct Stop<'a>(&'a Scene);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        let _stopped = self.0.sealift.run(Path::new("/"), &["builder", "stop"]);
    }
}

#[test]
fn a_builder_that_dies_in_the_middle_of_a_build_is_started_again() {
    let scene = Scene::new();
    let _stop = Stop(&scene);
    // The step runs on the network of the host, but its files are its own: the first attempt is
    // recognised by a file of the builder's cache, which outlives it.
    let project = Project::dockerfile(
        "FROM busybox:1.36\n\
         RUN --mount=type=cache,target=/c test -e /c/begun || { touch /c/begun; sleep 600; }\n",
    );
    let child = build(&scene, &project).spawn().unwrap();
    let folder = scene.sealift.store_home().join("builder");
    let process = wait_for(&folder.join("buildkitd.pid"));
    // What its first caller alone has is not for it.
    let place = Path::new("/proc").join(&process);
    let environment = std::fs::read_to_string(place.join("environ")).unwrap();
    let mut names: Vec<_> = environment
        .split_terminator('\0')
        .map(|variable| variable.split('=').next().unwrap())
        // It gets the proxies of the network model, be they none.
        .filter(|name| !name.to_lowercase().ends_with("_proxy"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "PATH"]);
    let home = std::fs::canonicalize(&folder).unwrap();
    assert_eq!(std::fs::read_link(place.join("cwd")).unwrap(), home);
    // The step has begun once runc has its process.
    let begun = || {
        let steps = std::fs::read_dir(folder.join("root/runc-overlayfs/executor"))
            .or_else(|_| std::fs::read_dir(folder.join("root/runc-native/executor")));
        steps.is_ok_and(|steps| {
            steps
                .flatten()
                .any(|step| step.path().join("config.json").exists())
        })
    };
    while !begun() {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    let killed = Command::new("kill").args(["-9", &process]).status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    let again =
        "warning: the builder ended in the middle of the build and was started again; its log is ";
    assert_eq!(errors.matches(again).count(), 1, "{errors}");
}
