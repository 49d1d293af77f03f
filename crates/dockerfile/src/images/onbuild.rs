//! ONBUILD triggers: instructions that a base leaves for the stages built on it.

use super::resolve::Resolver;
use crate::error::Result;
use crate::instruction;

/// Runs the triggers of all stages that the target reaches. Tells whether they take files from
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
        for text in triggers {
            let connected = instruction::trigger(&text).and_then(|instruction| {
                resolver.connect_instruction(index, &instruction, Some(span))
            });
            more |= connected.map_err(|error| error.moved_to(span))?;
        }
    }
    Ok(more)
}
