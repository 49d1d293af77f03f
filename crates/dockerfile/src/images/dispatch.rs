//! The stages that the target reaches, instruction by instruction, in BuildKit's order.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use super::environment::{Environment, SIZE_MAX};
use super::graph::{Graph, SCRATCH, Step};
use super::step::Stepper;
use crate::error::{Cause, Error, Result};
use crate::instruction::InstructionKind;
use crate::shell::Lexer;

/// The most bytes that the variables of all stages may have together.
const STAGES_SIZE_MAX: usize = 32 * SIZE_MAX;

/// What the checks of all stages share.
pub(super) struct Dispatch<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) escape: char,
    pub(super) global: &'a Arguments,
    pub(super) given: &'a Arguments,
}

impl Dispatch<'_> {
    /// Refuses what BuildKit would refuse once it comes to it, whatever is in the images.
    pub(super) fn check(&self, target: usize) -> Result<()> {
        let mut environments: BTreeMap<usize, Environment> = BTreeMap::new();
        let mut size = 0;
        for index in self.graph.reachable(target) {
            let state = &self.graph.states[index];
            let environment = match state.base {
                // A base comes before what is built on it.
                Some(base) => environments.get(&base).cloned(),
                None if state.base_name == SCRATCH => Some(Environment::of_scratch()),
                None => None,
            };
            let mut stepper = Stepper {
                lexer: Lexer::new(self.escape),
                global: self.global,
                given: self.given,
                environment: environment.unwrap_or_else(Environment::of_image),
            };
            if state.stage.is_some() && state.context.is_none() {
                for step in &state.steps {
                    self.step(index, step, &mut stepper)
                        .map_err(|error| error.at(step.span))?;
                }
            } else {
                stepper.environment = Environment::of_image();
            }
            size += stepper.environment.size();
            if size > STAGES_SIZE_MAX {
                let cause = Cause::ValuesTooLong {
                    limit: STAGES_SIZE_MAX,
                };
                return Err(Error::from(cause).at(state.span));
            }
            environments.insert(index, stepper.environment);
        }
        Ok(())
    }

    fn step(&self, index: usize, step: &Step<'_>, stepper: &mut Stepper<'_>) -> Result<()> {
        stepper.expand(&step.instruction)?;
        match &step.instruction.kind {
            InstructionKind::Copy(copy) => {
                for source in &step.sources {
                    self.order(index, *source, "COPY")?;
                }
                stepper.transferred(&copy.transfer, None)
            }
            InstructionKind::Add(add) => stepper.transferred(&add.transfer, Some(add)),
            InstructionKind::Run(run) => {
                for (mount, source) in run.mounts.iter().zip(&step.sources) {
                    if mount.takes_from_a_stage() {
                        self.order(index, *source, "RUN")?;
                    }
                    stepper.mounted(mount)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Refuses what takes files from a stage that is built later.
    fn order(&self, index: usize, source: usize, keyword: &'static str) -> Result<()> {
        let from = &self.graph.states[source];
        if source > index && from.stage.is_some() && from.context.is_none() {
            let from = self.graph.label(source);
            return Err(Cause::StageOrder { keyword, from }.into());
        }
        Ok(())
    }
}
