//! The arguments of the global scope: predefined ones, and the ARGs in front of the first FROM.

use std::collections::BTreeMap;

use super::environment::SIZE_MAX;
use super::setting::Setting;
use crate::error::{Cause, Error, Result};
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
        let mut size: usize = 0;
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
                size = size.saturating_add(argument.name.len() + value.len());
                arguments.values.insert(argument.name.clone(), value);
                if size > SIZE_MAX {
                    let cause = Cause::ValuesTooLong { limit: SIZE_MAX };
                    return Err(Error::from(cause).at(instruction.span));
                }
            }
        }
        Ok(arguments)
    }

    fn predefined(setting: &Setting<'_>) -> Self {
        let (build, target) = (&setting.host, &setting.target);
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
            (
                "BUILDOSVERSION",
                build.os_version.clone().unwrap_or_default(),
            ),
            ("BUILDARCH", build.architecture.clone()),
            ("BUILDVARIANT", build.variant.clone().unwrap_or_default()),
            ("TARGETPLATFORM", target.to_string()),
            ("TARGETOS", target.os.clone()),
            (
                "TARGETOSVERSION",
                target.os_version.clone().unwrap_or_default(),
            ),
            ("TARGETARCH", target.architecture.clone()),
            ("TARGETVARIANT", target.variant.clone().unwrap_or_default()),
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

    /// Sets a value, or removes the argument.
    pub(super) fn set(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.values.insert(name.to_owned(), value),
            None => self.values.remove(name),
        };
    }
}
