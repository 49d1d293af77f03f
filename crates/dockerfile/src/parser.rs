//! The first pass: lines become nodes, each a keyword with its flags and arguments. It knows the
//! shapes of arguments, not what instructions mean.

use crate::directive::{Directive, Directives};
use crate::error::{Cause, Error, Result};
use crate::heredoc::{self, Heredoc};
use crate::source::{Lines, Span, without_bom, without_newline};
use crate::{flags, json, word};

/// One instruction, not yet understood.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) keyword: String,
    pub(crate) flags: Vec<String>,
    pub(crate) args: Vec<String>,
    /// Whether the arguments were a JSON array.
    pub(crate) json: bool,
    pub(crate) heredocs: Vec<Heredoc>,
    /// The logical line: continuations joined, heredocs left out.
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// What the first pass makes of a file.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) escape: char,
    pub(crate) directives: Vec<Directive>,
    pub(crate) nodes: Vec<Node>,
}

/// Splits a file into nodes.
pub(crate) fn parse(text: &str) -> Result<Tree> {
    let mut parser = Parser {
        lines: Lines::new(without_bom(text)),
        escape: '\\',
    };
    let mut reader = Directives::new("#");
    let mut directives = Vec::new();
    let mut nodes = Vec::new();
    while let Some(raw) = parser.lines.next() {
        let number = parser.lines.number();
        let line = without_newline(raw).trim_start();
        let directive = reader
            .line(line, number)
            .map_err(|error| error.at(Span::line(number)))?;
        if let Some(directive) = directive {
            parser.direct(&directive)?;
            directives.push(directive);
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        nodes.push(parser.node(line)?);
    }
    if nodes.is_empty() && !parser.lines.too_long() {
        return Err(Error::from(Cause::Empty).at(Span::line(parser.lines.number().max(1))));
    }
    if parser.lines.too_long() {
        return Err(Error::from(Cause::LineTooLong).at(Span::line(parser.lines.number() + 1)));
    }
    Ok(Tree {
        escape: parser.escape,
        directives,
        nodes,
    })
}

struct Parser<'a> {
    lines: Lines<'a>,
    escape: char,
}

impl Parser<'_> {
    fn direct(&mut self, directive: &Directive) -> Result<()> {
        if directive.name == "escape" {
            self.escape = match directive.value.as_str() {
                "\\" => '\\',
                "`" => '`',
                _ => {
                    let value = directive.value.clone();
                    return Err(Error::from(Cause::Escape { value }).at(Span::line(directive.line)));
                }
            };
        }
        Ok(())
    }

    /// Reads a whole instruction, its continuations and its heredocs.
    fn node(&mut self, first: &str) -> Result<Node> {
        let start = self.lines.number();
        let text = self.joined(first);
        let place = |error: Error, end: usize| error.at(Span::new(start, end));
        let end = self.lines.number();
        let mut node = split_line(&text, self.escape).map_err(|error| place(error, end))?;
        if takes_heredocs(&node) && text.contains("<<") {
            let opened = heredoc::opened(&text).map_err(|error| place(error, end))?;
            for heredoc in opened {
                let heredoc = self.heredoc(heredoc);
                node.heredocs
                    .push(heredoc.map_err(|error| place(error, self.lines.number()))?);
            }
        }
        node.text = text;
        node.span = Span::new(start, self.lines.number());
        Ok(node)
    }

    /// Joins continuation lines. Comments and blank lines between them are dropped.
    fn joined(&mut self, first: &str) -> String {
        let (piece, mut more) = without_continuation(first, self.escape);
        let mut text = piece.to_owned();
        while more {
            let Some(raw) = self.lines.next() else {
                break;
            };
            let line = without_newline(raw);
            let content = line.trim_start();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (piece, again) = without_continuation(line, self.escape);
            text.push_str(piece);
            more = again;
        }
        text
    }

    fn heredoc(&mut self, mut heredoc: Heredoc) -> Result<Heredoc> {
        for raw in self.lines.by_ref() {
            if heredoc.ends_at(without_newline(raw)) {
                return Ok(heredoc);
            }
            heredoc.content.push_str(raw);
        }
        let name = heredoc.name;
        Err(Cause::UnterminatedHeredoc { name }.into())
    }
}

/// Removes the escape at a line's end, and the blanks behind it, if it continues the line. An
/// escape behind another one does not.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(piece) if !piece.ends_with(escape) => (piece, true),
        _ => (line, false),
    }
}

/// Returns whether an instruction, or the one that an ONBUILD holds, can open heredocs.
fn takes_heredocs(node: &Node) -> bool {
    let keyword = match node.keyword.to_lowercase().as_str() {
        "onbuild" => node.args.first().map(|keyword| keyword.to_lowercase()),
        keyword => Some(keyword.to_owned()),
    };
    !node.json && matches!(keyword.as_deref(), Some("add" | "copy" | "run"))
}

/// Makes a node of a logical line.
pub(crate) fn split_line(line: &str, escape: char) -> Result<Node> {
    let line = line.trim();
    let (keyword, rest) = match word::split_once(line) {
        Some((keyword, rest)) => (keyword, rest),
        None => (line, ""),
    };
    let (flags, rest) = flags::split(rest, escape);
    let arguments = arguments(keyword, rest.trim(), escape)?;
    Ok(Node {
        keyword: keyword.to_owned(),
        flags,
        args: arguments.args,
        json: arguments.json,
        heredocs: Vec::new(),
        text: String::new(),
        span: Span::line(1),
    })
}

#[derive(Default)]
struct Arguments {
    args: Vec<String>,
    json: bool,
}

impl Arguments {
    fn plain(args: Vec<String>) -> Self {
        Self { args, json: false }
    }
}

/// Splits what stands behind the keyword and the flags, by the shape that the keyword takes.
fn arguments(keyword: &str, rest: &str, escape: char) -> Result<Arguments> {
    Ok(match keyword.to_lowercase().as_str() {
        "add" | "copy" | "volume" => match json_array(rest)? {
            Some(arguments) => arguments,
            None => Arguments::plain(word::blank_separated(rest)),
        },
        "cmd" | "entrypoint" | "run" | "shell" => match json_array(rest)? {
            Some(arguments) => arguments,
            None => Arguments::plain(word::whole(rest)),
        },
        "arg" => Arguments::plain(word::quoted(rest, escape)),
        "env" => Arguments::plain(word::pairs(rest, "ENV", escape)?),
        "label" => Arguments::plain(word::pairs(rest, "LABEL", escape)?),
        "expose" | "from" => Arguments::plain(word::blank_separated(rest)),
        "healthcheck" => healthcheck(rest)?,
        "maintainer" | "stopsignal" | "user" | "workdir" => Arguments::plain(word::whole(rest)),
        "onbuild" => trigger(rest, escape)?,
        _ => Arguments::default(),
    })
}

/// Reads the JSON form. None where the text is no JSON array at all: it is in shell form then.
fn json_array(rest: &str) -> Result<Option<Arguments>> {
    let Some(values) = json::array(rest) else {
        return Ok(None);
    };
    let args: Option<Vec<String>> = values
        .into_iter()
        .map(|value| match value {
            json::Value::Text(text) => Some(text),
            json::Value::Other => None,
        })
        .collect();
    let args = args.ok_or(Cause::NotStrings)?;
    Ok(Some(Arguments { args, json: true }))
}

/// `HEALTHCHECK TYPE command`.
fn healthcheck(rest: &str) -> Result<Arguments> {
    let space = |byte: &u8| char::from(*byte).is_whitespace();
    let bytes = rest.as_bytes();
    let kind = bytes.iter().take_while(|byte| !space(byte)).count();
    if kind == 0 {
        return Ok(Arguments::default());
    }
    let blanks = bytes[kind..].iter().take_while(|byte| space(byte)).count();
    let command = String::from_utf8_lossy(&bytes[kind + blanks..]).into_owned();
    let mut arguments = match json_array(&command)? {
        Some(arguments) => arguments,
        None => Arguments::plain(word::whole(&command)),
    };
    let kind = String::from_utf8_lossy(&bytes[..kind]).into_owned();
    arguments.args.insert(0, kind);
    Ok(arguments)
}

/// `ONBUILD instruction`: the instruction's keyword and arguments, without its flags.
fn trigger(rest: &str, escape: char) -> Result<Arguments> {
    if rest.is_empty() {
        return Ok(Arguments::default());
    }
    let keyword = word::split_once(rest).map_or(rest, |(keyword, _)| keyword);
    if keyword.eq_ignore_ascii_case("onbuild") {
        // Refused by the second pass: no need to follow a chain of any length.
        return Ok(Arguments::plain(vec![keyword.to_owned()]));
    }
    let child = split_line(rest, escape)?;
    let mut args = child.args;
    args.insert(0, child.keyword);
    Ok(Arguments {
        args,
        json: child.json,
    })
}
