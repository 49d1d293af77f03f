//! The model as people and machines read it: for each registry its endpoints in order, each with
//! its transport security, account and proxy, and everything with its place.

use std::io::{self, Write};

use sealift_registry::credentials::{Candidate, Holder};
use serde::Serialize;

use sealift_config::{Place, Sourced};

use super::Network;
use super::endpoint::{Endpoint, KeyPair, Scheme, Scope, Serves};
use super::findings::{Account, Keeping};
use super::host::{HUB, Host};
use super::pem::Pem;
use super::proxy::Proxies;

/// The model with everything worked out.
#[derive(Debug, Serialize)]
pub struct Overview<'a> {
    registries: Vec<Registry>,
    hosts: Vec<HostView>,
    #[serde(flatten)]
    model: &'a Network,
}

#[derive(Debug, Serialize)]
struct Registry {
    scope: String,
    blocked: Option<Place>,
    endpoints: Vec<View>,
}

/// One endpoint with all that decides a request to it.
#[derive(Debug, Serialize)]
pub struct View {
    /// Its URL, without the API's path where that is the usual one.
    pub url: String,
    /// Whether it is the registry itself.
    pub origin: bool,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// What it may be asked for.
    pub serves: Serves,
    /// Its transport security.
    pub tls: TlsView,
    /// Names of headers that are added.
    pub headers: Vec<String>,
    /// The account that would be used.
    pub account: Option<String>,
    /// The proxy that would be used, masked.
    pub proxy: Option<String>,
    /// Why that proxy, or none.
    pub proxy_reason: String,
    /// Where the endpoint was found.
    pub from: Place,
}

/// Transport security of a host.
#[derive(Debug, Serialize)]
pub struct TlsView {
    /// Whether certificates are checked.
    pub verify: bool,
    /// Authorities besides the system's.
    pub ca: Vec<Sourced<Pem>>,
    /// Client certificates.
    pub client: Vec<Sourced<KeyPair>>,
}

#[derive(Debug, Serialize)]
struct HostView {
    host: Host,
    scheme: Scheme,
    tls: TlsView,
    from: Vec<Place>,
}

impl Network {
    /// Works everything out for display.
    #[must_use]
    pub fn overview(&self) -> Overview<'_> {
        let mut registries: Vec<_> = self
            .registries
            .iter()
            .map(|registry| Registry {
                scope: registry.scope.to_string(),
                blocked: registry.blocked.clone(),
                endpoints: registry
                    .mirrors
                    .iter()
                    .map(|mirror| (mirror, false))
                    .chain(registry.origin.iter().map(|origin| (origin, true)))
                    .map(|(endpoint, origin)| {
                        self.view(endpoint, origin, endpoint.host.as_str(), "")
                    })
                    .collect(),
            })
            .collect();
        if let Some(hub) = Host::parse(HUB)
            && !self
                .registries
                .iter()
                .any(|r| r.scope == Scope::Host(hub.clone()))
        {
            let origin = self.default_origin(&hub);
            let endpoints = vec![self.view(&origin, true, origin.host.as_str(), "")];
            registries.push(Registry {
                scope: HUB.to_owned(),
                blocked: None,
                endpoints,
            });
        }
        let hosts = self.hosts.iter().map(|(host, rule)| HostView {
            host: host.clone(),
            scheme: self.scheme(host),
            tls: self.tls_view(host),
            from: rule.places(),
        });
        Overview {
            registries,
            hosts: hosts.collect(),
            model: self,
        }
    }

    /// Works out one endpoint, which is contacted as `authority`; `repository` is its name there, for
    /// accounts that depend on it.
    pub(crate) fn view(
        &self,
        endpoint: &Endpoint,
        origin: bool,
        authority: &str,
        repository: &str,
    ) -> View {
        let account = self.account(authority, repository).map(candidate);
        let withheld = self.withheld.iter().any(|host| host.value == endpoint.host);
        let (proxy, proxy_reason) = self.proxy_for(endpoint);
        View {
            url: endpoint.to_string(),
            origin,
            scheme: endpoint.scheme,
            serves: endpoint.serves,
            tls: self.tls_view(&endpoint.host),
            headers: endpoint
                .headers
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            account: account.filter(|_| !withheld),
            proxy: proxy.map(|proxy| proxy.value.to_string()),
            proxy_reason,
            from: endpoint.from.clone(),
        }
    }

    fn tls_view(&self, host: &Host) -> TlsView {
        let rule = self.host_rule(host);
        let verify = rule.verify.is_none_or(|verify| verify.value);
        TlsView {
            verify,
            ca: rule.ca,
            client: rule.client,
        }
    }
}

/// Names an account, never its secret.
fn describe(account: &Account) -> String {
    let how = match &account.keeping {
        Keeping::Helper(helper) => format!("from docker-credential-{helper}"),
        Keeping::Stored | Keeping::Empty => "stored".to_owned(),
    };
    let name = account.name.as_deref().unwrap_or("(name unknown)");
    format!("{name}, {how} ({})", account.from)
}

/// Names the place of the account that is asked for first.
fn candidate(candidate: Candidate<'_>) -> String {
    let place = candidate.place;
    match candidate.holder {
        Holder::Helper(helper) => format!("an account of docker-credential-{helper} ({place})"),
        Holder::Entry(credential) => format!("{}, stored ({place})", credential.account()),
    }
}

impl TlsView {
    fn describe(&self, scheme: Scheme) -> String {
        let mut parts = vec![match scheme {
            Scheme::Http => return "plain HTTP".to_owned(),
            Scheme::HttpsElseHttp => "TLS, else plain HTTP".to_owned(),
            Scheme::Https => "TLS".to_owned(),
        }];
        if !self.verify {
            parts.push("certificates not checked".to_owned());
        }
        parts.extend(self.ca.iter().map(|ca| format!("CA {}", ca.value)));
        let client = self.client.iter();
        parts.extend(client.map(|pair| format!("shows {}", pair.value.cert)));
        parts.join(", ")
    }
}

impl View {
    /// Says what the endpoint is and where it was found.
    #[must_use]
    pub fn role(&self) -> String {
        match (self.origin, &self.from) {
            (true, Place::Rule(_)) => "the registry itself".to_owned(),
            (true, from) => format!("the registry itself, {from}"),
            (false, from) => format!("mirror, {from}"),
        }
    }

    /// Describes the transport security in one line.
    #[must_use]
    pub fn security(&self) -> String {
        self.tls.describe(self.scheme)
    }

    /// Describes the proxy in one line.
    #[must_use]
    pub fn way(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("through {proxy}: {}", self.proxy_reason),
            None => format!("directly: {}", self.proxy_reason),
        }
    }
}

impl Overview<'_> {
    /// Writes the table that people read.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for registry in &self.registries {
            writeln!(out, "{}", registry.scope)?;
            if let Some(place) = &registry.blocked {
                writeln!(out, "  blocked by {place}")?;
            }
            for (number, view) in registry.endpoints.iter().enumerate() {
                write_endpoint(out, number + 1, view)?;
            }
        }
        if !self.hosts.is_empty() {
            writeln!(out, "\nHosts")?;
            for view in &self.hosts {
                let places: Vec<_> = view.from.iter().map(ToString::to_string).collect();
                let security = view.tls.describe(view.scheme);
                writeln!(out, "  {}  {security}  ({})", view.host, places.join("; "))?;
            }
        }
        if !self.model.insecure.is_empty() {
            writeln!(out, "\nInsecure networks")?;
            for block in &self.model.insecure {
                writeln!(out, "  {}  ({})", block.value, block.from)?;
            }
        }
        write_proxies(
            out,
            "Proxies for sealift and buildkitd",
            &self.model.proxies,
            &self.model.direct,
        )?;
        let off = self
            .model
            .build_proxy
            .as_ref()
            .filter(|wanted| !wanted.value);
        match off {
            Some(off) => writeln!(out, "\nProxies for build steps\n  none ({})", off.from)?,
            None => write_proxies(
                out,
                "Proxies for build steps",
                &self.model.step_proxies,
                &self.model.direct,
            )?,
        }
        self.write_rest(out)
    }

    fn write_rest(&self, out: &mut impl Write) -> io::Result<()> {
        if !self.model.dns.is_empty() {
            writeln!(out, "\nName servers")?;
            for server in &self.model.dns {
                writeln!(out, "  {}  ({})", server.value, server.from)?;
            }
        }
        if !self.model.accounts.is_empty() {
            writeln!(out, "\nAccounts")?;
            for account in &self.model.accounts {
                writeln!(out, "  {}  {}", account.key, describe(account))?;
            }
        }
        if !self.model.withheld.is_empty() {
            writeln!(
                out,
                "\nNot shown stored accounts, on a project's word alone"
            )?;
            for host in &self.model.withheld {
                writeln!(out, "  {}  ({})", host.value, host.from)?;
            }
        }
        if let Some(host) = &self.model.docker_host {
            writeln!(out, "\nDocker's daemon\n  {}  ({})", host.value, host.from)?;
        }
        if !self.model.conflicts.is_empty() {
            writeln!(out, "\nConflicts")?;
            for conflict in &self.model.conflicts {
                writeln!(out, "  {conflict}")?;
            }
        }
        if !self.model.ignored.is_empty() {
            writeln!(out, "\nNot used")?;
            for ignored in &self.model.ignored {
                writeln!(out, "  {ignored}")?;
            }
        }
        writeln!(out, "\nFiles read")?;
        if self.model.files.is_empty() {
            writeln!(out, "  none")?;
        }
        for file in &self.model.files {
            writeln!(out, "  {}", file.display())?;
        }
        Ok(())
    }
}

fn write_endpoint(out: &mut impl Write, number: usize, view: &View) -> io::Result<()> {
    writeln!(out, "  {number}. {}  {}", view.url, view.role())?;
    let serves = match (view.serves.tags, view.serves.digests) {
        (true, false) => Some("asked for tags alone"),
        (false, true) => Some("asked for digests alone"),
        _ => None,
    };
    if let Some(text) = serves {
        writeln!(out, "     {text}")?;
    }
    writeln!(out, "     {}", view.security())?;
    writeln!(out, "     {}", view.way())?;
    if let Some(account) = &view.account {
        writeln!(out, "     as {account}")?;
    }
    if !view.headers.is_empty() {
        writeln!(out, "     with headers {}", view.headers.join(", "))?;
    }
    Ok(())
}

fn write_proxies(
    out: &mut impl Write,
    title: &str,
    proxies: &Proxies,
    direct: &[Sourced<String>],
) -> io::Result<()> {
    writeln!(out, "\n{title}")?;
    for off in &proxies.off {
        writeln!(out, "  no {}  ({})", off.value, off.from)?;
    }
    if proxies.is_empty() {
        return writeln!(out, "  none");
    }
    let named = [
        ("http", &proxies.http),
        ("https", &proxies.https),
        ("ftp", &proxies.ftp),
        ("all others", &proxies.all),
    ];
    for (name, proxy) in named {
        if let Some(proxy) = proxy {
            writeln!(out, "  {name}  {}  ({})", proxy.value, proxy.from)?;
        }
    }
    for entry in &proxies.no_proxy {
        writeln!(out, "  not for {}  ({})", entry.value, entry.from)?;
    }
    for entry in direct {
        writeln!(
            out,
            "  not for {}  (a mirror that is reached directly, {})",
            entry.value, entry.from
        )?;
    }
    Ok(())
}
