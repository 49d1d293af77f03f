//! The same files for every hop: images are fetched, and a plain build is made, through nothing but
//! what is configured in the formats of Docker, containerd and podman.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_test_support::{
    Authority, Buildkitd, DockerRegistry, HttpProxy, Image, Outcome, Project, RegistryOptions,
    Sealift, SocksProxy, busybox, program,
};
use serde_json::json;

/// The proxy's password.
const SECRET: &str = "hunter2";
/// The mirror, by a name that only the proxies can look up.
const MIRROR: &str = "mirror.corp.test:8443";
const DOCKERFILE: &str = "FROM busybox:1.36\nRUN env | sort > /env.txt && uname -m\n";

/// A home with configuration files, and a project that is built there.
struct Site {
    sealift: Sealift,
    project: Project,
}

impl Site {
    fn new() -> Self {
        let sealift = Sealift::new(env!("CARGO_BIN_EXE_sealift"));
        Self {
            sealift,
            project: Project::dockerfile(DOCKERFILE),
        }
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.sealift.home().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn daemon_json(&self, value: &serde_json::Value) {
        self.file(".docker/daemon.json", &value.to_string());
    }

    /// Authority, client certificate and account of the mirror, in Docker's own places.
    fn trust_mirror(&self, authority: &Authority) {
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

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.sealift.run(self.project.path(), arguments)
    }

    fn output(&self, name: &str) -> PathBuf {
        self.sealift.home().join(name)
    }

    /// Builds sealed on a builder that knows no registry at all; returns what RUN's environment was.
    fn sealed(&self) -> String {
        let daemon = Buildkitd::start();
        let folder = self.output("sealed");
        let destination = format!("type=local,dest={}", folder.display());
        let outcome = self.run(&[
            "build",
            ".",
            "--progress=plain",
            "-vv",
            "--platform",
            "linux/amd64",
            "--builder",
            &daemon.address(),
            "-o",
            &destination,
        ]);
        self.secrets_stay(&outcome.success(), &[daemon.log()]);
        let archive = self.output("sealed.tar");
        let image = format!("type=oci,dest={}", archive.display());
        let builder = daemon.address();
        let platform = ["build", ".", "--platform", "linux/amd64"];
        let rest = ["--builder", &builder, "-t", "result:1", "-o", &image];
        let arguments: Vec<&str> = platform.into_iter().chain(rest).collect();
        drop(self.run(&arguments).success());
        without_proxies(&archive);
        std::fs::read_to_string(folder.join("env.txt")).unwrap()
    }

    /// Builds unsealed on the managed builder, which is started with the generated configuration.
    fn unsealed(&self) -> String {
        let archive = self.output("unsealed.tar");
        let image = format!("type=oci,dest={}", archive.display());
        let folder = self.output("unsealed");
        let files = format!("type=local,dest={}", folder.display());
        for destination in [&image, &files] {
            let outcome = self.run(&[
                "build",
                ".",
                "--progress=plain",
                "-vv",
                "--platform",
                "linux/amd64",
                "--seal=off",
                "-t",
                "result:1",
                "-o",
                destination,
            ]);
            self.secrets_stay(&outcome.success(), &[]);
        }
        without_proxies(&archive);
        std::fs::read_to_string(folder.join("env.txt")).unwrap()
    }

    /// Looks for planted secrets in everything that was shown or written down.
    fn secrets_stay(&self, outcome: &Outcome, logs: &[String]) {
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

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new(program("skopeo"))
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn image() -> Image {
    busybox(&["linux/amd64", "linux/arm64"])
}

/// A mirror of docker.io behind HTTPS with a private authority, client certificates and a password.
fn guarded_mirror(authority: &Authority) -> DockerRegistry {
    let registry = DockerRegistry::with(RegistryOptions {
        password: true,
        tls: Some(authority.server(&["mirror.corp.test"])),
        client_authority: Some(authority.certificate().to_owned()),
        storage: None,
    });
    registry.push(&image(), "library/busybox", "1.36");
    registry
}

/// An address where nobody listens.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Counts the answers with content that clients of this kind got.
fn served(registry: &DockerRegistry, agent: &str) -> usize {
    let requests = registry.requests();
    let fits = requests
        .iter()
        .filter(|r| r.agent.starts_with(agent) && r.status == 200);
    fits.filter(|request| request.target.contains("busybox"))
        .count()
}

/// Both kinds of build work, and the mirror served both.
fn check(site: &Site, registry: &DockerRegistry) -> (String, String) {
    let sealed = site.sealed();
    assert!(
        served(registry, "sealift/") > 2,
        "{:?}",
        registry.requests()
    );
    assert_eq!(
        served(registry, "buildkit/"),
        0,
        "a sealed build asked the mirror"
    );
    let unsealed = site.unsealed();
    assert!(
        served(registry, "buildkit/") > 2,
        "{:?}",
        registry.requests()
    );
    (sealed, unsealed)
}

#[test]
fn a_guarded_mirror_behind_an_authenticating_proxy() {
    let authority = Authority::new("corp");
    let registry = guarded_mirror(&authority);
    let proxy = HttpProxy::with(Some(("alice", SECRET)), &[(MIRROR, registry.address())]);
    let site = Site::new();
    site.daemon_json(&json!({
        "registry-mirrors": [format!("https://{MIRROR}")],
        "proxies": {
            "http-proxy": proxy.url(), "https-proxy": proxy.url(), "no-proxy": "internal.test",
        },
    }));
    site.trust_mirror(&authority);
    let (sealed, unsealed) = check(&site, &registry);
    for environment in [sealed, unsealed] {
        // The proxy is on loopback, and these steps are on the host's network.
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
            let line = format!("{name}={}", proxy.url());
            assert!(
                environment.lines().any(|found| found == line),
                "{name}: {environment}"
            );
        }
        let no_proxy = "no_proxy=internal.test,localhost,127.0.0.1,::1";
        assert!(
            environment.lines().any(|found| found == no_proxy),
            "{environment}"
        );
    }
    let seen = proxy.seen();
    let tunnels = seen
        .iter()
        .filter(|tunnel| tunnel.destination == MIRROR && tunnel.allowed);
    assert!(tunnels.count() >= 2, "{seen:?}");
    assert!(
        seen.iter().all(|tunnel| tunnel.destination == MIRROR),
        "{seen:?}"
    );
}

#[test]
fn a_guarded_mirror_behind_socks() {
    let authority = Authority::new("corp");
    let registry = guarded_mirror(&authority);
    let proxy = SocksProxy::with(Some(("alice", SECRET)), &[(MIRROR, registry.address())]);
    let site = Site::new();
    site.daemon_json(&json!({
        "registry-mirrors": [format!("https://{MIRROR}")],
        "proxies": {"http-proxy": proxy.url(), "https-proxy": proxy.url()},
    }));
    site.trust_mirror(&authority);
    check(&site, &registry);
    let seen = proxy.seen();
    assert!(
        !seen.is_empty() && seen.iter().all(|t| t.destination == MIRROR),
        "{seen:?}"
    );
}

#[test]
fn an_insecure_registry_given_as_a_network() {
    let stranger = Authority::new("nobody knows this one");
    let registry = DockerRegistry::with(RegistryOptions {
        tls: Some(stranger.server(&["elsewhere.test"])),
        ..RegistryOptions::default()
    });
    registry.push(&image(), "library/busybox", "1.36");
    let site = Site::new();
    site.daemon_json(&json!({"registry-mirrors": [registry.url()]}));
    // Without its mirror nothing is asked of the real Docker Hub.
    let server = format!("server = \"http://{}\"\n", dead());
    site.file("config/containerd/certs.d/docker.io/hosts.toml", &server);
    let pull = [
        "pull",
        "busybox:1.36",
        "--progress=plain",
        "-vv",
        "--retries",
        "0",
    ];
    let refused = site.run(&pull).failure();
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    site.daemon_json(&json!({
        "registry-mirrors": [registry.url()], "insecure-registries": ["127.0.0.0/8"],
    }));
    check(&site, &registry);
}

#[test]
fn the_second_mirror_serves_when_the_first_is_dead() {
    let registry = DockerRegistry::start();
    registry.push(&image(), "library/busybox", "1.36");
    let site = Site::new();
    let gone = format!("http://{}", dead());
    site.daemon_json(&json!({"registry-mirrors": [gone, registry.url()]}));
    check(&site, &registry);
}

#[test]
fn containerds_hosts_toml() {
    let authority = Authority::new("corp");
    let registry = DockerRegistry::with(RegistryOptions {
        tls: Some(authority.server(&["127.0.0.1"])),
        client_authority: Some(authority.certificate().to_owned()),
        ..RegistryOptions::default()
    });
    registry.push(&image(), "library/busybox", "1.36");
    let site = Site::new();
    let client = authority.client("sealift");
    let folder = "config/containerd/certs.d/docker.io";
    site.file(&format!("{folder}/ca.pem"), authority.certificate());
    site.file(&format!("{folder}/me.pem"), &client.certificate);
    site.file(&format!("{folder}/me-key.pem"), &client.key);
    let text = format!(
        "server = \"https://{}\"\n\n[host.\"{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  \
         ca = \"ca.pem\"\n  client = [[\"me.pem\", \"me-key.pem\"]]\n",
        dead(),
        registry.url()
    );
    site.file(&format!("{folder}/hosts.toml"), &text);
    check(&site, &registry);
}

#[test]
fn registries_conf_renames_and_falls_back_to_plain_http() {
    let registry = DockerRegistry::start();
    registry.push(&image(), "hub/library/busybox", "1.36");
    let site = Site::new();
    let text = format!(
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{}\"\n\n[[registry.mirror]]\n\
         location = \"{}/hub\"\ninsecure = true\n",
        dead(),
        registry.host()
    );
    site.file("config/containers/registries.conf", &text);
    check(&site, &registry);
}

#[test]
fn a_prefix_with_a_path_is_asked_under_its_new_name() {
    let registry = DockerRegistry::start();
    registry.push(&image(), "official/busybox", "1.36");
    let site = Site::new();
    let text = format!(
        "[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"{}/official\"\n\n\
         [[registry]]\nprefix = \"quay.io\"\nlocation = \"quay.io\"\nblocked = true\n",
        registry.host()
    );
    site.file("config/containers/registries.conf", &text);
    site.sealed();
    assert!(
        served(&registry, "sealift/") > 2,
        "{:?}",
        registry.requests()
    );
    let blocked = site.run(&["pull", "quay.io/a/b:1"]).failure();
    assert!(blocked.stderr.contains("blocked by"), "{}", blocked.stderr);
    assert!(
        blocked.stderr.contains("registries.conf:8"),
        "{}",
        blocked.stderr
    );
}

#[test]
fn a_mistake_stops_every_command_that_needs_the_network_and_names_its_place() {
    let site = Site::new();
    site.file(
        ".docker/daemon.json",
        "{\n  \"registry-mirrors\": [\"mirror.corp.test\"],\n}\n",
    );
    for arguments in [
        &["pull", "busybox"][..],
        &["build", "."],
        &["network"],
        &["builder", "config"],
    ] {
        let outcome = site.run(arguments).failure();
        assert!(
            outcome.stderr.contains(".docker/daemon.json:3"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_counts() {
    let registry = DockerRegistry::start();
    registry.push(&image(), "library/busybox", "1.36");
    let site = Site::new();
    std::fs::create_dir_all(site.sealift.home().join(".docker/daemon.json")).unwrap();
    let rootless = json!({"registry-mirrors": [registry.url()]});
    site.file("config/docker/daemon.json", &rootless.to_string());
    let outcome = site
        .run(&["pull", "busybox:1.36", "--progress=plain"])
        .success();
    assert!(
        outcome.stderr.contains(".docker/daemon.json"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("it is a folder"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_loopback_proxy_is_kept_from_steps_that_cannot_reach_it_and_by_hand_all_is_possible() {
    let registry = DockerRegistry::start();
    registry.push(&image(), "library/busybox", "1.36");
    let site = Site::new();
    site.daemon_json(&json!({
        "registry-mirrors": [registry.url()],
        "proxies": {"https-proxy": format!("http://alice:{SECRET}@127.0.0.1:7890")},
    }));
    let daemon = Buildkitd::start();
    // Whoever is reached by a command may be anywhere.
    let buildctl = program("buildctl");
    let elsewhere = format!(
        "exec:{} --addr {} dial-stdio",
        buildctl.display(),
        daemon.address()
    );
    let folder = site.output("files");
    let destination = format!("type=local,dest={}", folder.display());
    let build = |builder: &str, more: &[&str]| {
        let mut arguments = vec![
            "build",
            ".",
            "--progress=plain",
            "--platform",
            "linux/amd64",
        ];
        arguments.extend(["--no-cache", "--builder", builder, "-o", &destination]);
        arguments.extend(more);
        let outcome = site.run(&arguments).success();
        let environment = std::fs::read_to_string(folder.join("env.txt")).unwrap();
        (outcome.stderr, environment.to_lowercase())
    };
    let (stderr, environment) = build(&elsewhere, &[]);
    assert!(!environment.contains("proxy"), "{environment}");
    assert!(
        stderr.contains("HTTPS_PROXY=http://alice:***@127.0.0.1:7890"),
        "{stderr}"
    );
    assert!(
        stderr.contains("loopback") && stderr.contains("--network host"),
        "{stderr}"
    );
    assert!(!stderr.contains(SECRET), "{stderr}");

    let by_hand = ["--build-arg", "https_proxy=http://10.0.0.1:3128"];
    let (_, environment) = build(&elsewhere, &by_hand);
    assert!(
        environment.contains("https_proxy=http://10.0.0.1:3128"),
        "{environment}"
    );

    let (_, environment) = build(&daemon.address(), &[]);
    assert!(environment.contains("127.0.0.1:7890"), "{environment}");
    site.file(
        "config/sealift/sealift.toml",
        "[network]\nbuild-proxy = false\n",
    );
    let (_, environment) = build(&daemon.address(), &[]);
    assert!(!environment.contains("proxy"), "{environment}");
}

/// Writes a credential helper into a folder that comes first on PATH.
fn helper(site: &Site, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    // Written by a child: a descriptor open for writing here could leak into a fork of another
    // test, and the kernel would refuse to run the script.
    let path = site.sealift.home().join("bin/docker-credential-vault");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let write = ["-c", "printf '%s' \"$1\" > \"$2\"", "sh", script];
    let status = Command::new("sh").args(write).arg(&path).status().unwrap();
    assert!(status.success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A registry that demands a password.
fn locked_registry() -> DockerRegistry {
    let registry = DockerRegistry::with(RegistryOptions {
        password: true,
        ..RegistryOptions::default()
    });
    registry.push(&image(), "team/busybox", "1.36");
    registry
}

#[test]
fn accounts_come_from_helpers() {
    let registry = locked_registry();
    let host = registry.host();
    let reference = format!("{host}/team/busybox:1.36");
    let mut site = Site::new();
    let path = std::env::var("PATH").unwrap();
    let bin = site.sealift.home().join("bin");
    site.sealift = site
        .sealift
        .env("PATH", &format!("{}:{path}", bin.display()));
    let pull = || {
        site.run(&[
            "pull",
            &reference,
            "--platform",
            "linux/amd64",
            "--retries",
            "1",
        ])
    };

    let anonymous = pull().failure();
    assert!(anonymous.stderr.contains("401"), "{}", anonymous.stderr);

    site.file(
        ".docker/config.json",
        &json!({"credHelpers": {&host: "vault"}}).to_string(),
    );
    helper(&site, "#!/bin/sh\necho 'the vault is locked' >&2\nexit 1\n");
    let locked = pull().failure();
    assert!(
        locked.stderr.contains("the vault is locked"),
        "{}",
        locked.stderr
    );
    let (user, password) = (DockerRegistry::USER, DockerRegistry::PASSWORD);
    let answer = json!({"ServerURL": &host, "Username": user, "Secret": password});
    helper(&site, &format!("#!/bin/sh\necho '{answer}'\n"));
    site.secrets_stay(&pull().success(), &[]);
    let shown = site
        .run(&["network", "explain", &reference])
        .success()
        .stdout;
    assert!(shown.contains("docker-credential-vault"), "{shown}");
}

#[test]
fn accounts_come_from_paths_of_auth_json() {
    let registry = locked_registry();
    let host = registry.host();
    let reference = format!("{host}/team/busybox:1.36");
    let (user, password) = (DockerRegistry::USER, DockerRegistry::PASSWORD);
    let other = Site::new();
    let auth =
        |name: &str, password: &str| json!({"auth": STANDARD.encode(format!("{name}:{password}"))});
    let auths = json!({"auths": {
        &host: auth("somebody", "wrong"),
        format!("{host}/team"): auth(user, password),
    }});
    other.file("run/containers/auth.json", &auths.to_string());
    let pulled = other
        .run(&["pull", &reference, "--platform", "linux/amd64"])
        .success();
    other.secrets_stay(&pulled, &[]);
    let shown = other
        .run(&["network", "explain", &reference])
        .success()
        .stdout;
    assert!(shown.contains(&format!("as {user}, stored")), "{shown}");
}

#[test]
fn an_unsealed_builder_knows_the_insecure_registries_of_the_dockerfile() {
    let stranger = Authority::new("nobody knows this one");
    let registry = DockerRegistry::with(RegistryOptions {
        tls: Some(stranger.server(&["elsewhere.test"])),
        ..RegistryOptions::default()
    });
    registry.push(&image(), "library/busybox", "1.36");
    let image = format!("{}/library/busybox:1.36", registry.host());
    let mut site = Site::new();
    let text = "[network]\ndaemon-json = \"daemon.json\"\n";
    site.project = Project::dockerfile(&DOCKERFILE.replace("busybox:1.36", &image))
        .file("sealift.toml", text)
        .file(
            "daemon.json",
            json!({"insecure-registries": ["127.0.0.0/8"]}).to_string(),
        );
    // The project is named by its path: its settings count all the same.
    let project = site.project.path().to_str().unwrap().to_owned();
    let arguments = [
        "build",
        &project,
        "--platform",
        "linux/amd64",
        "-t",
        "result:1",
    ];
    for seal in ["--seal=images", "--seal=off"] {
        let mut arguments = arguments.to_vec();
        arguments.push(seal);
        drop(site.sealift.run(Path::new("/"), &arguments).success());
    }
    assert!(
        served(&registry, "sealift/") > 2,
        "{:?}",
        registry.requests()
    );
    assert!(
        served(&registry, "buildkit/") > 0,
        "{:?}",
        registry.requests()
    );
}
