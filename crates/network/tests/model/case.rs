//! One case: a planted machine, and everything that the model makes of it, as one text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealift_network::sink::buildkitd::{Configuration, Files};
use sealift_network::sink::{
    Caveat, NetworkView, Variable, build_args, buildkitd, client, environment,
};
use sealift_network::{Flags, Host, Network, Places, Trust};
use sealift_oci::Reference;
use sealift_transport::Endpoint;
use sealift_transport::proxy::Proxies;
use serde::Deserialize;

/// The word that stands for every password in the cases.
pub(crate) const SECRET: &str = "hunter2";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Description {
    /// What the case shows.
    #[serde(rename = "about")]
    _about: String,
    images: Vec<String>,
    environment: BTreeMap<String, String>,
    mirror: Vec<String>,
    proxy: Option<String>,
    daemon_json: Option<PathBuf>,
    build_args: BTreeMap<String, String>,
    dns: BTreeMap<String, Vec<IpAddr>>,
    /// The user has not trusted the project.
    untrusted: bool,
}

/// A case, read.
pub(crate) struct Case {
    folder: PathBuf,
    description: Description,
}

/// What came of a case.
pub(crate) struct Outcome {
    /// The text that is compared.
    pub(crate) text: String,
    /// The buildkitd.toml, where there is a model.
    pub(crate) toml: Option<String>,
    /// Everything that was shown in any form, to be searched for secrets.
    pub(crate) shown: String,
}

impl Case {
    pub(crate) fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("case.toml")).unwrap();
        let description = toml::from_str(&text).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
        Self {
            folder: folder.to_owned(),
            description,
        }
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn places(&self) -> Places {
        let mut environment = self.description.environment.clone();
        environment
            .entry("HOME".to_owned())
            .or_insert_with(|| "/home/u".to_owned());
        let project = Path::new("/project/sealift.toml");
        let trust = Trust::default().with_any(!self.description.untrusted);
        Places {
            root: self.root(),
            environment,
            working_directory: PathBuf::from("/project"),
            project_files: vec![project.to_owned()],
            trust,
            user: 0,
            flags: Flags {
                mirrors: self.description.mirror.clone(),
                proxy: self.description.proxy.clone(),
                daemon_json: self.description.daemon_json.clone(),
            },
        }
    }

    /// Reads the model and fills every sink.
    pub(crate) fn run(&self) -> Outcome {
        let (mut text, toml, mut shown) = match Network::read(&self.places()) {
            Err(error) => (format!("{error}\n"), None, format!("{error:?}")),
            Ok(network) => self.sinks(network),
        };
        let root = self.root();
        text = text.replace(root.to_str().unwrap(), "ROOT");
        shown.push_str(&text);
        Outcome { text, toml, shown }
    }

    fn sinks(&self, network: Network) -> (String, Option<String>, String) {
        let images: Vec<Reference> = self
            .description
            .images
            .iter()
            .map(|image| Reference::parse(image).unwrap())
            .collect();
        let hosts: Vec<Host> = images
            .iter()
            .filter_map(|image| Host::parse(image.registry()))
            .collect();
        let lookup = |name: &str| self.description.dns.get(name).cloned().unwrap_or_default();
        let network = network.settle(&hosts, lookup);
        let mut out = Vec::new();
        network.overview().write(&mut out).unwrap();
        let mut text = String::from_utf8(out).unwrap();
        let mut shown = serde_json::to_string_pretty(&network.overview()).unwrap();
        let _ = write!(shown, "{network:?}");
        for image in &images {
            text.push_str(&explained(&network, image, &mut shown));
            text.push_str(&routed(&network, image));
        }
        let file = buildkitd::of(&network, &Files::InPlace, NetworkView::Host);
        let _ = write!(text, "\n== buildkitd.toml\n{}", file.text);
        caveats(&mut text, &file.caveats);
        let _ = write!(shown, "{file:?}");
        text.push_str(&elsewhere(&network, &file));
        let mut before = String::new();
        for (name, view) in [
            ("host", NetworkView::Host),
            ("isolated", NetworkView::Isolated),
        ] {
            let mut part = String::new();
            let made = environment::of(&network, view);
            variables(&mut part, &made.variables);
            caveats(&mut part, &made.caveats);
            part.push_str("-- build arguments\n");
            let made = build_args::of(&network, view, &self.description.build_args);
            variables(&mut part, &made.arguments);
            caveats(&mut part, &made.caveats);
            let _ = write!(shown, "{made:?}");
            let same = part == before;
            let _ = write!(text, "\n== environment of buildkitd, {name} network\n");
            text.push_str(if same { "the same\n" } else { &part });
            before = part;
        }
        (text, Some(file.text), shown)
    }
}

fn explained(network: &Network, image: &Reference, shown: &mut String) -> String {
    let mut out = b"\n== explain\n".to_vec();
    match network.explain(image) {
        Ok(explanation) => {
            explanation.write(&mut out).unwrap();
            shown.push_str(&serde_json::to_string(&explanation).unwrap());
        }
        Err(error) => out.extend(format!("{error}\n").bytes()),
    }
    String::from_utf8(out).unwrap()
}

/// What the transport gets: the route with what each endpoint has of its own.
fn routed(network: &Network, image: &Reference) -> String {
    let mut text = String::from("\n== client\n");
    let mut settings = sealift_transport::Settings::default();
    client::apply(network, &mut settings);
    let mut hosts: Vec<_> = settings.hosts.iter().collect();
    hosts.sort_by_key(|(name, _)| *name);
    let router = client::Router::new(Arc::new(network.clone()));
    let mut before = String::new();
    for route in [router.resolving(image), router.serving(image)] {
        let mut part = String::new();
        match route {
            Ok(route) => {
                for endpoint in route.endpoints() {
                    part.push_str(&endpoint_text(endpoint, image, &settings.proxies));
                }
            }
            Err(error) => {
                let _ = writeln!(part, "{error}");
            }
        }
        if part != before {
            text.push_str(if before.is_empty() {
                ""
            } else {
                "for content:\n"
            });
            text.push_str(&part);
        }
        before = part;
    }
    for (name, host) in hosts {
        let _ = writeln!(text, "host {name}:{}", tls_text(&host.tls));
    }
    text
}

fn endpoint_text(endpoint: &Endpoint, image: &Reference, proxies: &Proxies) -> String {
    let https = endpoint.scheme() != sealift_transport::Scheme::Http;
    let port = endpoint.port().unwrap_or(if https { 443 } else { 80 });
    let (proxy, _) = proxies.choose(https, endpoint.host(), port);
    let proxy = proxy.map_or_else(|| "directly".to_owned(), |proxy| format!("by {proxy}"));
    let path = format!("{}/manifests/X", image.repository().path());
    let url = endpoint.url(&path).unwrap();
    let tls = endpoint.tls().map(tls_text).unwrap_or_default();
    let names: Vec<_> = endpoint
        .headers()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let headers = if names.is_empty() {
        String::new()
    } else {
        format!(" with {names:?}")
    };
    let kind = endpoint.key();
    let scheme = kind.split("://").next().unwrap_or_default();
    format!("{scheme} {url} {proxy}{tls}{headers}\n")
}

fn tls_text(tls: &sealift_transport::Tls) -> String {
    let mut text = String::new();
    if tls.skip_verify {
        text.push_str(" unverified");
    }
    for authority in &tls.authorities {
        let _ = write!(
            text,
            " trusting [{}]",
            String::from_utf8_lossy(authority).trim()
        );
    }
    if let Some(identity) = &tls.identity {
        let name = String::from_utf8_lossy(&identity.certificates)
            .trim()
            .to_owned();
        let _ = write!(text, " showing [{name}]");
    }
    text
}

fn variables(text: &mut String, variables: &[Variable]) {
    for variable in variables {
        let from: Vec<_> = variable.from.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "{}={}  ({})",
            variable.name,
            variable.value,
            from.join("; ")
        );
        if variable.value.to_string().contains("***") {
            assert!(
                variable.value.expose().contains(SECRET),
                "the sink gets the secret itself"
            );
        }
    }
}

fn caveats(text: &mut String, caveats: &[Caveat]) {
    for caveat in caveats {
        let _ = writeln!(text, "! {caveat}");
    }
}

/// Where files are copied to a builder's own folder, the text is the same but for their paths.
fn elsewhere(network: &Network, here: &Configuration) -> String {
    let there = Files::Folder(PathBuf::from("/etc/buildkit/certs"));
    let there = buildkitd::of(network, &there, NetworkView::Host);
    let mut text = String::new();
    for (from, to) in &there.files {
        let _ = writeln!(text, "copy {} to {}", from.display(), to.display());
    }
    assert_eq!(here.caveats, there.caveats);
    assert_eq!(here.text.lines().count(), there.text.lines().count());
    let isolated = buildkitd::of(network, &Files::InPlace, NetworkView::Isolated);
    if isolated.text != here.text {
        let _ = writeln!(
            text,
            "\n== buildkitd.toml, isolated network\n{}",
            isolated.text
        );
        caveats(&mut text, &isolated.caveats);
    }
    text
}
