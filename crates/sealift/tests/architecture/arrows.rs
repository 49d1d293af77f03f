//! The arrows between crates and between the stages of the command (shared/design.md, section 4).

use crate::imports;
use crate::source::{Source, root};

/// Every crate with the crates of ours that it may use.
pub(crate) const CRATES: [(&str, &[&str]); 11] = [
    ("dockerfile", &["oci"]),
    ("oci", &[]),
    ("failure", &[]),
    ("config", &[]),
    ("content", &["oci"]),
    ("transport", &["failure"]),
    ("registry", &["oci", "content", "failure", "transport"]),
    (
        "network",
        &["oci", "config", "failure", "transport", "registry"],
    ),
    ("buildkit", &["oci", "content", "failure"]),
    (
        "sealift",
        &[
            "dockerfile",
            "oci",
            "failure",
            "config",
            "content",
            "transport",
            "registry",
            "network",
            "buildkit",
        ],
    ),
    ("test-support", &["oci"]),
];

/// Stages from left to right: each uses only what stands to its left.
const STAGES: [&str; 15] = [
    "engine",
    "registries",
    "context",
    "project",
    "plan",
    "lock",
    "prefetch",
    "builder",
    "build",
    "index",
    "output",
    "bundle",
    "doctor",
    "history",
    "report",
];

/// Values that every stage may use.
const GROUND: [&str; 5] = ["error", "event", "file", "size", "unit"];

/// The names of crates.
pub(crate) fn names() -> Vec<&'static str> {
    CRATES.iter().map(|(name, _)| *name).collect()
}

/// Crates of ours that the manifests name although no arrow leads there.
pub(crate) fn between_crates() -> Vec<String> {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("crates/{name} has no place among the arrows"));
            continue;
        };
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        faults.extend(in_manifest(&name, &manifest, allowed));
    }
    faults
}

/// The same for one manifest.
pub(crate) fn in_manifest(name: &str, manifest: &str, allowed: &[&str]) -> Vec<String> {
    let runtime = manifest.split("[dev-dependencies]").next().unwrap();
    runtime
        .lines()
        .filter_map(|line| line.strip_prefix("sealift-")?.split(['.', ' ']).next())
        .filter(|used| !allowed.contains(used))
        .map(|used| format!("crates/{name} uses crates/{used}"))
        .collect()
}

/// Uses of a stage by one that does not stand to its right, or of what no stage may use.
pub(crate) fn between_stages(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for (from, to) in imports::arrows(sources, "sealift") {
        let from = &sources[from];
        let Some(module) = from.module.first().map(String::as_str) else {
            continue;
        };
        if place(module).is_none() && !GROUND.contains(&module) {
            continue;
        }
        for (to, names) in to {
            let to = &sources[to];
            let used = to.module.first().map_or("", String::as_str);
            let left =
                matches!((place(module), place(used)), (Some(here), Some(there)) if there < here);
            if used != module && !GROUND.contains(&used) && !left {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                faults.push(format!(
                    "{} -> {}: {}",
                    from.path,
                    to.path,
                    names.join(", ")
                ));
            }
        }
    }
    faults
}

fn place(module: &str) -> Option<usize> {
    STAGES.iter().position(|stage| *stage == module)
}
