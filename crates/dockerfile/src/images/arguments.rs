//! The arguments of the global scope: predefined ones, and the ARGs in front of the first FROM.

use std::collections::BTreeMap;

use super::resolve::Setting;
use crate::error::{Cause, Result};
use crate::instruction::InstructionKind;
use crate::shell::{Lexer, Variables};

/// Arguments by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments {
    values: BTreeMap<String, String>,
}

impl Variables for Arguments {
    fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }
}

impl Arguments {
    /// Returns the names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns a value.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Returns the build arguments as stages see them.
    pub(super) fn given(setting: &Setting<'_>) -> Self {
        Self {
            values: setting.query.build_args.clone(),
        }
    }

    /// Works out the global arguments of a build.
    pub(super) fn global(setting: &Setting<'_>) -> Result<Self> {
        let mut arguments = Self::predefined(setting);
        let lexer = Lexer::new(setting.dockerfile.escape);
        for instruction in &setting.dockerfile.arguments {
            let InstructionKind::Arg(declared) = &instruction.kind else {
                continue;
            };
            for argument in declared {
                let given = setting.query.build_args.get(&argument.name);
                let value = match (given, &argument.default) {
                    (Some(value), _) => value.clone(),
                    (None, Some(default)) => {
                        let expansion = lexer.expand(default, &arguments);
                        expansion.map_err(|error| error.at(instruction.span))?.text
                    }
                    (None, None) => continue,
                };
                arguments.values.insert(argument.name.clone(), value);
            }
        }
        arguments.epoch(setting)?;
        Ok(arguments)
    }

    fn predefined(setting: &Setting<'_>) -> Self {
        let (build, target) = (setting.host, setting.target);
        let last = setting.dockerfile.stages.last();
        let stage = match &setting.query.target {
            Some(target) if !target.is_empty() => target.clone(),
            _ => last
                .and_then(|stage| stage.name.clone())
                .unwrap_or_else(|| "default".to_owned()),
        };
        let values = [
            ("BUILDPLATFORM", build.short()),
            ("BUILDOS", build.os.clone()),
            ("BUILDOSVERSION", build.version.clone()),
            ("BUILDARCH", build.architecture.clone()),
            ("BUILDVARIANT", build.variant.clone()),
            ("TARGETPLATFORM", target.to_string()),
            ("TARGETOS", target.os.clone()),
            ("TARGETOSVERSION", target.version.clone()),
            ("TARGETARCH", target.architecture.clone()),
            ("TARGETVARIANT", target.variant.clone()),
            ("TARGETSTAGE", stage),
        ];
        let given = &setting.query.build_args;
        let values = values.into_iter().map(|(name, value)| {
            let value = given.get(name).cloned().unwrap_or(value);
            (name.to_owned(), value)
        });
        Self {
            values: values.collect(),
        }
    }

    /// Brings `SOURCE_DATE_EPOCH` into its plain form where it is a number. Else it must name
    /// something that has a time: the context, a named context or a stage.
    fn epoch(&mut self, setting: &Setting<'_>) -> Result<()> {
        const NAME: &str = "SOURCE_DATE_EPOCH";
        let given = setting.query.build_args.get(NAME).cloned();
        let declared = self.values.get(NAME).filter(|value| !value.is_empty());
        let Some(value) = given.or_else(|| declared.cloned()) else {
            return Ok(());
        };
        let plain = match crate::number::signed(&value) {
            Some(seconds) => seconds.to_string(),
            None if value.is_empty() => String::new(),
            None => {
                let stages = &setting.dockerfile.stages;
                let is_stage = stages.iter().any(|stage| {
                    let name = stage.name.as_deref();
                    name.is_some_and(|name| name.eq_ignore_ascii_case(&value))
                });
                if value == "context" || is_stage || setting.contexts.has(&value, setting.host) {
                    return Ok(());
                }
                let reason = "it is neither a number of seconds, a context nor a stage";
                return Err(Cause::Epoch { value, reason }.into());
            }
        };
        match (self.values.contains_key(NAME), plain.is_empty()) {
            (true, true) => drop(self.values.remove(NAME)),
            (true, false) => drop(self.values.insert(NAME.to_owned(), plain)),
            (false, _) => {}
        }
        Ok(())
    }
}
