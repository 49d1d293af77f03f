//! Accounts from where other tools keep them: credential helpers, and auth.json by path.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_test_support::DockerRegistry;
use serde_json::json;

use crate::site::{Site, locked_registry};

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
    let pull = || site.pull(&reference);
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
    let shown = site.explain(&reference);
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
    other.secrets_stay(&other.pull(&reference).success(), &[]);
    let shown = other.explain(&reference);
    assert!(shown.contains(&format!("as {user}, stored")), "{shown}");
}
