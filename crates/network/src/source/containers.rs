//! auth.json of podman, skopeo and buildah, and their own folder of certificates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealift_config::{Place, Reader, json};

use crate::findings::Findings;

use super::{docker_certs, docker_config};

/// Reads accounts by name: `$REGISTRY_AUTH_FILE`, else `$XDG_RUNTIME_DIR/containers/auth.json` and
/// `~/.config/containers/auth.json`.
pub fn read_accounts(
    environment: &BTreeMap<String, String>,
    config_home: Option<&Path>,
    reader: &mut Reader<'_>,
) -> Findings {
    let mut findings = Findings::default();
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let mut found = Vec::new();
    if let Some(path) = variable("REGISTRY_AUTH_FILE") {
        let named = Place::Variable("REGISTRY_AUTH_FILE".to_owned());
        found.push(reader.named_text(Path::new(path), &named));
    } else {
        let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        for folder in [runtime, config_home.map(Path::to_owned)]
            .into_iter()
            .flatten()
        {
            found.push(reader.text(&folder.join("containers/auth.json")));
        }
    }
    for found in found {
        if let Some(document) = reader.parse(found, json::parse) {
            docker_config::accounts(&document, &mut findings, reader);
        }
    }
    findings
}

/// Reads certificates: `~/.config/containers/certs.d`, then `/etc/containers/certs.d`.
pub fn read_certificates(config_home: Option<&Path>, reader: &mut Reader<'_>) -> Vec<Findings> {
    let user = config_home.map(|folder| folder.join("containers/certs.d"));
    let system = PathBuf::from("/etc/containers/certs.d");
    let folders = user.into_iter().chain([system]);
    folders
        .map(|folder| docker_certs::read(&folder, reader))
        .collect()
}
