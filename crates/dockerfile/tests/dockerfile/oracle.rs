//! BuildKit's own frontend, run by `tools/dockerfile-oracle`.

use sealift_test_support::Oracle as Program;
use serde_json::{Value, json};

use crate::corpus::Case;

/// The running program.
pub(crate) struct Oracle(Program);

/// What BuildKit makes of a case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) error: Option<String>,
    /// The first lines of the error's places, innermost first.
    pub(crate) lines: Vec<usize>,
    /// Whether the error came up behind the resolution of images.
    pub(crate) dispatch: bool,
    /// References and platforms that were resolved, or that the build graph has.
    pub(crate) images: Vec<(String, String)>,
    pub(crate) syntax: Option<String>,
}

impl Answer {
    /// Returns whether BuildKit itself fell over.
    pub(crate) fn panicked(&self) -> bool {
        let error = self.error.as_deref().unwrap_or_default();
        error.starts_with("panic: ")
    }
}

/// What the frontend is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To list the stages: only the grammar counts.
    Targets,
    /// To build.
    Build,
    /// To build by itself, whatever the syntax directive says.
    BuildWithoutSyntax,
}

impl Oracle {
    pub(crate) fn start() -> Self {
        Self(Program::start("dockerfile-oracle"))
    }

    pub(crate) fn ask(&mut self, case: &Case, ask: Ask) -> Answer {
        let triggers: serde_json::Map<String, Value> = case
            .query
            .triggers
            .iter()
            .map(|((reference, platform), list)| (format!("{reference} {platform}"), json!(list)))
            .collect();
        let query = json!({
            "dockerfile": case.text,
            "targets": ask == Ask::Targets,
            "no_syntax": ask != Ask::Build,
            "target": case.query.target.as_deref().unwrap_or_default(),
            "platform": case.query.platform.to_string(),
            "build_platform": case.query.build_platform.to_string(),
            "build_args": case.query.build_args,
            "contexts": case.query.contexts,
            "triggers": triggers,
        });
        read(&self.0.ask(&query))
    }
}

fn read(value: &Value) -> Answer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut images: Vec<(String, String)> = [list("resolved"), list("sources")]
        .concat()
        .iter()
        .map(|image| (text(&image["reference"]), text(&image["platform"])))
        .collect();
    images.sort();
    images.dedup();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    Answer {
        error: some(text(&value["error"])),
        lines: list("lines")
            .iter()
            .map(|range| number(&range[0]))
            .collect(),
        dispatch: value["dispatch"].as_bool().unwrap(),
        images,
        syntax: some(text(&value["syntax"])),
    }
}
