//! The same files for every hop: images are fetched, and a plain build is made, through nothing but
//! what is configured in the formats of Docker, containerd and podman.

use std::path::Path;

use sealift_test_support::{
    Authority, Buildkitd, HttpProxy, Project, RegistryOptions, SocksProxy, program,
};
use serde_json::json;

use crate::site::{
    DOCKERFILE, MIRROR, SECRET, Site, check, dead, guarded_mirror, open_mirror, registry,
    serves_more, strange_mirror,
};

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
    let registry = strange_mirror();
    let site = Site::new();
    site.mirror(&[&registry.url()]);
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
    let registry = open_mirror();
    let site = Site::new();
    let gone = format!("http://{}", dead());
    site.mirror(&[&gone, &registry.url()]);
    check(&site, &registry);
}

#[test]
fn containerds_hosts_toml() {
    let authority = Authority::new("corp");
    let options = RegistryOptions {
        tls: Some(authority.server(&["127.0.0.1"])),
        client_authority: Some(authority.certificate().to_owned()),
        ..RegistryOptions::default()
    };
    let registry = registry(options, "library/busybox");
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
    let registry = registry(RegistryOptions::default(), "hub/library/busybox");
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
    let registry = registry(RegistryOptions::default(), "official/busybox");
    let site = Site::new();
    let text = format!(
        "[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"{}/official\"\n\n\
         [[registry]]\nprefix = \"quay.io\"\nlocation = \"quay.io\"\nblocked = true\n",
        registry.host()
    );
    site.file("config/containers/registries.conf", &text);
    site.sealed();
    serves_more(&registry, "sealift/", 2);
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
    let registry = open_mirror();
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
    let registry = open_mirror();
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
        let options = ["--no-cache", "--builder", builder, "-o", &destination];
        let outcome = site.build(&[&options[..], more].concat()).success();
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

#[test]
fn an_unsealed_builder_knows_the_insecure_registries_of_the_dockerfile() {
    let registry = strange_mirror();
    let image = format!("{}/library/busybox:1.36", registry.host());
    let mut site = Site::new();
    site.project = Project::dockerfile(&DOCKERFILE.replace("busybox:1.36", &image));
    site.daemon_json(&json!({"insecure-registries": ["127.0.0.0/8"]}));
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
    serves_more(&registry, "sealift/", 2);
    serves_more(&registry, "buildkit/", 0);
}

#[test]
fn an_image_that_is_a_misspelt_stage_is_named_when_it_cannot_be_fetched() {
    let site = Site::new();
    let text = "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\nblocked = true\n";
    site.file("config/containers/registries.conf", text);
    let dockerfile = "FROM scratch AS builder\nFROM scratch\nCOPY --from=buidler /x /x\n";
    std::fs::write(site.project.path().join("Dockerfile"), dockerfile).unwrap();
    let options = ["prefetch", "--platform=linux/amd64", "--progress=plain"];
    let outcome = site.run(&options).failure();
    let home = site.sealift.home().display().to_string();
    let (_totals, error) = outcome.stderr.split_once("over the network\n").unwrap();
    assert_eq!(
        error.replace(&home, "HOME"),
        "error: Dockerfile:3 needs docker.io/library/buidler:latest, which cannot be fetched\n  \
         because: docker.io/library/buidler cannot be requested\n  \
         because: docker.io/library/buidler:latest is blocked by \
         HOME/config/containers/registries.conf:4\n  \
         try: no stage is called buidler: did you mean builder?\n"
    );
}

#[test]
fn a_proxy_that_refuses_is_named_with_the_place_where_it_was_set() {
    let registry = strange_mirror();
    let proxy = HttpProxy::with(Some(("alice", SECRET)), &[(MIRROR, registry.address())]);
    let site = Site::new();
    let place = format!("http://{}", proxy.address());
    site.daemon_json(&json!({"proxies": {"https-proxy": place}}));
    let refused = site
        .pull(&format!("{MIRROR}/library/busybox:1.36"))
        .failure();
    let set_by = site.sealift.home().join(".docker/daemon.json");
    let expected = format!(
        "because: proxy {place} (set by {}:1) refuses: 407 Proxy Authentication Required; \
         it accepts Basic\n",
        set_by.display()
    );
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
}

#[test]
fn a_dead_proxy_on_loopback_is_said_before_steps_get_it() {
    let daemon = Buildkitd::start();
    let mut site = Site::new();
    site.project = Project::dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    let proxy = format!("http://{}", dead());
    let proxies = json!({"proxies": {"default": {"httpProxy": proxy, "httpsProxy": proxy}}});
    site.file(".docker/config.json", &proxies.to_string());
    let built = site.build(&["--builder", &daemon.address()]).success();
    let config = site.sealift.home().join(".docker/config.json");
    let expected = format!(
        "warning: steps cannot download through the proxy HTTP_PROXY, HTTPS_PROXY={proxy} ({}:1): \
         nothing listens there: start the proxy, or take the setting away",
        config.display()
    );
    assert!(
        built.stderr.lines().any(|line| line == expected),
        "{}",
        built.stderr
    );
}

#[test]
fn explain_takes_its_options_before_and_after_the_image() {
    let site = Site::new();
    let option = "--mirror=docker.io=https://mirror.example.com";
    let before = site
        .run(&["network", option, "explain", "busybox:1.36"])
        .success();
    let after = site
        .run(&["network", "explain", "busybox:1.36", option])
        .success();
    assert!(
        before
            .stdout
            .contains("https://mirror.example.com  mirror, option --mirror")
    );
    assert_eq!(before.stdout, after.stdout);
}
