//! Folders of certificates in Docker's layout: `certs.d/HOST[:PORT]/` with `*.crt` (authorities),
//! `*.cert` and `*.key` (a client certificate and its key, by the same name).

use std::path::{Path, PathBuf};

use sealift_config::{Place, Reader, Sourced};

use crate::endpoint::KeyPair;
use crate::findings::Findings;
use crate::host::Host;

/// Returns the places of such folders, the user's first.
#[must_use]
pub fn places(home: Option<&Path>, config_home: Option<&Path>) -> Vec<PathBuf> {
    let rootless = config_home.map(|folder| folder.join("docker/certs.d"));
    let desktop = home.map(|folder| folder.join(".docker/certs.d"));
    rootless
        .into_iter()
        .chain(desktop)
        .chain([PathBuf::from("/etc/docker/certs.d")])
        .collect()
}

/// Reads all hosts' folders of one `certs.d`.
pub fn read(folder: &Path, reader: &mut Reader<'_>) -> Findings {
    let mut findings = Findings::default();
    for (name, path) in reader.entries(folder) {
        let from = Place::file(&path);
        if !path.is_dir() {
            reader.ignore("the file", "certs.d holds one folder a host", from);
            continue;
        }
        match Host::parse(&name) {
            Some(host) => read_host(&host, &path, &mut findings, reader),
            None => reader.ignore("the folder", "its name is not a host", from),
        }
    }
    findings
}

/// Reads one host's folder.
pub(super) fn read_host(
    host: &Host,
    folder: &Path,
    findings: &mut Findings,
    reader: &mut Reader<'_>,
) {
    let files = reader.folder(folder);
    for file in &files {
        let from = Place::file(file);
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => findings.add_ca(host, Sourced::new(file, from), reader),
            Some("cert") => {
                let key = file.with_extension("key");
                if files.contains(&key) {
                    let pair = KeyPair::read(reader, file, &key, &from);
                    findings.add_client(host, pair, from);
                } else {
                    let name = key.file_name().unwrap_or_default().to_string_lossy();
                    let reason = format!(
                        "a client certificate without its key {name}; an authority's name ends in .crt"
                    );
                    reader.problem(from, reason);
                }
            }
            Some("key") if !files.contains(&file.with_extension("cert")) => {
                reader.problem(
                    from,
                    "a key without its certificate, whose name ends in .cert",
                );
            }
            _ => {}
        }
    }
}
