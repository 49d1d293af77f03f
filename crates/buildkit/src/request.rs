//! Writes a solve in the daemon's words: `moby.buildkit.v1.SolveRequest`.

use crate::proto::control;
use crate::solve::Solve;

/// The frontend that reads Dockerfiles; `# syntax` images are its own business.
const FRONTEND: &str = "dockerfile.v0";

/// Writes the request of a solve.
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
    let entitlements = solve.entitlements.iter();
    control::SolveRequest {
        exporter_deprecated: kind,
        exporter_attrs_deprecated: attributes,
        frontend: FRONTEND.to_owned(),
        frontend_attrs: solve.attributes.clone().into_iter().collect(),
        exporters: exporter.into_iter().collect(),
        r#ref: reference.to_owned(),
        session: session.to_owned(),
        cache: Some(control::CacheOptions::default()),
        entitlements: entitlements.map(|e| e.as_str().to_owned()).collect(),
        source_policy: solve.policy.to_proto(),
        source_policy_session: match solve.sources {
            Some(_) => session.to_owned(),
            None => String::new(),
        },
        ..control::SolveRequest::default()
    }
}
