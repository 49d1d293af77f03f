//! What BuildKit says of steps, of full disks, and of pushes and caches of its own.

use std::process::Command;
use std::thread;

use sealift_failure::{Class, Phase, classify_text};
use sealift_test_support::{
    Buildkitd, DockerRegistry, Dockerd, Fault, FaultyRegistry, HttpProxy, Kind, Project, Sealift,
    program, random_image,
};

use crate::engine::{NAME, Street, every, nobody};
use Class::{Absent, Auth, Build, Config, Corrupt, Network, Rate};
use Phase::{Blob, Cache, Exec, Push, Resolve};

#[test]
fn what_buildkit_says_of_steps() {
    let mut street = Street::new();
    let origin = street.origin.host();
    let nobody = nobody();
    // Addresses that ADD takes, and steps' own failures, have no part in a registry.
    let add = format!("FROM scratch\nADD http://{origin}/v2/library/nothing/manifests/1 /\n");
    street.dockerfile(&add, "", (Blob, Absent, NAME));
    let add = format!("FROM scratch\nADD http://{nobody}/x /\n");
    street.dockerfile(&add, &nobody, (Blob, Config, "Nothing listens there"));
    let sum = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let add = format!("FROM scratch\nADD --checksum={sum} http://{origin}/v2/ /x\n");
    street.dockerfile(
        &add,
        "",
        (Blob, Corrupt, "checksum is not the Dockerfile's"),
    );
    let copy = "FROM scratch\nCOPY nothing /\n";
    street.dockerfile(copy, "", (Exec, Build, "not in the build context"));
    let owner = "FROM scratch\nCOPY --chown=nobody-here Dockerfile /\n";
    street.dockerfile(owner, "", (Exec, Build, ""));
    let step = format!("FROM {origin}/library/busybox:1\nRUN exit 3\n");
    street.dockerfile(&step, "", (Exec, Build, ""));
    let step = format!(
        "FROM {origin}/library/busybox:1\nRUN echo 'curl: (6) Could not resolve host: a.example' >&2; exit 6\n"
    );
    street.dockerfile(
        &step,
        "a.example",
        (Exec, Network, "could not resolve a host name"),
    );
    let step = format!("FROM {origin}/library/busybox:1\nRUN sh -c 'kill -9 $$'; exit $?\n");
    street.dockerfile(
        &step,
        "",
        (Exec, Class::Memory, "give the machine more memory"),
    );
    let garbage = "FROM scratch\nCOPY --chmod=755 Dockerfile /bin/sh\nRUN true\n";
    let emulator = (
        Exec,
        Class::Emulation,
        "cannot run programs of this platform",
    );
    street.dockerfile(garbage, "", emulator);
    let frontend = format!("# syntax={nobody}/x:1\nFROM scratch\n");
    street.dockerfile(
        &frontend,
        &nobody,
        (Resolve, Config, "Nothing listens there"),
    );
    let parse = "FROM scratch\nCOPPY a b\n";
    street.dockerfile(parse, "", (Exec, Build, ""));

    street.build(&Buildkitd::start());
}

#[test]
fn what_buildkit_says_of_its_proxy() {
    let mut street = Street::new();
    let nobody = format!("http://{}", nobody());
    let strict = HttpProxy::with(Some(("user", "secret")), &[]);
    let strict = format!("http://{}", strict.address());
    let what = (Resolve, Config, "The proxy");
    street.image("secure.example", "x", what);
    street.image("plain.example", "x", what);
    let environment = [("HTTPS_PROXY", nobody.as_str()), ("HTTP_PROXY", &strict)];
    let settings = "[registry.\"plain.example\"]\nhttp = true\n";
    street.build(&Buildkitd::with(settings, &environment, &[]));
}

#[test]
fn what_buildkit_and_its_steps_say_of_a_full_disk() {
    let mut street = Street::new();
    let origin = street.origin.host();
    let image = random_image(77, &["linux/amd64"], &[40_000_000]);
    street.origin.push(&image, "library/large", "1");
    let full = "free space; the builder's cache";
    street.image(&origin, "large", (Blob, Class::Disk, full));
    street.nameless();
    let step =
        format!("FROM {origin}/library/busybox:1\nRUN dd if=/dev/zero of=/large bs=1M count=60\n");
    street.dockerfile(&step, "", (Exec, Class::Disk, full));
    street.build(&Buildkitd::cramped(30));
}

#[test]
fn what_docker_says_of_a_full_disk() {
    let registry = DockerRegistry::start();
    let image = random_image(78, &["linux/amd64"], &[40_000_000]);
    registry.push(&image, "large", "1");
    let dockerd = Dockerd::cramped(30);
    let daemon = Buildkitd::start();
    let text = format!("FROM {}/large:1\n", registry.host());
    let project = Project::dockerfile(&text);
    let sealift =
        Sealift::new(env!("CARGO_BIN_EXE_sealift")).env("DOCKER_HOST", &dockerd.address());
    let address = daemon.address();
    let arguments = ["build", "--builder", &address, "-t", "large:1", "--load"];
    let outcome = sealift.run(project.path(), &arguments);
    let code = Some(Class::Disk.exit_code().into());
    assert_eq!(outcome.code, code, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("no space left on device"),
        "{}",
        outcome.stderr
    );
}

/// What `buildctl build` says with these arguments.
fn buildctl(daemon: &Buildkitd, output: &str) -> String {
    // Its layer is this row's own, too.
    let text = format!("# {output}\nFROM scratch\nCOPY Dockerfile /\n");
    let project = Project::dockerfile(&text);
    let local = |name: &str| format!("{name}={}", project.path().display());
    let ran = Command::new(program("buildctl"))
        .args(["--addr", &daemon.address(), "build", "--progress=plain"])
        .args(["--frontend=dockerfile.v0", "--local", &local("context")])
        .args(["--local", &local("dockerfile")])
        .arg(output)
        .env("HOME", project.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stderr);
    let error = text.split("error: failed to solve: ").nth(1);
    error.unwrap_or(&text).trim().to_owned()
}

#[test]
fn what_buildkit_says_of_pushes_and_caches() {
    let origin = DockerRegistry::start();
    let daemon = Buildkitd::start();
    let upload = |fault| every(Kind::Upload, fault);
    let publish = |fault| every(Kind::Publish, fault);
    let rows = [
        (upload(Fault::Reset), Network),
        (upload(Fault::Status(503)), Network),
        (upload(Fault::Status(401)), Auth),
        (upload(Fault::Status(403)), Auth),
        (upload(Fault::TooMany(None)), Rate),
        (publish(Fault::Close), Network),
        (publish(Fault::Status(500)), Network),
        (publish(Fault::Status(401)), Auth),
        (publish(Fault::Status(403)), Auth),
    ];
    let caches = [(Fault::Status(403), Auth), (Fault::Status(503), Network)];
    let wrong: Vec<String> = thread::scope(|scope| {
        let (daemon, origin) = (&daemon, &origin);
        let pushes = rows.map(|(plan, class)| {
            scope.spawn(move || {
                let house = FaultyRegistry::open(origin.address(), plan);
                let host = house.host();
                let name = format!("--output=type=image,name={host}/y:1,push=true");
                wrong(&buildctl(daemon, &name), Push, class)
            })
        });
        let caches = caches.map(|(fault, class)| {
            scope.spawn(move || {
                let house = FaultyRegistry::open(origin.address(), every(Kind::Upload, fault));
                let name = format!("--export-cache=type=registry,ref={}/c:1", house.host());
                wrong(&buildctl(daemon, &name), Cache, class)
            })
        });
        let all = pushes.into_iter().chain(caches);
        all.filter_map(|one| one.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong(text: &str, phase: Phase, class: Class) -> Option<String> {
    let found = classify_text(text);
    let hinted = found.verdict.hint.is_some() || class == Network;
    let right = (found.phase, found.verdict.class) == (Some(phase), class) && hinted;
    (!right).then(|| format!("not {phase} {class}: {found:?} {text}"))
}
