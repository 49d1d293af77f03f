//! The graph of what is built: stages, and the images that they take files from.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sealift_oci::Platform;

use super::Via;
use super::context::Context;
use crate::error::{Cause, Error, Result};
use crate::instruction::Instruction;
use crate::source::Span;

/// The base that is no image.
pub(super) const SCRATCH: &str = "scratch";

/// A stage, or something that one takes files from and that is no stage.
#[derive(Debug)]
pub(super) struct State<'a> {
    /// The base with its variables expanded: an image where it is no stage.
    pub(super) base_name: String,
    /// Which variables of the base have no value, and what to do about them.
    pub(super) unset: String,
    /// The stage that it builds on.
    pub(super) base: Option<usize>,
    /// Its instructions, those that its base triggers first.
    pub(super) steps: Vec<Step<'a>>,
    /// `--platform`, expanded.
    pub(super) platform: Option<Platform>,
    /// The lines that ask for it.
    pub(super) span: Span,
    /// How they ask for it.
    pub(super) via: Via,
    /// The context that replaces the stage.
    pub(super) context: Option<Context<'a>>,
    /// The index of the stage in the Dockerfile; none for what is no stage.
    pub(super) stage: Option<usize>,
    /// The ONBUILD triggers that its instructions declare for stages built on it.
    pub(super) declared: Vec<String>,
    /// The ONBUILD triggers of its base image, until they were run.
    pub(super) pending: Vec<String>,
    /// Whether triggers of the stage it builds on were run.
    pub(super) triggered: bool,
    /// Whether its base image was looked up.
    pub(super) resolved: bool,
    /// Whether it is done with: never looked up again.
    pub(super) settled: bool,
}

/// An instruction of a stage.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// The instruction.
    pub(super) instruction: Cow<'a, Instruction>,
    /// The lines to name: for a trigger those of the FROM.
    pub(super) span: Span,
    /// What it takes files from: one for a COPY with `--from`, one for each mount of a RUN. A
    /// mount of the build context counts as one of scratch.
    pub(super) sources: Vec<usize>,
}

impl State<'_> {
    /// Returns what it takes files from, and where it says so.
    fn edges(&self) -> Vec<(usize, Span)> {
        let edges = self.steps.iter();
        edges
            .flat_map(|step| step.sources.iter().map(|source| (*source, step.span)))
            .collect()
    }

    /// Makes a state that is no stage.
    pub(super) fn source(base_name: String, span: Span, via: Via) -> Self {
        Self {
            base_name,
            unset: String::new(),
            base: None,
            steps: Vec::new(),
            platform: None,
            span,
            via,
            context: None,
            stage: None,
            declared: Vec::new(),
            pending: Vec::new(),
            triggered: false,
            resolved: false,
            settled: false,
        }
    }
}

/// All states, and the names of those that are stages.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) states: Vec<State<'a>>,
    names: BTreeMap<String, usize>,
}

impl<'a> Graph<'a> {
    /// Adds a state. A base that is an earlier stage's name, in lower case, is that stage.
    pub(super) fn add(&mut self, mut state: State<'a>, name: Option<&str>) -> usize {
        let index = self.states.len();
        state.base = self.names.get(&state.base_name).copied();
        self.states.push(state);
        if let Some(name) = name {
            self.names.insert(name.to_lowercase(), index);
        }
        index
    }

    /// Finds a stage by its name, in any letter case.
    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        self.names.get(&name.to_lowercase()).copied()
    }

    /// Finds a state by its number.
    pub(super) fn by_number(&self, number: i64) -> Result<usize> {
        usize::try_from(number)
            .ok()
            .filter(|index| *index < self.states.len())
            .ok_or_else(|| Cause::StageIndex { index: number }.into())
    }

    /// Returns the stages' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Returns a state's name for messages.
    pub(super) fn label(&self, index: usize) -> String {
        let named = self.names.iter().find(|(_, state)| **state == index);
        named.map_or_else(|| format!("stage-{index}"), |(name, _)| name.clone())
    }

    /// Returns the states that a target is made of, itself included.
    pub(super) fn reachable(&self, target: usize) -> BTreeSet<usize> {
        self.walk(target, |_| true)
    }

    /// Returns the states that end up in the build graph. It leaves out what BuildKit only looks
    /// up: instructions of stages that a context replaces, and triggers of what is no stage, never
    /// run.
    pub(super) fn built(&self, target: usize) -> BTreeSet<usize> {
        self.walk(target, |state| {
            state.stage.is_some() && state.context.is_none()
        })
    }

    fn walk(&self, target: usize, runs: impl Fn(&State<'_>) -> bool) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![target];
        while let Some(index) = open.pop() {
            if reached.insert(index) {
                let state = &self.states[index];
                open.extend(state.base);
                if !runs(state) {
                    continue;
                }
                open.extend(state.steps.iter().flat_map(|step| &step.sources));
            }
        }
        reached
    }

    /// Refuses stages that take files from each other in a circle. Bases cannot be part of one.
    pub(super) fn check_cycles(&self) -> Result<()> {
        let edges: Vec<Vec<(usize, Span)>> = self.states.iter().map(State::edges).collect();
        let mut done = BTreeSet::new();
        for start in 0..self.states.len() {
            // Depth first, without recursion: each entry is a state and its next edge.
            let mut path = vec![(start, 0)];
            while let Some((index, next)) = path.pop() {
                if next == 0 && !done.insert(index) {
                    continue;
                }
                let Some(&(source, span)) = edges[index].get(next) else {
                    continue;
                };
                path.push((index, next + 1));
                if let Some(at) = path.iter().position(|(open, _)| *open == source) {
                    let circle = path[at..].iter().map(|(open, _)| *open).chain([source]);
                    let stages = circle.map(|index| self.label(index)).collect();
                    return Err(Error::from(Cause::Cycle { stages }).at(span));
                }
                path.push((source, 0));
            }
        }
        Ok(())
    }
}
