//! The second pass: nodes become instructions, and each one's own rules are checked.

use super::{
    Add, Argument, Command, Copy, Healthcheck, Instruction, InstructionKind, KEYWORDS, Pair, Run,
    Transfer,
};
use crate::device;
use crate::error::{Cause, Error, Result};
use crate::flags::{Flags, Kind};
use crate::heredoc;
use crate::mount::Mount;
use crate::number::duration;
use crate::parser::Node;
use crate::suggestion::nearest;

/// Makes an instruction of a node. The error has the node's place.
pub(crate) fn from_node(node: &Node) -> Result<Instruction> {
    let kind = kind(node).map_err(|error| error.at(node.span))?;
    Ok(Instruction {
        kind,
        span: node.span,
    })
}

/// Reads the one instruction that an ONBUILD trigger holds.
pub(crate) fn trigger(text: &str) -> Result<Instruction> {
    let tree = crate::parser::parse(text)?;
    let [node] = tree.nodes.as_slice() else {
        let trigger = text.to_owned();
        return Err(Cause::TriggerCount { trigger }.into());
    };
    if node.keyword.eq_ignore_ascii_case("FROM") {
        let keyword = "FROM".to_owned();
        return Err(Cause::Trigger { keyword }.into());
    }
    from_node(node)
}

fn kind(node: &Node) -> Result<InstructionKind> {
    let keyword = node.keyword.to_lowercase();
    Ok(match keyword.as_str() {
        "add" => InstructionKind::Add(add(node)?),
        "arg" => InstructionKind::Arg(arg(node)?),
        "cmd" => InstructionKind::Cmd(command_only(node)?),
        "copy" => InstructionKind::Copy(copy(node)?),
        "entrypoint" => InstructionKind::Entrypoint(command_only(node)?),
        "env" => InstructionKind::Env(pairs(node, "ENV")?),
        "expose" => InstructionKind::Expose(expose(node)?),
        "healthcheck" => InstructionKind::Healthcheck(healthcheck(node)?),
        "label" => InstructionKind::Label(pairs(node, "LABEL")?),
        "maintainer" => InstructionKind::Maintainer(single(node)?),
        "onbuild" => InstructionKind::Onbuild(onbuild(node)?),
        "run" => InstructionKind::Run(run(node)?),
        "shell" => InstructionKind::Shell(shell(node)?),
        // BuildKit does not look at the flags of STOPSIGNAL and ARG.
        "stopsignal" => InstructionKind::Stopsignal(one_argument(node)?),
        "user" => InstructionKind::User(single(node)?),
        "volume" => InstructionKind::Volume(volume(node)?),
        "workdir" => InstructionKind::Workdir(single(node)?),
        _ => {
            return Err(Cause::UnknownInstruction {
                keyword: node.keyword.clone(),
                suggestion: nearest(&keyword, KEYWORDS),
            }
            .into());
        }
    })
}

fn wrong_count(node: &Node, expected: &'static str) -> Error {
    let keyword = node.keyword.to_uppercase();
    Cause::Arguments { keyword, expected }.into()
}

fn at_least_one(node: &Node) -> Result<()> {
    if node.args.is_empty() {
        return Err(wrong_count(node, "at least one argument"));
    }
    Ok(())
}

fn no_flags(node: &Node) -> Result<()> {
    Flags::check(&node.flags, &[]).map(drop)
}

fn one_argument(node: &Node) -> Result<String> {
    match node.args.as_slice() {
        [argument] => Ok(argument.clone()),
        _ => Err(wrong_count(node, "exactly one argument")),
    }
}

fn single(node: &Node) -> Result<String> {
    let argument = one_argument(node)?;
    no_flags(node)?;
    Ok(argument)
}

fn command(args: &[String], json: bool) -> Command {
    let words = match args {
        [] => Vec::new(),
        args if json => args.to_vec(),
        args => vec![args.join(" ")],
    };
    Command {
        words,
        shell: !json,
    }
}

fn command_only(node: &Node) -> Result<Command> {
    no_flags(node)?;
    Ok(command(&node.args, node.json))
}

fn pairs(node: &Node, keyword: &'static str) -> Result<Vec<Pair>> {
    no_flags(node)?;
    at_least_one(node)?;
    node.args
        .chunks_exact(3)
        .map(|parts| {
            if parts[0].is_empty() {
                return Err(Cause::BlankName { keyword }.into());
            }
            Ok(Pair {
                name: parts[0].clone(),
                value: parts[1].clone(),
            })
        })
        .collect()
}

fn arg(node: &Node) -> Result<Vec<Argument>> {
    at_least_one(node)?;
    let keyword = "ARG";
    node.args
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(Cause::BlankName { keyword }.into()),
            Some((name, default)) => Ok(Argument {
                name: name.to_owned(),
                default: Some(default.to_owned()),
            }),
            None => Ok(Argument {
                name: word.clone(),
                default: None,
            }),
        })
        .collect()
}

fn expose(node: &Node) -> Result<Vec<String>> {
    at_least_one(node)?;
    no_flags(node)?;
    Ok(node.args.clone())
}

fn shell(node: &Node) -> Result<Vec<String>> {
    no_flags(node)?;
    at_least_one(node)?;
    if !node.json {
        return Err(Cause::NotJson { keyword: "SHELL" }.into());
    }
    Ok(node.args.clone())
}

fn volume(node: &Node) -> Result<Vec<String>> {
    at_least_one(node)?;
    no_flags(node)?;
    node.args
        .iter()
        .map(|volume| match volume.trim() {
            "" => Err(Cause::BlankVolume.into()),
            volume => Ok(volume.to_owned()),
        })
        .collect()
}

fn onbuild(node: &Node) -> Result<String> {
    at_least_one(node)?;
    no_flags(node)?;
    let keyword = node.args[0].trim().to_uppercase();
    if matches!(keyword.as_str(), "ONBUILD" | "MAINTAINER" | "FROM") {
        return Err(Cause::Trigger { keyword }.into());
    }
    let text = node.text.trim_start();
    let mut trigger = text[node.keyword.len()..].trim_start().to_owned();
    for heredoc in &node.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name);
    }
    Ok(trigger)
}

fn healthcheck(node: &Node) -> Result<Healthcheck> {
    at_least_one(node)?;
    let (kind, args) = (node.args[0].to_uppercase(), &node.args[1..]);
    if kind == "NONE" {
        if !args.is_empty() {
            let keyword = "HEALTHCHECK NONE".to_owned();
            let expected = "no arguments";
            return Err(Cause::Arguments { keyword, expected }.into());
        }
        return Ok(Healthcheck::None);
    }
    const DURATIONS: [&str; 4] = ["interval", "timeout", "start-period", "start-interval"];
    let known = DURATIONS.map(|name| (name, Kind::Text));
    let known = [known.as_slice(), &[("retries", Kind::Text)]].concat();
    let flags = Flags::check(&node.flags, &known)?;
    if kind != "CMD" {
        return Err(Cause::HealthcheckType { kind }.into());
    }
    let command = command(args, node.json);
    if command.words.is_empty() {
        return Err(wrong_count(node, "a command behind CMD"));
    }
    let mut options = Vec::new();
    for name in DURATIONS {
        if let Some(value) = flags.text(name) {
            let nanoseconds = if value.is_empty() {
                Some(0)
            } else {
                duration(&value)
            };
            if !nanoseconds.is_some_and(|time| time == 0 || time >= 1_000_000) {
                return Err(invalid(name, &value, "a time of 1ms or more, such as 30s"));
            }
            options.push((name.to_owned(), value));
        }
    }
    if let Some(value) = flags.text("retries") {
        let count = crate::number::signed(&value);
        let fits = count.is_some_and(|count| (0..=i64::from(i32::MAX)).contains(&count));
        if !value.is_empty() && !fits {
            return Err(invalid("retries", &value, "a number, not negative"));
        }
        options.push(("retries".to_owned(), value));
    }
    Ok(Healthcheck::Command { command, options })
}

fn invalid(name: &str, value: &str, expected: &str) -> Error {
    Cause::Value {
        name: format!("--{name}"),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
    .into()
}

fn run(node: &Node) -> Result<Run> {
    let flags = Flags::check(
        &node.flags,
        &[
            ("mount", Kind::List),
            ("network", Kind::Text),
            ("security", Kind::Text),
            ("device", Kind::List),
        ],
    )?;
    let devices = flags.list("device");
    for text in &devices {
        device::check(text)?;
    }
    let mounts: Result<Vec<Mount>> = flags
        .list("mount")
        .iter()
        .map(|text| Mount::parse(text))
        .collect();
    let mounts = mounts?;
    Ok(Run {
        command: command(&node.args, node.json),
        mounts,
        network: choice(&flags, "network", &["default", "none", "host"])?,
        security: choice(&flags, "security", &["sandbox", "insecure"])?,
        devices,
    })
}

fn choice(flags: &Flags, name: &str, known: &[&str]) -> Result<Option<String>> {
    match flags.text(name) {
        Some(value) if !known.contains(&value.as_str()) => {
            Err(invalid(name, &value, &known.join(", ")))
        }
        value => Ok(value),
    }
}

const TRANSFER_FLAGS: [(&str, Kind); 4] = [
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Switch),
    ("exclude", Kind::List),
];

fn add(node: &Node) -> Result<Add> {
    needs_destination(node)?;
    let own = [
        ("keep-git-dir", Kind::Switch),
        ("checksum", Kind::Text),
        ("unpack", Kind::Switch),
    ];
    let flags = Flags::check(&node.flags, &[TRANSFER_FLAGS.as_slice(), &own].concat())?;
    Ok(Add {
        transfer: transfer(node, &flags, "ADD")?,
        checksum: flags.text("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

fn copy(node: &Node) -> Result<Copy> {
    needs_destination(node)?;
    let own = [("from", Kind::Text), ("parents", Kind::Switch)];
    let flags = Flags::check(&node.flags, &[TRANSFER_FLAGS.as_slice(), &own].concat())?;
    Ok(Copy {
        transfer: transfer(node, &flags, "COPY")?,
        from: flags.text("from").filter(|from| !from.is_empty()),
        parents: flags.switch("parents").unwrap_or_default(),
    })
}

fn needs_destination(node: &Node) -> Result<()> {
    if node.args.len() < 2 {
        return Err(wrong_count(
            node,
            "at least two arguments: a source and a destination",
        ));
    }
    Ok(())
}

fn transfer(node: &Node, flags: &Flags, keyword: &'static str) -> Result<Transfer> {
    let read = |word: &String| heredoc::parse(word).ok().flatten();
    let (destination, words) = node
        .args
        .split_last()
        .ok_or_else(|| wrong_count(node, "a destination"))?;
    if read(destination).is_some() {
        return Err(Cause::HeredocDestination { keyword }.into());
    }
    let mut sources = Vec::new();
    let mut files = Vec::new();
    for word in words {
        match read(word) {
            Some(mut file) => {
                // The last of several heredocs with one name gives the content.
                let body = node.heredocs.iter().rfind(|body| body.name == file.name);
                file.content = body.map(|body| body.content.clone()).unwrap_or_default();
                files.push(file);
            }
            None => sources.push(word.clone()),
        }
    }
    Ok(Transfer {
        sources,
        files,
        destination: destination.clone(),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or_default(),
        exclude: flags.list("exclude"),
    })
}
