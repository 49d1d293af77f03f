//! Writes a solve in the daemon's words: `moby.buildkit.v1.SolveRequest`.

use std::collections::{BTreeMap, HashMap};

use crate::proto::control;
use crate::solve::Solve;

/// The frontend that reads Dockerfiles; `# syntax` images are its own business.
pub(crate) const FRONTEND: &str = "dockerfile.v0";

/// Writes the request of a solve that the frontend runs.
pub(crate) fn of_solve(solve: &Solve, reference: &str, session: &str) -> control::SolveRequest {
    let exporter = solve.output.exporter().map(|(kind, mut attributes)| {
        attributes.extend(solve.output_attributes.clone());
        control::Exporter {
            r#type: kind.to_owned(),
            attrs: attributes.into_iter().collect(),
        }
    });
    // Daemons before v0.16 read the deprecated fields, newer ones prefer the list.
    let (kind, attributes) = exporter
        .clone()
        .map(|exporter| (exporter.r#type, exporter.attrs))
        .unwrap_or_default();
    control::SolveRequest {
        exporter_deprecated: kind,
        exporter_attrs_deprecated: attributes,
        frontend: FRONTEND.to_owned(),
        frontend_attrs: to_map(&solve.attributes),
        exporters: exporter.into_iter().collect(),
        ..bare(solve, reference, session)
    }
}

/// Writes the request of a solve that only keeps a session open for gateway calls.
pub(crate) fn of_gateway(solve: &Solve, reference: &str, session: &str) -> control::SolveRequest {
    bare(solve, reference, session)
}

fn bare(solve: &Solve, reference: &str, session: &str) -> control::SolveRequest {
    let entitlements = solve.entitlements.iter();
    control::SolveRequest {
        r#ref: reference.to_owned(),
        session: session.to_owned(),
        cache: Some(control::CacheOptions::default()),
        entitlements: entitlements.map(|e| e.as_str().to_owned()).collect(),
        source_policy: solve.policy.to_proto(),
        ..control::SolveRequest::default()
    }
}

pub(crate) fn to_map(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.clone().into_iter().collect()
}
