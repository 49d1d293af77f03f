//! One instruction, checked as BuildKit does when it comes to it.
//!
//! BuildKit finds these faults only once the configurations of all images are there. What does
//! not depend on them is found here, before anything is fetched.

use super::arguments::Arguments;
use super::environment::{Environment, SIZE_MAX};
use super::port;
use crate::error::{Cause, Result};
use crate::heredoc::Heredoc;
use crate::instruction::{Add, Argument, Copy, Instruction, InstructionKind, Pair, Transfer};
use crate::mount::{Mount, MountType};
use crate::number::{signed, unsigned};
use crate::shell::Lexer;

/// The instructions of a stage, one after the other.
pub(super) struct Stepper<'a> {
    pub(super) lexer: Lexer,
    /// The arguments of the global scope, for those that a stage declares without a default.
    pub(super) global: &'a Arguments,
    /// The build arguments.
    pub(super) given: &'a Arguments,
    pub(super) environment: Environment,
}

impl Stepper<'_> {
    fn word(&self, text: &str) -> Result<Option<String>> {
        self.environment.word(self.lexer, text)
    }

    fn option(&self, text: &Option<String>) -> Result<Option<String>> {
        match text {
            Some(text) => self.word(text),
            None => Ok(Some(String::new())),
        }
    }

    /// Expands what an instruction expands, and checks what is known of it. For what comes before
    /// the order of stages counts; [`Self::mounts`] and [`Self::transfer`] come behind it.
    pub(super) fn expand(&mut self, instruction: &Instruction) -> Result<()> {
        match &instruction.kind {
            InstructionKind::Arg(arguments) => self.declare(arguments),
            InstructionKind::Env(pairs) => {
                for (name, value) in self.pairs(pairs)? {
                    self.environment.set(name, value);
                }
                self.check_size()
            }
            InstructionKind::Label(pairs) => self.pairs(pairs).map(drop),
            InstructionKind::Workdir(text) | InstructionKind::User(text) => {
                self.word(text).map(drop)
            }
            InstructionKind::Volume(volumes) => {
                for volume in volumes {
                    if self.word(volume)?.is_some_and(|volume| volume.is_empty()) {
                        return Err(Cause::BlankVolume.into());
                    }
                }
                Ok(())
            }
            InstructionKind::Stopsignal(text) => match self.word(text)? {
                Some(signal) if !is_signal(&signal) => Err(invalid(
                    "STOPSIGNAL",
                    &signal,
                    "a signal such as SIGTERM, or its number",
                )),
                _ => Ok(()),
            },
            InstructionKind::Expose(ports) => self.expose(ports),
            InstructionKind::Run(run) => self.mounts(&run.mounts),
            InstructionKind::Copy(Copy { transfer, .. }) => self.transfer(transfer),
            InstructionKind::Add(Add {
                transfer, checksum, ..
            }) => {
                self.option(checksum)?;
                self.transfer(transfer)
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self) -> Result<()> {
        if self.environment.size() > SIZE_MAX {
            return Err(Cause::ValuesTooLong { limit: SIZE_MAX }.into());
        }
        Ok(())
    }

    fn declare(&mut self, arguments: &[Argument]) -> Result<()> {
        for argument in arguments {
            let name = &argument.name;
            let value = match (self.given.value(name), &argument.default) {
                (Some(given), _) => Some(given.to_owned()),
                (None, Some(default)) => self.word(default)?,
                (None, None) => match self.global.value(name) {
                    Some(global) => Some(global.to_owned()),
                    None => continue,
                },
            };
            self.environment.set(Some(name.clone()), value);
            self.check_size()?;
        }
        Ok(())
    }

    fn pairs(&self, pairs: &[Pair]) -> Result<Vec<(Option<String>, Option<String>)>> {
        let pairs = pairs.iter();
        pairs
            .map(|pair| Ok((self.word(&pair.name)?, self.word(&pair.value)?)))
            .collect()
    }

    fn expose(&self, ports: &[String]) -> Result<()> {
        for text in ports {
            for port in self
                .environment
                .words(self.lexer, text)?
                .unwrap_or_default()
            {
                port::check(&port).map_err(|expected| invalid("EXPOSE", &port, expected))?;
            }
        }
        Ok(())
    }

    /// Checks the options of mounts.
    fn mounts(&self, mounts: &[Mount]) -> Result<()> {
        for mount in mounts {
            mount.resolve(&|text| self.word(text))?;
        }
        Ok(())
    }

    /// Checks what only shows once a mount's source is there.
    pub(super) fn mounted(&self, mount: &Mount) -> Result<()> {
        let Some(mount) = mount.resolve(&|text| self.word(text))? else {
            return Ok(());
        };
        match mount.kind {
            MountType::Ssh if !mount.source.is_empty() => {
                let (option, kind) = ("source", "ssh");
                Err(Cause::MountOptionType { option, kind }.into())
            }
            MountType::Bind | MountType::Cache | MountType::Tmpfs if mount.target == "/" => {
                let reason = "its target cannot be the root";
                Err(Cause::Mount { reason }.into())
            }
            _ => Ok(()),
        }
    }

    fn transfer(&self, transfer: &Transfer) -> Result<()> {
        self.option(&transfer.chown)?;
        self.option(&transfer.chmod)?;
        for source in &transfer.sources {
            self.word(source)?;
        }
        self.word(&transfer.destination)?;
        for file in &transfer.files {
            self.content(file)?;
        }
        Ok(())
    }

    fn content(&self, file: &Heredoc) -> Result<()> {
        if file.expand {
            let mut lexer = Lexer::new('\\');
            lexer.ignore_quotes = true;
            self.environment.word(lexer, &file.text())?;
        }
        Ok(())
    }

    /// Checks what only shows once a COPY's or ADD's source is there.
    pub(super) fn transferred(&self, transfer: &Transfer, add: Option<&Add>) -> Result<()> {
        let owner = self.option(&transfer.chown)?.unwrap_or_default();
        if transfer.link && owner.splitn(2, ':').any(|part| !is_number_or_root(part)) {
            return Err(invalid(
                "--chown with --link",
                &owner,
                "numbers, as there is no user list",
            ));
        }
        let mode = self.option(&transfer.chmod)?.unwrap_or_default();
        let numeric = !mode.is_empty() && mode.bytes().all(|byte| byte.is_ascii_digit());
        if numeric && unsigned(&mode, 8).is_none_or(|mode| mode > 0o7777) {
            return Err(invalid("--chmod", &mode, "an octal number up to 07777"));
        }
        if let Some(add) = add {
            self.checksum(transfer, &self.option(&add.checksum)?.unwrap_or_default())?;
            return Ok(());
        }
        for source in &transfer.sources {
            if self.word(source)?.is_some_and(|source| is_url(&source)) {
                let url = source.clone();
                return Err(Cause::CopyUrl { url }.into());
            }
        }
        Ok(())
    }

    fn checksum(&self, transfer: &Transfer, checksum: &str) -> Result<()> {
        if checksum.is_empty() {
            return Ok(());
        }
        let expected = match transfer.sources.as_slice() {
            [source] => match self.word(source)? {
                Some(source) if is_url(&source) && !source.contains("git") => {
                    (!is_digest(checksum)).then_some("a digest such as sha256:…")
                }
                Some(source) if !source.contains(['@', ':', '#']) && !source.contains("git") => {
                    Some("a source that is a URL or a Git repository")
                }
                _ => None,
            },
            _ => Some("exactly one source"),
        };
        expected.map_or(Ok(()), |expected| {
            Err(invalid("--checksum", checksum, expected))
        })
    }
}

fn invalid(name: &str, value: &str, expected: &str) -> crate::Error {
    Cause::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
    .into()
}

fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Returns whether a text is a digest of one of the algorithms that BuildKit knows.
fn is_digest(text: &str) -> bool {
    let Some((algorithm, digits)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.len() == length && digits.bytes().all(hex)
}

fn is_number_or_root(text: &str) -> bool {
    text.is_empty() || text == "root" || signed(text).is_some_and(|id| i32::try_from(id).is_ok())
}

const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Returns whether a text is a signal of Linux, by name or number.
fn is_signal(text: &str) -> bool {
    if let Some(number) = signed(text) {
        return number != 0;
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |offset: &str, most: u8| {
        let plain = !offset.starts_with(['0', '+']);
        plain
            && offset
                .parse::<u8>()
                .is_ok_and(|offset| (1..=most).contains(&offset))
    };
    SIGNALS.contains(&name)
        || name
            .strip_prefix("RTMIN+")
            .is_some_and(|text| offset(text, 15))
        || name
            .strip_prefix("RTMAX-")
            .is_some_and(|text| offset(text, 14))
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn knows_signals() {
        for good in [
            "SIGTERM",
            "term",
            "9",
            "-1",
            "RTMIN+15",
            "SIGRTMAX-14",
            "RTMIN",
        ] {
            assert!(is_signal(good), "{good}");
        }
        for bad in [
            "", "SIG", "0", "SIGNOPE", "RTMIN+16", "RTMIN+0", "RTMAX-15", "RTMIN+01",
        ] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
