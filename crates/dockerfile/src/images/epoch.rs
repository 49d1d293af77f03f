//! `SOURCE_DATE_EPOCH`: a number of seconds, or the name of something that has a time.

use super::arguments::Arguments;
use super::resolve::Setting;
use crate::error::{Cause, Error, Result};
use crate::instruction::{Instruction, InstructionKind};
use crate::reference::Reference;
use crate::shell::Lexer;
use crate::stage::Stage;

pub(super) const NAME: &str = "SOURCE_DATE_EPOCH";

/// What the argument says.
pub(super) enum Epoch {
    /// A time, in the plain form that BuildKit hands on; blank where there is none.
    Time(String),
    /// The time of something that has to be fetched first.
    Source,
    /// The time of a named context that is an image: BuildKit looks it up.
    Image(Reference, String),
}

/// Reads the argument's value.
pub(super) fn read(value: &str, arguments: &Arguments, setting: &Setting<'_>) -> Result<Epoch> {
    if let Some(seconds) = crate::number::signed(value) {
        return Ok(Epoch::Time(seconds.to_string()));
    }
    if value.is_empty() {
        return Ok(Epoch::Time(String::new()));
    }
    if value == "context" {
        return Ok(Epoch::Source);
    }
    let name = Reference::parse(value)?;
    if let Some(context) = setting.contexts.find(&name, setting.host) {
        let image = context.image()?;
        return Ok(image.map_or(Epoch::Source, |image| {
            Epoch::Image(image, context.name.to_owned())
        }));
    }
    let mut stages = setting.dockerfile.stages.iter();
    let stage = stages.find(|stage| {
        let name = stage.name.as_deref();
        name.is_some_and(|name| name.eq_ignore_ascii_case(value))
    });
    let refused = |reason| Cause::Epoch {
        value: value.to_owned(),
        reason,
    };
    let Some(stage) = stage else {
        let reason = "it is neither a number of seconds, a context nor a stage";
        return Err(refused(reason).into());
    };
    let lexer = Lexer::new(setting.dockerfile.escape);
    let base = lexer.expand(&stage.base, &arguments.without(NAME));
    let base = base.map_err(|error| error.at(stage.span))?;
    let reason = if base.text == "scratch" {
        fault(stage)
    } else {
        Some("its stage is not FROM scratch")
    };
    match reason {
        None => Ok(Epoch::Source),
        Some(reason) => Err(Error::from(refused(reason)).at(stage.span)),
    }
}

/// Says why a stage has no time: it may only fetch one thing.
fn fault(stage: &Stage) -> Option<&'static str> {
    const ONE: &str = "its stage must have exactly one ADD, of one URL or Git repository";
    let plain = |instruction: &&Instruction| !matches!(instruction.kind, InstructionKind::Arg(_));
    let mut rest = stage.instructions.iter().filter(plain);
    let Some(InstructionKind::Add(add)) = rest.next().map(|instruction| &instruction.kind) else {
        return Some(ONE);
    };
    let one = add.transfer.sources.len() == 1 && add.transfer.files.is_empty();
    (!one || rest.next().is_some()).then_some(ONE)
}
