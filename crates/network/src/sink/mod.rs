//! One file a consumer of the network model: sealift's own client, buildkitd's file, buildkitd's
//! environment, the build arguments of RUN steps, and accounts for a builder that asks.

pub mod build_args;
pub mod buildkitd;
pub mod client;
pub mod environment;

use std::fmt;

use super::proxy::{Proxies, ProxyUrl};
use sealift_config::{Place, Sourced};

/// The variables that set proxies, in capitals.
const NAMES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Names and addresses of the machine itself. Go exempts them from every proxy by rule, but what
/// runs in build steps (curl, Python, Node) only by NO_PROXY.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Which network a buildkitd or a build step sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkView {
    /// This machine's own, loopback included: a local process, a container on the host's network.
    Host,
    /// One of its own: this machine's loopback is another one there.
    Isolated,
}

/// The value of a variable. A proxy prints with its password masked.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A proxy.
    Proxy(ProxyUrl),
    /// Anything that is no secret.
    Text(String),
}

impl Value {
    /// Returns the value itself, for the process that gets it.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Proxy(proxy) => proxy.expose(),
            Self::Text(text) => text,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy(proxy) => write!(f, "{proxy}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A variable of the environment, or a build argument, with where its value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Value,
    /// The places of its parts, each once.
    pub from: Vec<Place>,
}

/// A thing that a sink cannot express, or that cannot work where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caveat {
    /// The thing.
    pub what: String,
    /// Why not, and what to do.
    pub why: String,
    /// Where it was found.
    pub at: Place,
}

impl fmt::Display for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.what, self.at, self.why)
    }
}

/// Makes the proxy variables in both cases. `usable` decides over each proxy; NO_PROXY follows only
/// where one is left.
fn proxy_variables(
    proxies: &Proxies,
    exempt: &[Sourced<String>],
    mut usable: impl FnMut(&str, &Sourced<ProxyUrl>) -> bool,
) -> Vec<Variable> {
    let named = [
        ("HTTP_PROXY", proxies.of_scheme("http")),
        ("HTTPS_PROXY", proxies.of_scheme("https")),
        ("FTP_PROXY", proxies.ftp.as_ref()),
        ("ALL_PROXY", proxies.all.as_ref()),
    ];
    let mut variables = Vec::new();
    for (name, proxy) in named {
        if let Some(proxy) = proxy.filter(|proxy| usable(name, proxy)) {
            let from = vec![proxy.from.clone()];
            both_cases(
                &mut variables,
                name,
                Value::Proxy(proxy.value.clone()),
                from,
            );
        }
    }
    if !variables.is_empty() {
        let (text, from) = no_proxy(proxies, exempt);
        both_cases(&mut variables, "NO_PROXY", Value::Text(text), from);
    }
    variables
}

fn both_cases(variables: &mut Vec<Variable>, name: &str, value: Value, from: Vec<Place>) {
    for name in [name.to_owned(), name.to_ascii_lowercase()] {
        variables.push(Variable {
            name,
            value: value.clone(),
            from: from.clone(),
        });
    }
}

/// Joins what is configured, what is reached directly, and loopback.
fn no_proxy(proxies: &Proxies, exempt: &[Sourced<String>]) -> (String, Vec<Place>) {
    let rule = Place::Rule("loopback, added by sealift".to_owned());
    let loopback = LOOPBACK.map(|name| Sourced::new(name.to_owned(), rule.clone()));
    let mut entries: Vec<&str> = Vec::new();
    let mut from: Vec<Place> = Vec::new();
    for entry in proxies.no_proxy.iter().chain(exempt).chain(&loopback) {
        if !entries.contains(&entry.value.as_str()) {
            entries.push(&entry.value);
            if !from.contains(&entry.from) {
                from.push(entry.from.clone());
            }
        }
    }
    (entries.join(","), from)
}

/// Notes a proxy that cannot be reached; the variables of one proxy are named together.
fn unreachable(caveats: &mut Vec<Caveat>, name: &str, proxy: &Sourced<ProxyUrl>, why: &str) {
    let ending = format!("={}", proxy.value);
    if let Some(known) = caveats
        .iter_mut()
        .find(|caveat| caveat.what.ends_with(&ending))
    {
        let names = known.what.trim_end_matches(&ending).to_owned();
        known.what = format!("{names}, {name}{ending}");
        return;
    }
    caveats.push(Caveat {
        what: format!("{name}{ending}"),
        why: why.to_owned(),
        at: proxy.from.clone(),
    });
}
