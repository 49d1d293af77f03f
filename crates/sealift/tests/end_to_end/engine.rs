//! What BuildKit says of a bad network, and what people are told of it: real unsealed builds, whose
//! daemon fetches the base image itself, against registries that fail in one way each; and pushes
//! and caches of the daemon's own, which sealift does not use but whose words it knows.
//!
//! Not to be had here within seconds: `i/o timeout` and `TLS handshake timeout` of a daemon, which
//! waits 10 to 30 s for a connection and without end for an answer; GOAWAY and INTERNAL_ERROR,
//! which need a registry that speaks HTTP/2 (our own client meets them in transport's tests);
//! `network is unreachable` with IPv6, as the route is the machine's;
//! an emulator that crashes.

use std::thread;

use sealift_failure::{Class, Phase};
use sealift_test_support::{
    Authority, Buildkitd, DockerRegistry, Fault, FaultPlan, FaultyRegistry, Kind, Project,
    RegistryOptions, Sealift, TokenRules, busybox, random_image,
};

use Class::{Absent, Auth, Config, Corrupt, Network, Rate};
use Phase::{Blob, Resolve, Token};

/// One way to fail and what is told of it.
pub(crate) struct Row {
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
pub(crate) struct Street {
    pub(crate) origin: DockerRegistry,
    pub(crate) houses: Vec<FaultyRegistry>,
    pub(crate) rows: Vec<Row>,
}

impl Street {
    pub(crate) fn new() -> Self {
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
    pub(crate) fn faulty(
        &mut self,
        plan: FaultPlan,
        phase: Phase,
        class: Class,
        hint: &'static str,
    ) {
        let house = FaultyRegistry::open(self.origin.address(), plan);
        let name = self.own_image();
        self.image(&house.host(), &name, (phase, class, hint));
        self.houses.push(house);
    }

    /// Adds a registry whose token endpoint fails.
    pub(crate) fn realm(&mut self, fault: Fault, class: Class, hint: &'static str) {
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
    pub(crate) fn nameless(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.host.clear();
        }
    }

    /// Makes an image that no other row has: the daemon would take what they share from another
    /// row's registry.
    pub(crate) fn own_image(&self) -> String {
        let number = self.rows.len();
        let name = format!("own{number}");
        let image = random_image(number as u64, &["linux/amd64"], &[5000]);
        self.origin.push(&image, &format!("library/{name}"), "1");
        name
    }

    pub(crate) fn image(&mut self, host: &str, name: &str, what: (Phase, Class, &'static str)) {
        self.dockerfile(&format!("{host}/library/{name}:1"), host, what);
    }

    pub(crate) fn dockerfile(
        &mut self,
        from: &str,
        host: &str,
        what: (Phase, Class, &'static str),
    ) {
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
    pub(crate) fn build(&self, daemon: &Buildkitd) {
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
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub(crate) fn every(kind: Kind, fault: Fault) -> FaultPlan {
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

pub(crate) const NAME: &str = "Check the name and its tag";

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
        "limiting requests",
    );
    street.faulty(
        manifest(Fault::TooMany(Some(1))),
        Resolve,
        Rate,
        "limiting requests",
    );
    street.faulty(
        manifest(Fault::Html),
        Resolve,
        Config,
        "A web page was returned",
    );
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
        "returned the wrong content",
    );
    street.nameless();
    street.faulty(layers(Fault::Status(404)), Blob, Absent, NAME);
    street.nameless();
    street.faulty(layers(Fault::Status(403)), Blob, Auth, "Access is refused");
    street.faulty(
        layers(Fault::TooMany(None)),
        Blob,
        Rate,
        "limiting requests",
    );
    street.build(&Buildkitd::start());
}

#[test]
fn what_buildkit_says_of_tokens() {
    let mut street = Street::new();
    for fault in [Fault::Reset, Fault::Close, Fault::Status(503)] {
        street.realm(fault, Network, AGAIN);
    }
    street.realm(Fault::Html, Config, "A web page was returned");
    street.realm(Fault::Status(401), Auth, LOGIN);
    street.realm(Fault::Status(403), Auth, "");
    street.realm(
        Fault::Status(404),
        Config,
        "The token server does not have this path",
    );
    street.realm(Fault::TooMany(None), Rate, "limiting requests");
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
