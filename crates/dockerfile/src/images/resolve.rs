//! The steps of BuildKit's resolution, in its order.

use std::borrow::Cow;

use sealift_oci::{Platform, Reference};

use super::arguments::Arguments;
use super::context::Context;
use super::graph::{Graph, SCRATCH, State, Step};
use super::setting::Setting;
use super::{ImageNeed, Via};
use crate::error::{Cause, Result};
use crate::instruction::{Copy, Instruction, InstructionKind, Run};
use crate::number::signed;
use crate::shell::{Lexer, NoVariables, Variables};
use crate::source::Span;
use crate::stage::Stage;
use crate::suggestion::nearest;
use crate::{platform, reference};

/// The resolution in progress.
pub(super) struct Resolver<'a> {
    pub(super) setting: &'a Setting<'a>,
    pub(super) graph: Graph<'a>,
    /// How many states triggers brought in.
    pub(super) triggered: usize,
    /// What was found, with the state that needs it.
    needs: Vec<(usize, ImageNeed)>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(setting: &'a Setting<'a>) -> Self {
        Self {
            setting,
            graph: Graph::default(),
            triggered: 0,
            needs: Vec::new(),
        }
    }

    /// Returns what was found, in the order of the states.
    pub(super) fn needs(mut self) -> impl Iterator<Item = ImageNeed> {
        self.needs.sort_by_key(|(index, _)| *index);
        self.needs.into_iter().map(|(_, need)| need)
    }

    fn lexer(&self) -> Lexer {
        Lexer::new(self.setting.dockerfile.escape)
    }

    /// Expands a stage's base and platform, and adds it.
    pub(super) fn add_stage(&mut self, stage: &Stage, arguments: &Arguments) -> Result<()> {
        let base = self.lexer().expand(&stage.base, arguments)?;
        if base.text.is_empty() {
            return Err(self.blank("base image", &stage.base, arguments).into());
        }
        let unset = self.unset(&stage.base, arguments);
        let mut state = State::source(base.text, stage.span, Via::From);
        state.stage = Some(self.graph.states.len());
        state.unset = unset;
        if let Some(text) = &stage.platform {
            let platform = self.lexer().expand(text, arguments)?;
            if platform.text.is_empty() {
                return Err(self.blank("platform", text, arguments).into());
            }
            let parsed = platform::parse(&platform.text, Some(&self.setting.host));
            state.platform = Some(parsed.map_err(|error| error.written_as(text))?);
        }
        state.declared = declared_triggers(&stage.instructions);
        if let Some(name) = stage.name.as_deref()
            && !matches!(name, "scratch" | "context")
        {
            let reference = reference::parse(name)?;
            let platform = state.platform.as_ref().unwrap_or(&self.setting.target);
            state.context = self.setting.contexts.find(&reference, platform);
        }
        let replaced = state.context.is_some();
        let index = self.graph.add(state, stage.name.as_deref());
        if replaced {
            self.graph.states[index].base = None;
        }
        Ok(())
    }

    fn blank(&self, what: &'static str, text: &str, arguments: &Arguments) -> Cause {
        Cause::Blank {
            what,
            text: text.to_owned(),
            unset: self.unset(text, arguments),
        }
    }

    /// Says which variables of a text have no value, and what to do about each.
    fn unset(&self, text: &str, arguments: &Arguments) -> String {
        let expansion = self.lexer().expand(text, &NotBlank(arguments));
        let unset = expansion.map(|expansion| expansion.unset);
        let advice = unset.unwrap_or_default().into_iter().map(|name| {
            if self.setting.declares(&name) {
                return format!("ARG {name} has no value: set it with --build-arg {name}=…");
            }
            let near = nearest(&name, self.setting.declared().chain(arguments.names()));
            let near = near.map_or(String::new(), |near| format!(" (did you mean {near}?)"));
            format!("no ARG {name} stands above the first FROM{near}")
        });
        advice.collect::<Vec<_>>().join(", ")
    }

    /// Returns the state that is asked for.
    pub(super) fn target(&self) -> Result<usize> {
        match self.setting.query.target.as_deref() {
            None | Some("") => Ok(self.graph.states.len() - 1),
            Some(target) => self.graph.by_name(target).ok_or_else(|| {
                let stages = &self.setting.dockerfile.stages;
                Cause::Target {
                    target: target.to_owned(),
                    suggestion: nearest(target, self.graph.names()),
                    stages: stages
                        .iter()
                        .filter_map(|stage| stage.name.clone())
                        .collect(),
                }
                .into()
            }),
        }
    }

    /// Finds what the instructions of every stage take files from.
    pub(super) fn connect(&mut self) -> Result<()> {
        for index in 0..self.graph.states.len() {
            let Some(stage) = self.graph.states[index].stage else {
                continue;
            };
            for instruction in &self.setting.dockerfile.stages[stage].instructions {
                let span = instruction.span;
                let step = self.step(Cow::Borrowed(instruction), span, false);
                let step = step.map_err(|error| error.at(span))?;
                self.graph.states[index].steps.push(step);
            }
        }
        Ok(())
    }

    /// Finds what one instruction takes files from.
    pub(super) fn step(
        &mut self,
        instruction: Cow<'a, Instruction>,
        span: Span,
        trigger: bool,
    ) -> Result<Step<'a>> {
        let via = |via| if trigger { Via::Onbuild } else { via };
        let sources = match &instruction.kind {
            InstructionKind::Copy(copy) => {
                let source = self.copy_source(copy, span, via(Via::Copy))?;
                source.into_iter().collect()
            }
            InstructionKind::Run(run) => self.mount_sources(run, span, via(Via::Mount)),
            _ => Vec::new(),
        };
        Ok(Step {
            instruction,
            span,
            sources,
        })
    }

    fn copy_source(&mut self, copy: &Copy, span: Span, via: Via) -> Result<Option<usize>> {
        let Some(from) = &copy.from else {
            return Ok(None);
        };
        let expanded = self.lexer().expand(from, &NoVariables)?.text;
        if expanded != *from {
            return Err(Cause::NotExpanded {
                option: "COPY --from",
                value: from.clone(),
            }
            .into());
        }
        let source = match signed(from) {
            Some(number) => self.graph.by_number(number)?,
            None => self.named_source(from, span, via),
        };
        Ok(Some(source))
    }

    fn mount_sources(&mut self, run: &Run, span: Span, via: Via) -> Vec<usize> {
        let mut names = Vec::new();
        for mount in &run.mounts {
            // A mount of the build context counts as one of scratch, as in BuildKit: it takes a
            // number, and finds a stage of that name.
            names.push(mount.from.as_deref().unwrap_or(SCRATCH).to_owned());
        }
        let found: Vec<Option<usize>> = names.iter().map(|name| self.graph.by_name(name)).collect();
        let sources = names.into_iter().zip(found);
        sources
            .map(|(name, found)| {
                found.unwrap_or_else(|| self.graph.add(State::source(name, span, via), None))
            })
            .collect()
    }

    fn named_source(&mut self, name: &str, span: Span, via: Via) -> usize {
        match self.graph.by_name(name) {
            Some(index) => index,
            None => self
                .graph
                .add(State::source(name.to_owned(), span, via), None),
        }
    }

    /// Looks up the bases that are images: those of all stages are checked, those of reachable
    /// ones are needed.
    pub(super) fn resolve(&mut self, target: usize) -> Result<()> {
        let reachable = self.graph.reachable(target);
        for index in 0..self.graph.states.len() {
            let state = &mut self.graph.states[index];
            if state.base.is_some() || state.settled || state.resolved {
                continue;
            }
            state.resolved = reachable.contains(&index);
            if state.base_name != SCRATCH || state.context.is_some() {
                let span = state.span;
                let written = self.written(index);
                let unset = self.graph.states[index].unset.clone();
                self.resolve_base(index)
                    .map_err(|error| error.written_as(&written).with_unset(&unset).at(span))?;
            }
            let state = &mut self.graph.states[index];
            state.settled |= state.stage.is_none();
        }
        Ok(())
    }

    /// Returns a state's base as the file has it.
    fn written(&self, index: usize) -> String {
        let state = &self.graph.states[index];
        let stage = state
            .stage
            .and_then(|stage| self.setting.dockerfile.stages.get(stage));
        stage.map_or(&state.base_name, |stage| &stage.base).clone()
    }

    fn resolve_base(&mut self, index: usize) -> Result<()> {
        let state = &self.graph.states[index];
        let reference = reference::parse(&state.base_name)?;
        if !state.resolved {
            return Ok(());
        }
        self.need(index, &reference)
    }

    /// Notes the image that a state needs, and the triggers that it is known to have.
    fn need(&mut self, index: usize, reference: &Reference) -> Result<()> {
        let state = &mut self.graph.states[index];
        let platform = state.platform.as_ref().unwrap_or(&self.setting.target);
        let context = state
            .context
            .or_else(|| self.setting.contexts.find(reference, platform));
        state.settled |= state.context.is_some();
        let image = match context {
            Some(context) => context.image()?,
            None => Some(reference.clone()),
        };
        let Some(image) = image else {
            return Ok(());
        };
        let key = self.note(index, &image, context);
        if let Some(triggers) = self.setting.query.triggers.get(&key) {
            self.graph.states[index].pending.clone_from(triggers);
        }
        Ok(())
    }

    /// Notes an image. Returns its full reference and its platform.
    fn note(
        &mut self,
        index: usize,
        image: &Reference,
        context: Option<Context<'_>>,
    ) -> (Reference, Platform) {
        let state = &self.graph.states[index];
        let platform = state.platform.as_ref().unwrap_or(&self.setting.target);
        let need = ImageNeed {
            reference: image.clone(),
            platform: platform.clone().normalized(),
            via: state.via,
            line: state.span.start,
            meant: self.meant(&state.base_name),
            context: context.map(|context| context.name.to_owned()),
        };
        let key = (need.reference.clone(), need.platform.clone());
        self.needs.push((index, need));
        key
    }

    /// Returns the stage that an image's name looks like a typing mistake of.
    fn meant(&self, name: &str) -> Option<String> {
        let plain = !name.contains(['/', ':', '@']);
        nearest(name, self.graph.names()).filter(|_| plain)
    }

    /// Finds the images that a trigger made reachable only after BuildKit had passed them over: it
    /// neither looks at their configuration nor for a context, but pulls them.
    pub(super) fn late(&mut self, target: usize) -> Result<()> {
        for index in self.graph.built(target) {
            let state = &self.graph.states[index];
            if state.base.is_none() && !state.resolved && state.base_name != SCRATCH {
                let span = state.span;
                let reference = reference::parse(&state.base_name);
                let reference = reference.map_err(|error| error.at(span))?;
                self.note(index, &reference, None);
            }
        }
        Ok(())
    }
}

/// Returns the triggers that a stage leaves for those built on it.
fn declared_triggers(instructions: &[Instruction]) -> Vec<String> {
    let triggers = instructions
        .iter()
        .filter_map(|instruction| match &instruction.kind {
            InstructionKind::Onbuild(text) => Some(text.clone()),
            _ => None,
        });
    triggers.collect()
}

/// Arguments without those whose value is empty.
struct NotBlank<'a>(&'a Arguments);

impl Variables for NotBlank<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty())
    }
}
