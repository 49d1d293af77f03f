//! What a project's sealift.toml may do to the network before the user trusts it, and after.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_test_support::{DockerRegistry, HttpProxy, Project, RegistryOptions};
use serde_json::json;

use crate::site::{Site, locked_registry, registry};

fn prefetch(site: &Site, options: &[&str]) -> String {
    let line = [
        "prefetch",
        ".",
        "--progress=plain",
        "--pull",
        "--platform=linux/amd64",
    ];
    site.run(&[&line[..], options].concat()).success().stderr
}

#[test]
fn a_projects_mirror_is_asked_once_the_user_trusts_it() {
    let origin = registry(RegistryOptions::default(), "team/busybox");
    let mirror = registry(RegistryOptions::default(), "team/busybox");
    let mut site = Site::new();
    let image = format!("{}/team/busybox:1.36", origin.host());
    let table = |url: &str| format!("[network.mirrors]\n\"{}\" = \"{url}\"\n", origin.host());
    site.project =
        Project::dockerfile(&format!("FROM {image}\n")).file("sealift.toml", table(&mirror.url()));
    let file = site
        .project
        .path()
        .join("sealift.toml")
        .canonicalize()
        .unwrap();
    let folder = file.parent().unwrap();
    let setting = format!("the mirror {} of {}", mirror.url(), origin.host());
    let warning = format!(
        "warning: {}:1: [network] is not used: you have not trusted it. It would set {setting}. Read \
         it, then run `sealift trust {}`; in CI, give --trust-project",
        file.display(),
        folder.display()
    );
    let told = |stderr: &str| stderr.lines().any(|line| line == warning);
    let pushed = mirror.requests().len();
    assert!(told(&prefetch(&site, &[])));
    assert_eq!(mirror.requests().len(), pushed, "the mirror was asked");

    let trust = |options: &[&str]| site.run(&[&["trust"], options].concat());
    let trusted = format!("{} is trusted. It sets\n  {setting}\n", file.display());
    assert_eq!(trust(&[]).success().stdout, trusted);
    let list = trust(&["--list"]).success().stdout;
    assert!(
        list.starts_with(&format!("{}  sha256:", file.display())),
        "{list}"
    );
    assert!(!told(&prefetch(&site, &[])));
    assert!(mirror.requests().len() > pushed);

    // What is said now, not what may be said later, is trusted.
    std::fs::write(&file, table("http://127.0.0.1:1")).unwrap();
    assert!(prefetch(&site, &[]).contains("It would set the mirror http://127.0.0.1:1 of"));
    std::fs::write(&file, table(&mirror.url())).unwrap();
    let revoked = format!("{} is no longer trusted\n", file.display());
    assert_eq!(trust(&["--revoke"]).success().stdout, revoked);
    assert_eq!(trust(&["--list"]).success().stdout, "");
    let error = trust(&["--revoke"]).failure().stderr;
    assert_eq!(error, format!("error: {} is not trusted\n", file.display()));
    let absent = file.with_file_name("absent");
    let error = trust(&["absent"]).failure().stderr;
    assert_eq!(error, format!("error: there is no {}\n", absent.display()));
    let before = mirror.requests().len();
    assert!(told(&prefetch(&site, &[])));
    assert_eq!(mirror.requests().len(), before);
    assert!(!told(&prefetch(&site, &["--trust-project"])));
    assert!(mirror.requests().len() > before);
}

#[test]
fn a_project_cannot_trust_itself_in_a_state_folder_of_its_own() {
    let mut site = Site::new();
    let text = "[network]\nproxy = \"http://127.0.0.1:1\"\n";
    site.project = Project::dockerfile("FROM scratch\n").file("sealift.toml", text);
    let home = site
        .project
        .path()
        .canonicalize()
        .unwrap()
        .join(".cache/sealift");
    site.sealift = site.sealift.env("SEALIFT_HOME", home.to_str().unwrap());
    let error = site.run(&["trust"]).failure().stderr;
    let expected = format!(
        "error: {} is part of the project, which could trust itself there\n  try: set SEALIFT_HOME \
         to a folder outside, or give --trust-project\n",
        home.display()
    );
    assert_eq!(error, expected);
}

#[test]
fn a_trusted_project_gets_no_account_over_plain_http_on_its_own_word() {
    const NAME: &str = "registry.corp.test:5000";
    let registry = locked_registry();
    let proxy = HttpProxy::with(None, &[(NAME, registry.address())]);
    let mut site = Site::new();
    site.daemon_json(&json!({"proxies": {"http-proxy": proxy.url()}}));
    let account = format!("{}:{}", DockerRegistry::USER, DockerRegistry::PASSWORD);
    let auths = json!({"auths": {NAME: {"auth": STANDARD.encode(account)}}});
    site.file(".docker/config.json", &auths.to_string());
    let plain = format!("[network.registries.\"{NAME}\"]\nplain-http = true\n");
    site.project = Project::dockerfile(&format!("FROM {NAME}/team/busybox:1.36\n"))
        .file("sealift.toml", &plain);
    let line = [
        "prefetch",
        ".",
        "--platform=linux/amd64",
        "--retries=1",
        "--trust-project",
    ];
    let refused = site.run(&line).failure().stderr;
    let note = format!("your account at {NAME} was not shown: only the project (");
    assert!(refused.contains(&note), "{refused}");
    let requests = registry.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.status == 401));
    // The user's own word is enough.
    site.file("config/sealift/sealift.toml", &plain);
    site.run(&line).success();
}
