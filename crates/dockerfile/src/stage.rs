//! Stages and the Dockerfile as a whole.

use crate::another_format;
use crate::directive::{self, Directive, Syntax};
use crate::error::{Cause, Result};
use crate::flags::{Flags, Kind};
use crate::instruction::{self, Instruction, InstructionKind};
use crate::parser::{self, Node};
use crate::source::Span;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The parser directives that the file starts with.
    pub directives: Vec<Directive>,
    /// The escape character: a backslash or a backtick.
    pub escape: char,
    /// The frontend image that the file asks for.
    pub syntax: Option<Syntax>,
    /// The ARG instructions in front of the first FROM.
    pub arguments: Vec<Instruction>,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// A fault of the `# check=` directive, which fails a build but not the parse.
    pub(crate) check: Result<()>,
}

/// A stage: a FROM and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name in lower case.
    pub name: Option<String>,
    /// The base as written: an image, a stage or `scratch`, with variables.
    pub base: String,
    /// `--platform` as written, with variables.
    pub platform: Option<String>,
    /// The lines of the FROM.
    pub span: Span,
    /// The instructions behind it.
    pub instructions: Vec<Instruction>,
}

/// Parses a Dockerfile as BuildKit's frontend does when asked for its targets.
///
/// Bytes that are not UTF-8 should be replaced beforehand (`String::from_utf8_lossy`).
///
/// # Errors
/// The first fault: of the lines' shape anywhere in the file, else of an instruction. BuildKit
/// accepts a file without any stage here, and so does this; [`crate::images`] does not.
pub fn parse(text: &str) -> Result<Dockerfile> {
    read(text).map_err(|error| match another_format::recognise(text) {
        Some(cause) => error.replaced(cause),
        None => error,
    })
}

fn read(text: &str) -> Result<Dockerfile> {
    let tree = parser::parse(text)?;
    let mut dockerfile = Dockerfile {
        directives: tree.directives,
        escape: tree.escape,
        syntax: directive::syntax(text),
        arguments: Vec::new(),
        stages: Vec::new(),
        check: directive::check(text),
    };
    for node in &tree.nodes {
        if node.keyword.eq_ignore_ascii_case("FROM") {
            let stage = stage(node).map_err(|error| error.at(node.span))?;
            dockerfile.stages.push(stage);
            continue;
        }
        let instruction = instruction::from_node(node)?;
        match dockerfile.stages.last_mut() {
            Some(stage) => stage.instructions.push(instruction),
            None if matches!(instruction.kind, InstructionKind::Arg(_)) => {
                dockerfile.arguments.push(instruction);
            }
            None => {
                let keyword = node.keyword.clone();
                return Err(crate::Error::from(Cause::NoStage { keyword }).at(node.span));
            }
        }
    }
    Ok(dockerfile)
}

fn stage(node: &Node) -> Result<Stage> {
    let name = match node.args.as_slice() {
        [_] => None,
        [_, keyword, name] if keyword.eq_ignore_ascii_case("AS") => Some(stage_name(name)?),
        _ => {
            return Err(Cause::Arguments {
                keyword: "FROM".to_owned(),
                expected: "an image or stage, and no more than `AS name` behind it",
            }
            .into());
        }
    };
    let flags = Flags::check(&node.flags, &[("platform", Kind::Text)])?;
    Ok(Stage {
        name,
        base: node.args[0].clone(),
        platform: flags.text("platform").filter(|text| !text.is_empty()),
        span: node.span,
        instructions: Vec::new(),
    })
}

fn stage_name(name: &str) -> Result<String> {
    let lower = name.to_lowercase();
    let valid = lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
    if !valid {
        let name = name.to_owned();
        return Err(Cause::StageName { name }.into());
    }
    Ok(lower)
}
