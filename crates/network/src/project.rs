//! The project's sealift.toml: whose file it is, and whether what it says of the network counts. A
//! repository may not decide whom the user's accounts are shown to, so its `[network]` table is left
//! out until the user trusts it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sealift_config::{Entry, Files as _, Place, Reader, toml};
use sealift_oci::Digest;

use super::Places;
use super::endpoint::Scheme;
use super::findings::Findings;
use super::machine::Machine;
use super::source::sealift::{Options, read_table};
use super::trust;

/// The name of a project's file.
pub const FILE_NAME: &str = "sealift.toml";

/// The `[network]` table of a project's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The file.
    pub path: PathBuf,
    /// The digest of the table and of the files that it names.
    pub digest: Digest,
    /// What the table changes, each in a few words. No secrets.
    pub changes: Vec<String>,
}

/// Finds the table that `sealift trust` is asked about: that of the nearest file, whoever owns it.
///
/// # Errors
/// [`super::Error::Malformed`] where the file or its table cannot be understood.
pub fn table(places: &Places) -> Result<Option<Table>, super::Error> {
    let machine = Machine::new(&places.root);
    let mut reader = Reader::new(&machine);
    let candidates = places.project_files.iter();
    let mut candidates = candidates.filter_map(|path| fs::canonicalize(machine.locate(path)).ok());
    let table = candidates.find(|path| path.is_file()).and_then(|path| {
        let entry = network_of(&path, &mut reader)?;
        let digest = trust::digest(&entry, &machine);
        let (findings, options) = read_table(&entry, &mut reader);
        let changes = changes(&findings, &options);
        Some(Table {
            path,
            digest,
            changes,
        })
    });
    let problems = reader.problems;
    match problems.is_empty() {
        true => Ok(table),
        false => Err(super::Error::Malformed { problems }),
    }
}

/// Reads the nearest project file that may be read.
pub(crate) fn read(
    places: &Places,
    machine: &Machine<'_>,
    reader: &mut Reader<'_>,
) -> (Findings, Options) {
    let nothing = (Findings::default(), Options::default());
    let owners = owners(places, machine);
    for path in &places.project_files {
        let Ok(path) = fs::canonicalize(machine.locate(path)) else {
            continue;
        };
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let own = owners.contains(&metadata.uid());
        if !metadata.is_file() || (!own && !places.trust.tables().any(|(known, _)| known == path)) {
            let owner = metadata.uid();
            let why =
                format!("it belongs to user {owner}, whom a project of yours cannot come from");
            reader.warn("the file", why, Place::file(&path));
            continue;
        }
        let Some(table) = network_of(&path, reader) else {
            return nothing;
        };
        let digest = trust::digest(&table, machine);
        if places.trust.covers(&path, &digest) || (own && places.trust.any) {
            let (mut findings, options) = read_table(&table, reader);
            findings.by_project = true;
            return (findings, options);
        }
        let (findings, options) = read_table(&table, &mut Reader::new(machine));
        let changes = changes(&findings, &options).join(", ");
        let why = format!(
            "you have not trusted it. It would set {changes}. Read it, then run `sealift trust {}`; \
             in CI, give --trust-project",
            path.parent().unwrap_or(&path).display()
        );
        reader.warn("[network]", why, table.at.clone());
        return nothing;
    }
    nothing
}

fn network_of(path: &Path, reader: &mut Reader<'_>) -> Option<Entry> {
    let found = reader.text(path);
    let document = reader.parse(found, toml::parse)?;
    document.entry("network").cloned()
}

/// The users whose project files are read, as git has it: this one and root; for root also who
/// called sudo, and whom the home folder belongs to.
fn owners(places: &Places, machine: &Machine<'_>) -> BTreeSet<u32> {
    let mut owners = BTreeSet::from([0, places.user]);
    if places.user == 0 {
        let sudo = places.variable("SUDO_UID");
        owners.extend(sudo.and_then(|user| user.parse::<u32>().ok()));
        let home = places.home().map(|home| machine.locate(&home));
        let metadata = home.and_then(|home| fs::metadata(home).ok());
        owners.extend(metadata.map(|metadata| metadata.uid()));
    }
    owners
}

/// Says what a table changes.
fn changes(findings: &Findings, options: &Options) -> Vec<String> {
    let mut changes = Vec::new();
    for rule in &findings.rules {
        for mirror in &rule.mirrors {
            changes.push(format!("the mirror {} of {}", mirror.endpoint, rule.scope));
        }
    }
    for (host, rule) in &findings.hosts {
        match rule.scheme.as_ref().map(|scheme| scheme.value) {
            Some(Scheme::Http) => changes.push(format!("plain HTTP for {host}")),
            Some(Scheme::HttpsElseHttp) => changes.push(format!("insecure connections to {host}")),
            _ => {}
        }
        changes.extend(
            rule.ca
                .iter()
                .map(|ca| format!("the CA {} for {host}", ca.value)),
        );
        let client = rule.client.iter();
        changes
            .extend(client.map(|pair| format!("the certificate {} for {host}", pair.value.cert)));
    }
    let proxies = &findings.proxies;
    for proxy in [&proxies.http, &proxies.https, &proxies.all]
        .into_iter()
        .flatten()
    {
        changes.push(format!("the proxy {}", proxy.value));
    }
    let no_proxy = &proxies.no_proxy;
    changes.extend(
        no_proxy
            .iter()
            .map(|entry| format!("no proxy for {}", entry.value)),
    );
    changes.extend(findings.direct.iter().map(|_| "no proxy at all".to_owned()));
    changes.extend(
        findings
            .dns
            .iter()
            .map(|server| format!("the name server {}", server.value)),
    );
    let daemon_json = options.daemon_json.as_ref();
    changes.extend(daemon_json.map(|file| format!("all that {} says", file.value.display())));
    let said = [
        ("sources", options.sources.is_some()),
        ("build-proxy", options.build_proxy.is_some()),
        ("direct-mirrors", options.direct_mirrors.is_some()),
    ];
    changes.extend(
        said.into_iter()
            .filter(|(_, said)| *said)
            .map(|(key, _)| key.to_owned()),
    );
    changes
}
