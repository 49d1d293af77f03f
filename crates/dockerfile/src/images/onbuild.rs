//! ONBUILD triggers: instructions that a base leaves for the stages built on it.

use std::borrow::Cow;

use super::resolve::Resolver;
use crate::error::{Cause, Error, Result};
use crate::instruction;

/// How many images triggers can bring in. An image whose trigger copies from itself brings in
/// one after the other: BuildKit never ends there.
const STATES_MAX: usize = 1000;

/// Runs the triggers of all stages that the target reaches. Returns whether they take files from
/// anything, so that the resolution has to go on.
pub(super) fn run(resolver: &mut Resolver<'_>, target: usize) -> Result<bool> {
    let mut more = false;
    for index in resolver.graph.reachable(target) {
        let state = &mut resolver.graph.states[index];
        let mut triggers = std::mem::take(&mut state.pending);
        let span = state.span;
        if let Some(base) = state.base
            && !std::mem::replace(&mut state.triggered, true)
        {
            triggers.extend_from_slice(&resolver.graph.states[base].declared);
        }
        let mut steps = Vec::new();
        for text in triggers {
            let before = resolver.graph.states.len();
            let step = instruction::trigger(&text)
                .and_then(|instruction| resolver.step(Cow::Owned(instruction), span, true))
                .map_err(|error| error.moved_to(span))?;
            more |= !step.sources.is_empty();
            resolver.triggered += resolver.graph.states.len() - before;
            if resolver.triggered > STATES_MAX {
                return Err(Error::from(Cause::TriggerLoop { trigger: text }).at(span));
            }
            steps.push(step);
        }
        resolver.graph.states[index].steps.splice(0..0, steps);
    }
    Ok(more)
}
