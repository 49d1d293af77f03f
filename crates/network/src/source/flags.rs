//! The options `--mirror` and `--proxy`.

use std::path::PathBuf;

use sealift_config::{Place, Reader, Sourced};

use crate::endpoint::Scope;
use crate::findings::{Findings, Rule};
use crate::host::Host;
use crate::location;
use crate::proxy::ProxyUrl;

/// The options, as they are given.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--mirror REGISTRY=URL`.
    pub mirrors: Vec<String>,
    /// `--proxy URL`, or `none`.
    pub proxy: Option<String>,
    /// `--daemon-json FILE`.
    pub daemon_json: Option<PathBuf>,
}

/// Reads the options.
pub fn read(flags: &Flags, reader: &mut Reader<'_>) -> Findings {
    let mut findings = Findings::default();
    let from = Place::Flag("--mirror".to_owned());
    for text in &flags.mirrors {
        let Some((registry, url)) = text.split_once('=') else {
            reader.problem(
                from.clone(),
                "expected REGISTRY=URL, as in docker.io=https://mirror.example.com",
            );
            continue;
        };
        let registry = Sourced::new(registry.trim().to_owned(), from.clone());
        let url = Sourced::new(url.to_owned(), from.clone());
        let host = Host::read(reader, "the registry", &registry);
        let mirror = location::mirror(reader, "the mirror", &url);
        if let (Some(host), Some(mirror)) = (host, mirror) {
            add(&mut findings, host, mirror);
        }
    }
    if let Some(text) = &flags.proxy {
        let text = Sourced::new(text.clone(), Place::Flag("--proxy".to_owned()));
        set_proxy(&mut findings, reader, "--proxy", text);
    }
    findings
}

/// Adds a mirror of a registry's host after those that it has.
pub(super) fn add(findings: &mut Findings, host: Host, mirror: crate::findings::Candidate) {
    let scope = Scope::Host(host);
    match findings.rules.iter_mut().find(|rule| rule.scope == scope) {
        Some(rule) => rule.mirrors.push(mirror),
        None => findings.rules.push(Rule::mirrors(scope, vec![mirror])),
    }
}

/// Sets one proxy for all traffic, or with `none` forbids all of them.
pub(super) fn set_proxy(
    findings: &mut Findings,
    reader: &mut Reader<'_>,
    name: &str,
    text: Sourced<String>,
) {
    if text.value.trim() == "none" {
        findings.direct = Some(text.from);
    } else if let Some(proxy) = ProxyUrl::read(reader, name, text) {
        findings.proxies.all = Some(proxy);
    }
}
