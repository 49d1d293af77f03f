//! Compares this crate's answers with BuildKit's.

use sealift_dockerfile::{Cause, Error, ImageNeed, Via, images, parse};
use sealift_oci::Platform;

use crate::corpus::Case;
use crate::oracle::{Answer, Ask, Oracle};

pub(crate) const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Compares a case on both platforms and for each of its targets. Returns how many questions were
/// asked, and what differs.
pub(crate) fn compare(oracle: &mut Oracle, case: &Case) -> (usize, Vec<String>) {
    let mut differences = Vec::new();
    let grammar = oracle.ask(case, Ask::Targets);
    let parsed = parse(&case.text);
    let error = parsed.as_ref().err();
    if !grammar.panicked() {
        let difference = compare_errors(&grammar, error);
        differences.extend(difference.map(|text| format!("grammar: {text}")));
    }
    let mut asked = 1;
    let mut targets = vec![case.query.target.clone()];
    if let (Ok(dockerfile), None) = (&parsed, &case.query.target) {
        let names = dockerfile
            .stages
            .iter()
            .filter_map(|stage| stage.name.clone());
        targets.extend(names.map(Some));
    }
    for platform in PLATFORMS {
        for target in &targets {
            let mut case = case.clone();
            case.query.platform = Platform::parse(platform).unwrap();
            case.query.target.clone_from(target);
            let target = target.as_deref().unwrap_or("(last)");
            asked += 1;
            let found = compare_images(oracle, &case);
            differences.extend(found.map(|text| format!("{platform}, target {target}: {text}")));
        }
    }
    (asked, differences)
}

/// Compares whether and where a file is refused.
fn compare_errors(answer: &Answer, error: Option<&Error>) -> Option<String> {
    match (&answer.error, error) {
        (None, None) => None,
        (Some(theirs), None) => Some(format!("only BuildKit refuses it: {theirs}")),
        (None, Some(ours)) => Some(format!("only we refuse it: {ours}")),
        (Some(theirs), Some(ours)) => {
            let line = ours.line();
            if answer.lines.is_empty() || answer.lines.iter().any(|theirs| same_line(*theirs, ours))
            {
                return None;
            }
            let lines = &answer.lines;
            Some(format!(
                "lines {lines:?} and {line:?} differ: {theirs} / {ours}"
            ))
        }
    }
}

/// BuildKit names the line before the one at fault for a directive, and the last good line for one
/// that is too long; we name the line itself.
fn same_line(theirs: usize, ours: &Error) -> bool {
    let off_by_one = matches!(
        ours.cause(),
        Cause::Escape { .. } | Cause::DirectiveTwice { .. } | Cause::LineTooLong
    );
    // A file without any line is at fault in its first.
    ours.line() == Some((theirs + usize::from(off_by_one)).max(1))
}

fn compare_images(oracle: &mut Oracle, case: &Case) -> Option<String> {
    let Ok(dockerfile) = parse(&case.text) else {
        // Compared as grammar; a build may name another fault, or hand the file on.
        let answer = oracle.ask(case, Ask::Build);
        let accepted = answer.error.is_none() && answer.syntax.is_none();
        return accepted.then(|| "only we refuse its grammar".to_owned());
    };
    let found = images(&dockerfile, &case.query);
    let error = found.as_ref().err();
    if error.is_some_and(|error| matches!(error.cause(), Cause::TriggerLoop { .. })) {
        // BuildKit does not end on these.
        return None;
    }
    let mut answer = oracle.ask(case, Ask::Build);
    if answer.error.is_none()
        && let Some(syntax) = answer.syntax.take()
    {
        let needs = found.as_deref().unwrap_or_default();
        let named = needs.iter().any(|need| need.via == Via::Syntax);
        answer = oracle.ask(case, Ask::BuildWithoutSyntax);
        if found.is_ok() && !named && !case.replaces(&syntax) {
            return Some(format!("the frontend {syntax} is missing: {needs:?}"));
        }
    }
    match (&answer.error, &found) {
        (Some(_), Ok(needs)) if answer.dispatch => compare_sets(&answer, needs),
        (Some(_), Err(error)) if answer.dispatch => compare_errors(&answer, Some(error)),
        (None, Ok(needs)) => compare_sets(&answer, needs),
        (_, found) => {
            let error = found.as_ref().err();
            if error.is_some_and(|ours| is_one_of_several(&answer, ours)) {
                return None;
            }
            compare_errors(&answer, error)
        }
    }
}

/// BuildKit checks references side by side, and walks circles in any order: where there are
/// several faults it names one of them, not always the same. Each is tested alone elsewhere.
fn is_one_of_several(answer: &Answer, ours: &Error) -> bool {
    let theirs = answer.error.as_deref().unwrap_or_default();
    match ours.cause() {
        Cause::Reference { .. } => theirs.contains("failed to parse stage name"),
        Cause::Cycle { .. } => theirs.contains("circular dependency"),
        _ => false,
    }
}

fn compare_sets(answer: &Answer, needs: &[ImageNeed]) -> Option<String> {
    // The frontend's image is theirs too where a stage uses it as well.
    let mut ours: Vec<(String, String)> = needs
        .iter()
        .map(|need| {
            (
                need.via,
                (need.reference.to_string(), need.platform.to_string()),
            )
        })
        .filter(|(via, image)| *via != Via::Syntax || answer.images.contains(image))
        .map(|(_, image)| image)
        .collect();
    ours.sort();
    // What is looked up by several names, of contexts and its own, is one image to them.
    ours.dedup();
    (ours != answer.images).then(|| format!("theirs {:?}, ours {ours:?}", answer.images))
}

impl Case {
    /// Returns whether a named context other than an image stands for a frontend.
    fn replaces(&self, syntax: &str) -> bool {
        let contexts = &self.query.contexts;
        let local = |value: &String| !value.starts_with("docker-image:");
        contexts.get(syntax).is_some_and(local)
    }
}
