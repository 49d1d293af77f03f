//! The options that steps of a build see, read into values.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sealift_buildkit::{Entitlement, Secret};
use sealift_content::read_bounded;

use super::parse_duration;
use crate::build::{StepNetwork, StepOptions};
use crate::error::{Error, Kind, Result};
use crate::settings::Settings;

/// Options that steps of the build see.
#[derive(Debug, Clone, Args)]
pub struct StepArgs {
    /// Lets RUN mount a secret: id=NAME[,src=FILE|,env=VARIABLE]
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Lets RUN use an SSH agent: default or ID[=SOCKET]
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Adds a line to /etc/hosts of RUN steps
    #[arg(long, value_name = "HOST:IP")]
    add_host: Vec<String>,
    /// Network of RUN steps: default, host or none
    #[arg(long, value_name = "MODE")]
    network: Option<String>,
    /// Grants an entitlement to the build: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT")]
    allow: Vec<String>,
    /// Runs every step, even if its result is cached
    #[arg(long)]
    no_cache: bool,
    /// Stops a RUN step that prints nothing for this long [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    step_timeout: Option<Duration>,
}

/// Reads them.
///
/// # Errors
/// [`Kind::Usage`] for options that make no sense, and for secrets and agents that are not there.
pub fn read(args: &StepArgs, settings: &Settings) -> Result<StepOptions> {
    let secrets = args.secret.iter().map(|option| secret(option, settings));
    let agents = args.ssh.iter().map(|option| agent(option, settings));
    let hosts = args.add_host.iter().map(|option| host(option));
    let mut entitlements = args
        .allow
        .iter()
        .map(|o| entitlement(o))
        .collect::<Result<Vec<_>>>()?;
    let network = match args.network.as_deref() {
        None | Some("default") => None,
        Some("host") => Some(StepNetwork::Host),
        Some("none") => Some(StepNetwork::None),
        Some(mode) => {
            return Err(wrong(
                &format!("--network {mode}"),
                "it is default, host or none",
            ));
        }
    };
    if network == Some(StepNetwork::Host) && !entitlements.contains(&Entitlement::NetworkHost) {
        entitlements.push(Entitlement::NetworkHost);
    }
    Ok(StepOptions {
        secrets: secrets.collect::<Result<_>>()?,
        agents: agents.collect::<Result<_>>()?,
        hosts: hosts.collect::<Result<_>>()?,
        network,
        entitlements,
        no_cache: args.no_cache,
        timeout: args.step_timeout,
        ..StepOptions::default()
    })
}

fn wrong(option: &str, what: &str) -> Error {
    Error::new(Kind::Usage, format!("{option}: {what}"))
}

/// `id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]`; without a source it is the variable NAME if
/// that is set, else the file NAME.
fn secret(option: &str, settings: &Settings) -> Result<(String, Secret)> {
    let shown = format!("--secret {option}");
    let (mut id, mut file, mut variable) = (None, None, None);
    for field in option.split(',') {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value),
            Some(("src" | "source", value)) => file = Some(value),
            Some(("env", value)) => variable = Some(value),
            Some(("type", "file" | "env")) => {}
            _ => {
                return Err(wrong(
                    &shown,
                    "write id=NAME,src=FILE or id=NAME,env=VARIABLE",
                ));
            }
        }
    }
    let id = id.or(file).or(variable).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| wrong(&shown, "id is missing"))?;
    let variable = variable.or((file.is_none() && settings.value(id).is_some()).then_some(id));
    let too_large = || {
        let limit = crate::size::bytes(Secret::LIMIT as u64);
        let text = format!("BuildKit takes secrets of at most {limit}");
        wrong(&shown, &text)
    };
    let bytes = match (variable, file) {
        (Some(name), _) => {
            let value = settings.environment.get(name);
            let absent = || wrong(&shown, &format!("the variable {name} is not set"));
            value.ok_or_else(absent)?.clone().into_bytes()
        }
        (None, file) => {
            let path = expand(file.unwrap_or(id), settings);
            read_bounded(&path, Secret::LIMIT as u64).map_err(|error| match error.kind() {
                ErrorKind::FileTooLarge => too_large(),
                _ => wrong(&shown, &format!("cannot read {}", path.display())).because(error),
            })?
        }
    };
    if bytes.len() > Secret::LIMIT {
        return Err(too_large());
    }
    Ok((id.to_owned(), Secret::new(bytes)))
}

/// `ID[=SOCKET]`; without a socket it is the agent of SSH_AUTH_SOCK.
fn agent(option: &str, settings: &Settings) -> Result<(String, PathBuf)> {
    let shown = format!("--ssh {option}");
    let (id, socket) = option.split_once('=').unwrap_or((option, ""));
    if id.is_empty() {
        return Err(wrong(&shown, "write default, or ID=SOCKET"));
    }
    let socket = if socket.is_empty() {
        let variable = settings.variable("SSH_AUTH_SOCK");
        variable.ok_or_else(|| {
            wrong(&shown, "no SSH agent is running: SSH_AUTH_SOCK is not set")
                .hint("eval \"$(ssh-agent)\" && ssh-add")
        })?
    } else {
        socket
    };
    let path = expand(socket, settings);
    let kind = path.metadata().map(|metadata| metadata.file_type());
    match kind {
        Ok(kind) if std::os::unix::fs::FileTypeExt::is_socket(&kind) => Ok((id.to_owned(), path)),
        Ok(_) => Err(wrong(
            &shown,
            &format!("{} is not an SSH agent's socket", path.display()),
        )
        .hint("keys are not read: add the key to an agent with ssh-add")),
        Err(error) => {
            Err(wrong(&shown, &format!("{} does not exist", path.display())).because(error))
        }
    }
}

/// `HOST:IP` or `HOST=IP`; the address may be IPv6, in brackets or not, or `host-gateway`.
fn host(option: &str) -> Result<(String, String)> {
    let shown = format!("--add-host {option}");
    let (name, address) = option
        .split_once('=')
        .or_else(|| option.split_once(':'))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| wrong(&shown, "write HOST:IP"))?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
        return Err(wrong(&shown, &format!("{address:?} is not an IP address")));
    }
    Ok((name.to_owned(), address.to_owned()))
}

fn entitlement(option: &str) -> Result<Entitlement> {
    match option {
        "network.host" => Ok(Entitlement::NetworkHost),
        "security.insecure" => Ok(Entitlement::SecurityInsecure),
        _ => Err(wrong(
            &format!("--allow {option}"),
            "it is network.host or security.insecure",
        )),
    }
}

fn expand(path: &str, settings: &Settings) -> PathBuf {
    match (path.strip_prefix("~/"), settings.user_home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => settings.working_directory.join(Path::new(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        assert_eq!(host("a:10.0.0.1").unwrap(), pair("a", "10.0.0.1"));
        assert_eq!(host("a=::1").unwrap(), pair("a", "::1"));
        assert_eq!(host("a:[fe80::1]").unwrap(), pair("a", "fe80::1"));
        assert_eq!(host("a:host-gateway").unwrap(), pair("a", "host-gateway"));
        for option in ["a", ":1.2.3.4", "a:", "a:1.2.3", "a:name"] {
            assert_eq!(host(option).unwrap_err().kind(), Kind::Usage, "{option}");
        }
    }
}
