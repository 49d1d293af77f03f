//! What BuildKit says of a bad network, and what people are told of it: real unsealed builds, whose
//! daemon fetches the base image itself, against registries that fail in one way each; and pushes
//! and caches of the daemon's own, which sealift does not use but whose words it knows.
//!
//! Not to be had here within seconds: `i/o timeout` and `TLS handshake timeout` of a daemon, which
//! waits 10 to 30 s for a connection and without end for an answer; GOAWAY and INTERNAL_ERROR,
//! which need a registry that speaks HTTP/2 (our own client meets them in transport's tests);
//! `network is unreachable` with IPv6, as the route is the machine's;
//! an emulator that crashes.

use std::process::Command;
use std::thread;

use sealift_failure::{Class, Phase, classify_text};
use sealift_test_support::{
    Authority, Buildkitd, DockerRegistry, Dockerd, Fault, FaultPlan, FaultyRegistry, HttpProxy,
    Kind, Project, RegistryOptions, Sealift, TokenRules, busybox, program, random_image,
};

use Class::{Absent, Auth, Build, Config, Corrupt, Network, Rate};
use Phase::{Blob, Cache, Exec, Push, Resolve, Token};

/// One way to fail and what is told of it.
struct Row {
    /// The image, or the whole Dockerfile where it has several lines.
    from: String,
    /// The host that the failure log names; the builder's address where it is empty.
    host: String,
    class: Class,
    phase: Phase,
    /// Words of the hint.
    hint: &'static str,
}

/// The registries of one test, each with its fault, before a real one.
struct Street {
    origin: DockerRegistry,
    houses: Vec<FaultyRegistry>,
    rows: Vec<Row>,
}

impl Street {
    fn new() -> Self {
        let origin = DockerRegistry::start();
        origin.push(&busybox(&["linux/amd64"]), "library/busybox", "1");
        origin.push(&busybox(&["linux/arm64"]), "library/foreign", "1");
        let (houses, rows) = (Vec::new(), Vec::new());
        Self {
            origin,
            houses,
            rows,
        }
    }

    /// Adds a registry that fails as planned.
    fn faulty(&mut self, plan: FaultPlan, phase: Phase, class: Class, hint: &'static str) {
        let house = FaultyRegistry::open(self.origin.address(), plan);
        let name = self.own_image();
        self.image(&house.host(), &name, (phase, class, hint));
        self.houses.push(house);
    }

    /// Adds a registry whose token endpoint fails.
    fn realm(&mut self, fault: Fault, class: Class, hint: &'static str) {
        let plan = FaultPlan::none().chance(Kind::Token, 1.0, fault);
        let rules = TokenRules::anonymous();
        let house = FaultyRegistry::with_tokens(self.origin.address(), rules, plan);
        let name = self.own_image();
        self.image(&house.host(), &name, (Token, class, hint));
        if let Some(row) = self.rows.last_mut() {
            row.host = house.token_address().to_string();
        }
        self.houses.push(house);
    }

    /// Says that the last row's failure does not tell its host: BuildKit does not.
    fn nameless(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.host.clear();
        }
    }

    /// Makes an image that no other row has: the daemon would take what they share from another
    /// row's registry.
    fn own_image(&self) -> String {
        let number = self.rows.len();
        let name = format!("own{number}");
        let image = random_image(number as u64, &["linux/amd64"], &[5000]);
        self.origin.push(&image, &format!("library/{name}"), "1");
        name
    }

    fn image(&mut self, host: &str, name: &str, what: (Phase, Class, &'static str)) {
        self.dockerfile(&format!("{host}/library/{name}:1"), host, what);
    }

    fn dockerfile(&mut self, from: &str, host: &str, what: (Phase, Class, &'static str)) {
        let (phase, class, hint) = what;
        self.rows.push(Row {
            from: from.to_owned(),
            host: host.to_owned(),
            class,
            phase,
            hint,
        });
    }

    /// Builds every row at a daemon, some side by side, as most of the time is waiting.
    fn build(&self, daemon: &Buildkitd) {
        let wrong: Vec<String> = thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|worker| {
                    let mine = self.rows.iter().skip(worker).step_by(8);
                    scope.spawn(move || mine.filter_map(|row| row.check(daemon)).collect())
                })
                .collect();
            let results = workers.into_iter();
            results
                .flat_map(|worker| -> Vec<String> { worker.join().unwrap() })
                .collect()
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

impl Row {
    /// Builds it, and returns what is wrong with what was told.
    fn check(&self, daemon: &Buildkitd) -> Option<String> {
        let text = match self.from.contains('\n') {
            true => self.from.clone(),
            false => format!("FROM {}\nCOPY Dockerfile /\n", self.from),
        };
        let project = Project::dockerfile(&text);
        let sealift = Sealift::new(env!("CARGO_BIN_EXE_sealift"));
        let address = daemon.address();
        let arguments = [
            "build",
            "--progress=plain",
            "--seal=off",
            "--retry-budget=1s",
            "--platform=linux/amd64",
            "--builder",
            &address,
        ];
        let outcome = sealift.run(project.path(), &arguments);
        let log = project.path().join(".build-failures.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let line = log.lines().last().unwrap_or_default();
        let host = match self.host.is_empty() {
            true => &address,
            false => &self.host,
        };
        let fields = format!(" class={} ", self.class);
        let place = format!(" phase={} ", self.phase);
        let asked = format!(" host={host} ");
        let hints = outcome.stderr.split("  try: ").skip(1).collect::<String>();
        let right = outcome.code == Some(self.class.exit_code().into())
            && line.contains(&fields)
            && line.contains(&place)
            && line.contains(&asked)
            && hints.contains(self.hint);
        (!right).then(|| {
            format!(
                "{}: not {} {} {host} {:?}:\n{:?} {}\n{line}",
                self.from, self.class, self.phase, self.hint, outcome.code, outcome.stderr
            )
        })
    }
}

/// A place where nothing listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn every(kind: Kind, fault: Fault) -> FaultPlan {
    FaultPlan::none().chance(kind, 1.0, fault)
}

/// All blobs but the first, which is the image's configuration.
fn layers(fault: Fault) -> FaultPlan {
    FaultPlan::none()
        .first(Kind::Blob, 1, Fault::None)
        .chance(Kind::Blob, 1.0, fault)
}

const AGAIN: &str = "run it again";
const LOGIN: &str = "docker login HOST";
const NAME: &str = "Check the name and its tag";

#[test]
fn what_buildkit_says_of_manifests() {
    let mut street = Street::new();
    let manifest = |fault| every(Kind::Manifest, fault);
    for fault in [Fault::Reset, Fault::Close, Fault::Cut, Fault::Status(500)] {
        street.faulty(manifest(fault), Resolve, Network, AGAIN);
    }
    for status in [502, 503, 504, 408, 499, 520, 527] {
        street.faulty(manifest(Fault::Status(status)), Resolve, Network, AGAIN);
    }
    street.faulty(manifest(Fault::Status(401)), Resolve, Auth, LOGIN);
    street.faulty(
        manifest(Fault::Status(403)),
        Resolve,
        Auth,
        "Access is refused",
    );
    street.faulty(manifest(Fault::Status(404)), Resolve, Absent, NAME);
    street.faulty(
        manifest(Fault::TooMany(None)),
        Resolve,
        Rate,
        "fewer requests",
    );
    street.faulty(
        manifest(Fault::TooMany(Some(1))),
        Resolve,
        Rate,
        "fewer requests",
    );
    street.faulty(manifest(Fault::Html), Resolve, Config, "A web page came");
    street.faulty(manifest(Fault::Status(418)), Resolve, Config, "");

    let origin = street.origin.host();
    street.image(
        &origin,
        "foreign",
        (Resolve, Absent, "not exist for this platform"),
    );
    street.image(&origin, "nothing", (Resolve, Absent, NAME));
    street.build(&Buildkitd::start());
}

#[test]
fn what_buildkit_says_of_layers() {
    let mut street = Street::new();
    for fault in [Fault::Reset, Fault::Close, Fault::Status(503)] {
        street.faulty(layers(fault), Blob, Network, AGAIN);
    }
    street.faulty(layers(Fault::Cut), Blob, Network, AGAIN);
    street.nameless();
    street.faulty(
        layers(Fault::Corrupt),
        Blob,
        Corrupt,
        "delivered wrong bytes",
    );
    street.nameless();
    street.faulty(layers(Fault::Status(404)), Blob, Absent, NAME);
    street.nameless();
    street.faulty(layers(Fault::Status(403)), Blob, Auth, "Access is refused");
    street.faulty(layers(Fault::TooMany(None)), Blob, Rate, "fewer requests");
    street.build(&Buildkitd::start());
}

#[test]
fn what_buildkit_says_of_tokens() {
    let mut street = Street::new();
    for fault in [Fault::Reset, Fault::Close, Fault::Status(503)] {
        street.realm(fault, Network, AGAIN);
    }
    street.realm(Fault::Html, Config, "A web page came");
    street.realm(Fault::Status(401), Auth, LOGIN);
    street.realm(Fault::Status(403), Auth, "");
    street.realm(
        Fault::Status(404),
        Config,
        "The token server knows no such address",
    );
    street.realm(Fault::TooMany(None), Rate, "fewer requests");
    street.build(&Buildkitd::start());
}

#[test]
fn what_buildkit_says_of_places_that_are_not_there() {
    let mut street = Street::new();
    let nobody = nobody();
    street.image(&nobody, "x", (Resolve, Config, "Nothing listens there"));
    let unknown = "no-such-host.invalid";
    street.image(unknown, "x", (Resolve, Config, "does not exist in DNS"));

    let plain = DockerRegistry::start();
    street.image(
        &plain.host(),
        "busybox",
        (Resolve, Config, "mark the registry as plain HTTP"),
    );
    let secure = DockerRegistry::with(RegistryOptions {
        tls: Some(Authority::new("nobody knows it").server(&["127.0.0.1"])),
        ..RegistryOptions::default()
    });
    let distrust = (Resolve, Config, "certificate is not trusted");
    street.image(&secure.host(), "busybox", distrust);

    let settings = format!(
        "[registry.\"{}\"]\nhttp = false\n[registry.\"{}\"]\nhttp = false\n",
        plain.host(),
        secure.host()
    );
    street.build(&Buildkitd::with(&settings, &[], &[]));
}

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
        (Blob, Corrupt, "another checksum than the Dockerfile says"),
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
        (Exec, Network, "could not look a name up"),
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
