//! A machine with configuration files, a project that is built on it, and the registries that it
//! reaches through nothing but what is configured.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_test_support::{
    Authority, Buildkitd, DockerRegistry, Outcome, Project, RegistryOptions, Sealift, busybox,
    skopeo,
};
use serde_json::json;

/// The proxy's password.
pub(crate) const SECRET: &str = "hunter2";
/// The mirror, by a name that only the proxies can look up.
pub(crate) const MIRROR: &str = "mirror.corp.test:8443";
pub(crate) const DOCKERFILE: &str = "FROM busybox:1.36\nRUN env | sort > /env.txt && uname -m\n";

/// A home with configuration files, and a project that is built there.
pub(crate) struct Site {
    pub(crate) sealift: Sealift,
    pub(crate) project: Project,
}

impl Site {
    pub(crate) fn new() -> Self {
        let sealift = Sealift::new(env!("CARGO_BIN_EXE_sealift"));
        Self {
            sealift,
            project: Project::dockerfile(DOCKERFILE),
        }
    }

    pub(crate) fn file(&self, path: &str, content: &str) {
        let path = self.sealift.home().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn daemon_json(&self, value: &serde_json::Value) {
        self.file(".docker/daemon.json", &value.to_string());
    }

    /// Mirrors of docker.io and nothing else, in Docker's own file.
    pub(crate) fn mirror(&self, urls: &[&str]) {
        self.daemon_json(&json!({ "registry-mirrors": urls }));
    }

    /// Authority, client certificate and account of the mirror, in Docker's own places.
    pub(crate) fn trust_mirror(&self, authority: &Authority) {
        let client = authority.client("sealift");
        let folder = format!(".docker/certs.d/{MIRROR}");
        self.file(&format!("{folder}/ca.crt"), authority.certificate());
        self.file(&format!("{folder}/client.cert"), &client.certificate);
        self.file(&format!("{folder}/client.key"), &client.key);
        let account = format!("{}:{}", DockerRegistry::USER, DockerRegistry::PASSWORD);
        let auth = STANDARD.encode(account);
        self.file(
            ".docker/config.json",
            &json!({"auths": {MIRROR: {"auth": auth}}}).to_string(),
        );
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.sealift.run(self.project.path(), arguments)
    }

    /// Builds the project for one platform.
    pub(crate) fn build(&self, options: &[&str]) -> Outcome {
        let line = ["build", ".", "--progress=plain", "--platform=linux/amd64"];
        self.run(&[&line[..], options].concat())
    }

    /// Fetches an image for one platform, with a single retry.
    pub(crate) fn pull(&self, reference: &str) -> Outcome {
        let options = ["--platform", "linux/amd64", "--retries", "1"];
        self.run(&[&["pull", reference], &options[..]].concat())
    }

    /// Returns what is said of how an image is fetched.
    pub(crate) fn explain(&self, reference: &str) -> String {
        let outcome = self.run(&["network", "explain", reference]);
        outcome.success().stdout
    }

    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.sealift.home().join(name)
    }

    /// Builds sealed on a builder that knows no registry at all; returns what RUN's environment was.
    pub(crate) fn sealed(&self) -> String {
        let daemon = Buildkitd::start();
        let folder = self.output("sealed");
        let destination = format!("type=local,dest={}", folder.display());
        let outcome = self.build(&["-vv", "--builder", &daemon.address(), "-o", &destination]);
        self.secrets_stay(&outcome.success(), &[daemon.log()]);
        let archive = self.output("sealed.tar");
        let image = format!("type=oci,dest={}", archive.display());
        let builder = daemon.address();
        let options = ["--builder", &builder, "-t", "result:1", "-o", &image];
        drop(self.build(&options).success());
        without_proxies(&archive);
        std::fs::read_to_string(folder.join("env.txt")).unwrap()
    }

    /// Builds unsealed on the managed builder, which is started with the generated configuration.
    pub(crate) fn unsealed(&self) -> String {
        let archive = self.output("unsealed.tar");
        let image = format!("type=oci,dest={}", archive.display());
        let folder = self.output("unsealed");
        let files = format!("type=local,dest={}", folder.display());
        for destination in [&image, &files] {
            let options = ["-vv", "--seal=off", "-t", "result:1", "-o", destination];
            let outcome = self.build(&options);
            self.secrets_stay(&outcome.success(), &[]);
        }
        without_proxies(&archive);
        std::fs::read_to_string(folder.join("env.txt")).unwrap()
    }

    /// Looks for planted secrets in everything that was shown or written down.
    pub(crate) fn secrets_stay(&self, outcome: &Outcome, logs: &[String]) {
        let shown = [outcome.stdout.clone(), outcome.stderr.clone()];
        let mut texts: Vec<String> = shown.into_iter().chain(logs.iter().cloned()).collect();
        for arguments in [
            &["network"][..],
            &["network", "--json"],
            &["network", "explain", "busybox:1.36"],
            &["network", "explain", "busybox:1.36", "--json"],
            &["builder", "config"],
        ] {
            let outcome = self.run(arguments).success();
            texts.extend([outcome.stdout, outcome.stderr]);
        }
        for folder in [self.sealift.store_home(), self.project.path().to_owned()] {
            collect(&folder, &mut texts);
        }
        for secret in [SECRET, DockerRegistry::PASSWORD] {
            for text in &texts {
                let place = text.find(secret).map(|at| {
                    let start = at.saturating_sub(200);
                    text.get(start..at).unwrap_or_default().to_owned()
                });
                assert!(place.is_none(), "a secret is shown after: {place:?}");
            }
        }
    }
}

/// Reads all files below a folder, but for the builder's own cache: BuildKit records its requests
/// there.
fn collect(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("builder/root") {
                collect(&path, texts);
            }
        } else if path.is_file() {
            texts.push(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned());
        }
    }
}

/// Neither the image's configuration nor its history knows of proxies.
fn without_proxies(archive: &Path) {
    let config = skopeo(&[
        "inspect",
        "--config",
        &format!("oci-archive:{}", archive.display()),
    ]);
    assert!(config.contains("history"), "{config}");
    assert!(!config.to_lowercase().contains("proxy"), "{config}");
    assert!(!config.contains(SECRET), "{config}");
}

/// A registry that has busybox under this name.
pub(crate) fn registry(options: RegistryOptions, repository: &str) -> DockerRegistry {
    let registry = DockerRegistry::with(options);
    let image = busybox(&["linux/amd64", "linux/arm64"]);
    registry.push(&image, repository, "1.36");
    registry
}

/// A mirror of docker.io that anyone may read.
pub(crate) fn open_mirror() -> DockerRegistry {
    registry(RegistryOptions::default(), "library/busybox")
}

/// A mirror of docker.io behind HTTPS, by an authority that nobody trusts and for another name.
pub(crate) fn strange_mirror() -> DockerRegistry {
    let stranger = Authority::new("nobody knows this one");
    let options = RegistryOptions {
        tls: Some(stranger.server(&["elsewhere.test"])),
        ..RegistryOptions::default()
    };
    registry(options, "library/busybox")
}

/// A mirror of docker.io behind HTTPS with a private authority, client certificates and a password.
pub(crate) fn guarded_mirror(authority: &Authority) -> DockerRegistry {
    let options = RegistryOptions {
        password: true,
        tls: Some(authority.server(&["mirror.corp.test"])),
        client_authority: Some(authority.certificate().to_owned()),
        storage: None,
    };
    registry(options, "library/busybox")
}

/// An address where nobody listens.
pub(crate) fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Counts the answers with content that clients of this kind got.
pub(crate) fn served(registry: &DockerRegistry, agent: &str) -> usize {
    let requests = registry.requests();
    let fits = requests
        .iter()
        .filter(|r| r.agent.starts_with(agent) && r.status == 200);
    fits.filter(|request| request.target.contains("busybox"))
        .count()
}

/// A mirror's clients were served more than this.
#[track_caller]
pub(crate) fn serves_more(registry: &DockerRegistry, agent: &str, count: usize) {
    let requests = registry.requests();
    assert!(served(registry, agent) > count, "{agent}: {requests:?}");
}

/// Both kinds of build work, and the mirror served both.
pub(crate) fn check(site: &Site, registry: &DockerRegistry) -> (String, String) {
    let sealed = site.sealed();
    serves_more(registry, "sealift/", 2);
    let asked = served(registry, "buildkit/");
    assert_eq!(asked, 0, "a sealed build asked the mirror");
    let unsealed = site.unsealed();
    serves_more(registry, "buildkit/", 2);
    (sealed, unsealed)
}

/// A registry that demands a password.
pub(crate) fn locked_registry() -> DockerRegistry {
    let options = RegistryOptions {
        password: true,
        ..RegistryOptions::default()
    };
    registry(options, "team/busybox")
}
