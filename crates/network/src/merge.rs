//! Merges what the sources said into one model: the first source in the order of precedence wins
//! for a single value, lists are joined.

use std::collections::BTreeMap;

use sealift_transport::proxy::NoProxy;

use ipnet::IpNet;
use sealift_config::{Conflict, Ignored, Place, Sourced};

use super::endpoint::{Endpoint, HostRule, Scheme, Scope, Serves};
use super::findings::{Candidate, Findings, Rule};
use super::host::{HUB, HUB_SERVER, Host};
use super::proxy::{Proxies, ProxyUrl};
use super::source::sealift::DirectMirrors;
use super::weakness;
use super::{Gathered, Network, Registry};

/// Makes the model.
pub(super) fn merge(gathered: Gathered) -> Network {
    let mut merger = Merger {
        ignored: gathered.ignored.clone(),
        conflicts: gathered.conflicts.clone(),
    };
    let findings = &gathered.findings;
    let hosts = merger.hosts(findings);
    let insecure: Vec<_> = findings
        .iter()
        .flat_map(|f| f.insecure.iter().cloned())
        .collect();
    let known = Known {
        hosts: &hosts,
        insecure: &insecure,
    };
    let registries = merger.registries(findings, &known);
    let proxies = merger.proxies(findings);
    let step_proxies = step_proxies(findings, &proxies);
    let direct = gathered.options.direct_mirrors.as_ref();
    let direct = direct_mirrors(&registries, &proxies, direct);
    Network {
        registries,
        proxies,
        direct,
        step_proxies,
        build_proxy: gathered.options.build_proxy.clone(),
        dns: first_list(findings, |f| &f.dns),
        accounts: findings
            .iter()
            .flat_map(|f| f.accounts.iter().cloned())
            .collect(),
        account_files: findings
            .iter()
            .flat_map(|f| f.account_files.iter().cloned())
            .collect(),
        withheld: weakness::by_project(findings),
        docker_host: findings.iter().find_map(|f| f.docker_host.clone()),
        ignored: merger.ignored,
        conflicts: merger.conflicts,
        files: gathered.files.clone(),
        hosts,
        insecure,
        gathered,
    }
}

/// What is known of hosts when endpoints are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) hosts: &'a BTreeMap<Host, HostRule>,
    pub(super) insecure: &'a [Sourced<IpNet>],
}

impl Known<'_> {
    /// Returns all that is configured for a host: under its own name, with or without the port of
    /// HTTPS, and for Docker Hub's server under Docker Hub's name.
    pub(super) fn rule(&self, host: &Host) -> HostRule {
        let mut names = vec![host.clone()];
        names.extend(host.https_twin());
        if host.as_str() == HUB_SERVER {
            names.extend(Host::parse(HUB));
        } else if host.as_str() == HUB {
            names.extend(Host::parse(HUB_SERVER));
        }
        let mut rule = HostRule::default();
        for found in names.iter().filter_map(|name| self.hosts.get(name)) {
            rule.scheme = rule.scheme.or_else(|| found.scheme.clone());
            rule.verify = rule.verify.or_else(|| found.verify.clone());
            extend(&mut rule.ca, &found.ca);
            extend(&mut rule.client, &found.client);
        }
        if let Some(block) = self.block(host) {
            let place = block.from.clone();
            rule.verify
                .get_or_insert(Sourced::new(false, place.clone()));
            rule.scheme
                .get_or_insert(Sourced::new(Scheme::HttpsElseHttp, place));
        }
        rule
    }

    fn block(&self, host: &Host) -> Option<&Sourced<IpNet>> {
        let address = host.address()?;
        self.insecure
            .iter()
            .find(|block| block.value.contains(&address))
    }

    /// Returns how a host is spoken to where its URL does not say: as configured, else plain HTTP
    /// for loopback without TLS files, else HTTPS.
    pub(super) fn scheme(&self, host: &Host) -> Scheme {
        let rule = self.rule(host);
        match &rule.scheme {
            Some(scheme) => scheme.value,
            None if host.is_loopback() && !rule.wants_tls() => Scheme::Http,
            None => Scheme::Https,
        }
    }

    fn endpoint(&self, candidate: &Candidate) -> Endpoint {
        let mut endpoint = candidate.endpoint.clone();
        endpoint.host = endpoint.host.server();
        if !candidate.explicit {
            endpoint.scheme = self.scheme(&endpoint.host);
        }
        endpoint
    }

    /// Makes the endpoint of a registry that is asked under its own name.
    pub(super) fn origin(&self, host: &Host) -> Endpoint {
        let server = host.server();
        let scheme = self.scheme(&server);
        let from = Place::Rule("the registry itself".to_owned());
        Endpoint {
            serves: Serves::ALL,
            ..Endpoint::new(server, scheme, from)
        }
    }
}

fn extend<T: Clone + PartialEq>(list: &mut Vec<Sourced<T>>, more: &[Sourced<T>]) {
    for item in more {
        if !list.iter().any(|known| known.value == item.value) {
            list.push(item.clone());
        }
    }
}

#[derive(Default)]
struct Merger {
    ignored: Vec<Ignored>,
    conflicts: Vec<Conflict>,
}

impl Merger {
    /// Takes the first value; another one of lower precedence is a conflict.
    fn first<T, S>(
        &mut self,
        what: &str,
        used: &mut Option<Sourced<T>>,
        next: &Option<Sourced<T>>,
        show: S,
    ) where
        T: Clone + PartialEq,
        S: Fn(&T) -> String,
    {
        match (used.as_ref(), next) {
            (Some(used), Some(next)) if used.value != next.value => {
                self.conflicts.push(Conflict {
                    what: what.to_owned(),
                    used: show(&used.value),
                    from: used.from.clone(),
                    unused: show(&next.value),
                    unused_from: next.from.clone(),
                });
            }
            (None, Some(next)) => *used = Some(next.clone()),
            _ => {}
        }
    }

    fn hosts(&mut self, findings: &[Findings]) -> BTreeMap<Host, HostRule> {
        let mut hosts: BTreeMap<Host, HostRule> = BTreeMap::new();
        for (host, found) in findings.iter().flat_map(|findings| &findings.hosts) {
            let rule = hosts.entry(host.clone()).or_default();
            let what = format!("the scheme of {host}");
            self.first(&what, &mut rule.scheme, &found.scheme, ToString::to_string);
            let what = format!("certificate checks of {host}");
            let show = |verify: &bool| if *verify { "on" } else { "off" }.to_owned();
            self.first(&what, &mut rule.verify, &found.verify, show);
            extend(&mut rule.ca, &found.ca);
            extend(&mut rule.client, &found.client);
        }
        hosts
    }

    fn registries(&mut self, findings: &[Findings], known: &Known<'_>) -> Vec<Registry> {
        let mut scopes: Vec<&Scope> = Vec::new();
        for rule in findings.iter().flat_map(|findings| &findings.rules) {
            if !scopes.contains(&&rule.scope) {
                scopes.push(&rule.scope);
            }
        }
        scopes
            .into_iter()
            .map(|scope| self.registry(scope, findings, known))
            .collect()
    }

    fn registry(&mut self, scope: &Scope, findings: &[Findings], known: &Known<'_>) -> Registry {
        let mut mirrors: Vec<Endpoint> = Vec::new();
        let mut origin: Option<Endpoint> = None;
        let mut blocked = None;
        for rule in findings
            .iter()
            .filter_map(|findings| best(&findings.rules, scope))
        {
            for candidate in &rule.mirrors {
                let mirror = known.endpoint(candidate);
                if let Some(same) = mirrors.iter().find(|known| known.same_place(&mirror)) {
                    let what = format!("the mirror {mirror} of {scope}");
                    self.repeated(what, &same.from, &mirror.from);
                } else {
                    mirrors.push(mirror);
                }
            }
            if let Some(candidate) = &rule.origin {
                let next = known.endpoint(candidate);
                match &origin {
                    None => origin = Some(next),
                    Some(first) if first.same_place(&next) => {}
                    Some(first) => self.conflicts.push(Conflict {
                        what: format!("the server of {scope}"),
                        used: first.to_string(),
                        from: first.from.clone(),
                        unused: next.to_string(),
                        unused_from: next.from.clone(),
                    }),
                }
            }
            blocked = blocked.or_else(|| rule.blocked.clone());
        }
        let origin = origin.or_else(|| scope.host().map(|host| known.origin(host)));
        // A list of endpoints that has the registry itself keeps it in its place at the end.
        mirrors.retain(|mirror| {
            !origin
                .as_ref()
                .is_some_and(|origin| origin.same_place(mirror))
        });
        Registry {
            scope: scope.clone(),
            mirrors,
            origin,
            blocked,
        }
    }

    fn repeated(&mut self, what: String, first: &Place, again: &Place) {
        let why = format!("{first} has it already");
        self.ignored.push(Ignored {
            what,
            why,
            at: again.clone(),
            warning: false,
        });
    }

    fn proxies(&mut self, findings: &[Findings]) -> Proxies {
        let mut merged = Proxies::default();
        for findings in findings {
            self.add_proxies(&mut merged, &findings.proxies);
            if findings.direct.is_some() {
                return merged;
            }
        }
        // What Docker hands to containers is better than nothing for those who dial.
        for findings in findings {
            Self::default().add_proxies(&mut merged, &findings.step_proxies);
        }
        merged
    }

    fn add_proxies(&mut self, merged: &mut Proxies, next: &Proxies) {
        let off = merged.off.clone();
        let is_off = |name: &str| off.iter().any(|off| off.value == name);
        let all = |name: &str| next.all.clone().filter(|_| !next.is_off(name));
        let mut add = |name: &str, used: &mut Option<_>, next: Option<_>| {
            if !is_off(name) {
                self.first(name, used, &next, ProxyUrl::to_string);
            }
        };
        let http = next.http.clone().or_else(|| all("HTTP_PROXY"));
        add("HTTP_PROXY", &mut merged.http, http);
        let https = next.https.clone().or_else(|| all("HTTPS_PROXY"));
        add("HTTPS_PROXY", &mut merged.https, https);
        add("FTP_PROXY", &mut merged.ftp, next.ftp.clone());
        add("ALL_PROXY", &mut merged.all, next.all.clone());
        let text = |proxies: &Proxies| {
            let first = proxies.no_proxy.first()?;
            Some(Sourced::new(proxies.no_proxy_text(), first.from.clone()))
        };
        if !is_off("NO_PROXY") {
            let mut used = text(merged);
            self.first("NO_PROXY", &mut used, &text(next), Clone::clone);
            if merged.no_proxy.is_empty() {
                merged.no_proxy.clone_from(&next.no_proxy);
            }
        }
        merged
            .off
            .extend(next.off.iter().filter(|off| !is_off(&off.value)).cloned());
    }
}

/// Returns the rule of one source that fits a scope best.
fn best<'a>(rules: &'a [Rule], scope: &Scope) -> Option<&'a Rule> {
    let fit = |rule: &Rule| match scope {
        Scope::Host(host) => rule.scope.fit(host, ""),
        Scope::Path(host, path) => rule.scope.fit(host, path),
        Scope::Domain(_) | Scope::Any => (rule.scope == *scope)
            .then_some(1)
            .or_else(|| (rule.scope == Scope::Any).then_some(0)),
    };
    rules
        .iter()
        .filter_map(|rule| Some((fit(rule)?, rule)))
        .max_by_key(|(fit, _)| *fit)
        .map(|(_, rule)| rule)
}

/// Build steps get what Docker would give them, then what those who dial use.
fn step_proxies(findings: &[Findings], dial: &Proxies) -> Proxies {
    let mut quiet = Merger::default();
    let mut merged = Proxies::default();
    for findings in findings {
        quiet.add_proxies(&mut merged, &findings.step_proxies);
    }
    let own = !merged.no_proxy.is_empty() || !merged.is_empty();
    if !own || findings.iter().any(|findings| findings.direct.is_some()) {
        return dial.clone();
    }
    quiet.add_proxies(&mut merged, dial);
    merged
}

fn first_list<T: Clone>(findings: &[Findings], list: impl Fn(&Findings) -> &Vec<T>) -> Vec<T> {
    findings
        .iter()
        .map(list)
        .find(|list| !list.is_empty())
        .cloned()
        .unwrap_or_default()
}

/// Names the mirrors that are reached directly although there is a proxy.
fn direct_mirrors(
    registries: &[Registry],
    proxies: &Proxies,
    choice: Option<&Sourced<DirectMirrors>>,
) -> Vec<Sourced<String>> {
    let mut direct: Vec<Sourced<String>> = Vec::new();
    let chosen = choice.map_or(DirectMirrors::Private, |choice| choice.value);
    if proxies.is_empty() {
        return direct;
    }
    let exempt = NoProxy::parse(&proxies.no_proxy_text());
    for mirror in registries.iter().flat_map(|registry| &registry.mirrors) {
        let host = &mirror.host;
        let wanted = match chosen {
            DirectMirrors::All => true,
            DirectMirrors::Private => host.is_private(),
            DirectMirrors::None => false,
        };
        let port = host.port().unwrap_or(if mirror.scheme == Scheme::Http {
            80
        } else {
            443
        });
        let known = direct.iter().any(|entry| entry.value == host.name());
        if wanted && !known && exempt.exempts(host.name(), port).is_none() {
            direct.push(Sourced::new(host.name().to_owned(), mirror.from.clone()));
        }
    }
    direct
}
