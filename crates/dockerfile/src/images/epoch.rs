//! `SOURCE_DATE_EPOCH`: a number of seconds, or the name of something that has a time.

use sealift_oci::Reference;

use super::arguments::Arguments;
use super::setting::Setting;
use crate::error::{Cause, Error, Result};
use crate::instruction::{Instruction, InstructionKind};
use crate::reference;
use crate::shell::Lexer;
use crate::stage::Stage;

const NAME: &str = "SOURCE_DATE_EPOCH";

/// What the argument says.
enum Epoch {
    /// A time, in the plain form that BuildKit hands on; blank where there is none.
    Time(String),
    /// The time of something that has to be fetched first.
    Source,
    /// The time of a named context that is an image: BuildKit looks it up.
    Image(Reference, String),
}

/// Brings the argument into its plain form where it is a number. Returns the image that its time is
/// taken from, if it is one, with the named context's name.
pub(super) fn settle(
    arguments: &mut Arguments,
    setting: &Setting<'_>,
) -> Result<Option<(Reference, String)>> {
    let given = setting.query.build_args.get(NAME);
    let declared = arguments.value(NAME).filter(|value| !value.is_empty());
    let Some(value) = given.map(String::as_str).or(declared) else {
        return Ok(None);
    };
    match read(value, arguments, setting)? {
        Epoch::Source => Ok(None),
        Epoch::Image(image, context) => Ok(Some((image, context))),
        Epoch::Time(plain) => {
            if arguments.value(NAME).is_some() {
                arguments.set(NAME, Some(plain).filter(|plain| !plain.is_empty()));
            }
            Ok(None)
        }
    }
}

fn read(value: &str, arguments: &Arguments, setting: &Setting<'_>) -> Result<Epoch> {
    if let Some(seconds) = crate::number::signed(value) {
        return Ok(Epoch::Time(seconds.to_string()));
    }
    if value.is_empty() {
        return Ok(Epoch::Time(String::new()));
    }
    if value == "context" {
        return Ok(Epoch::Source);
    }
    let name = reference::parse(value)?;
    if let Some(context) = setting.contexts.find(&name, &setting.host) {
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
    let mut rest = arguments.clone();
    rest.set(NAME, None);
    let base = lexer.expand(&stage.base, &rest);
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
