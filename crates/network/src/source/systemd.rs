//! `Environment=` of docker.service and its drop-ins, where many machines set dockerd's proxies, and
//! the options of dockerd in its `ExecStart=`, where older ones set its mirrors.
//!
//! Rules of systemd.unit(5) and systemd.syntax(7): the unit file of the first folder that has it,
//! then `docker.service.d/*.conf` of all folders by file name, a name in an earlier folder hiding
//! the same name in a later one. `EnvironmentFile=` is not read, and said so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::findings::Findings;
use crate::provenance::{Place, Sourced};
use crate::reader::{Reader, no_proxy_entries};

use super::{daemon, environment};

/// The folders of system units, the first counts most.
const SYSTEM: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Returns the folders of units: those of the system, or of a rootless dockerd's user.
#[must_use]
pub fn folders(config_home: Option<&Path>, rootless: bool) -> Vec<PathBuf> {
    if rootless {
        let user = config_home.map(|folder| folder.join("systemd/user"));
        let shared = ["/etc/systemd/user", "/usr/lib/systemd/user"].map(PathBuf::from);
        user.into_iter().chain(shared).collect()
    } else {
        SYSTEM.map(PathBuf::from).to_vec()
    }
}

/// Reads docker.service and its drop-ins from these folders.
pub fn read(folders: &[PathBuf], reader: &mut Reader) -> Findings {
    let mut unit = Unit::default();
    for path in unit_files(folders, reader) {
        if let Some((path, text)) = reader.text(&path) {
            unit.apply(&path, &text, reader);
        }
    }
    let lookup = |name: &str| unit.variables.get(name).cloned();
    let mut findings = Findings {
        proxies: environment::proxies(lookup, reader),
        ..Findings::default()
    };
    if let Some(command) = &unit.command {
        options(command, &mut findings, reader);
    }
    findings
}

fn unit_files(folders: &[PathBuf], reader: &mut Reader) -> Vec<PathBuf> {
    let unit = folders.iter().map(|folder| folder.join("docker.service"));
    let unit = unit.into_iter().find(|path| reader.locate(path).exists());
    let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
    for folder in folders {
        let folder = folder.join("docker.service.d");
        for (name, path) in reader.entries(&folder) {
            if name.ends_with(".conf") {
                drop_ins.entry(name).or_insert(path);
            }
        }
    }
    unit.into_iter().chain(drop_ins.into_values()).collect()
}

type Variables = BTreeMap<String, Sourced<String>>;

/// What a unit says after all of its files.
#[derive(Default)]
struct Unit {
    variables: Variables,
    /// The command that starts dockerd.
    command: Option<Sourced<String>>,
}

impl Unit {
    fn apply(&mut self, path: &Path, text: &str, reader: &mut Reader) {
        let mut in_service = false;
        for (line, content) in logical_lines(text) {
            let section = content
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            if let Some(section) = section {
                in_service = section == "Service";
            } else if let Some((key, value)) = content.split_once('=').filter(|_| in_service) {
                self.set(key.trim(), value.trim(), Place::line(path, line), reader);
            }
        }
    }

    fn set(&mut self, key: &str, value: &str, place: Place, reader: &mut Reader) {
        match key {
            "Environment" if value.is_empty() => self.variables.clear(),
            "Environment" => assignments(value, &place, &mut self.variables, reader),
            "EnvironmentFile" if !value.is_empty() => {
                reader.ignore("EnvironmentFile", "sealift reads Environment= alone", place);
            }
            "ExecStart" if value.is_empty() => self.command = None,
            "ExecStart" => self.command = Some(Sourced::new(value.to_owned(), place)),
            _ => {}
        }
    }
}

/// Reads the options of dockerd that concern the network: `--name=value` or `--name value`.
fn options(command: &Sourced<String>, findings: &mut Findings, reader: &mut Reader) {
    let Some(words) = words(&command.value) else {
        reader.problem(command.from.clone(), "ExecStart=: a quote is not closed");
        return;
    };
    let mut words = words.into_iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            continue;
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, words.next_if(|next| !next.starts_with('-'))),
        };
        let known = [
            "registry-mirror",
            "insecure-registry",
            "dns",
            "http-proxy",
            "https-proxy",
            "no-proxy",
        ];
        let Some(value) = value.filter(|_| known.contains(&name)) else {
            continue;
        };
        let Some(value) = specifiers(&value).filter(|value| !value.contains('$')) else {
            let why = "sealift does not expand systemd's specifiers and variables";
            reader.warn(format!("--{name}"), why, command.from.clone());
            continue;
        };
        let text = Sourced::new(value, command.from.clone());
        match name {
            "registry-mirror" => daemon::add_mirror(text, reader, findings),
            "insecure-registry" => daemon::add_insecure(text, reader, findings),
            "dns" => daemon::add_name_server(text, reader, findings),
            // dockerd's own options count before its environment.
            "http-proxy" => findings.proxies.http = reader.proxy("--http-proxy", text),
            "https-proxy" => findings.proxies.https = reader.proxy("--https-proxy", text),
            _ => findings.proxies.no_proxy = no_proxy_entries(&text),
        }
    }
}

fn assignments(value: &str, place: &Place, variables: &mut Variables, reader: &mut Reader) {
    let Some(words) = words(value) else {
        reader.problem(place.clone(), "Environment=: a quote is not closed");
        return;
    };
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            reader.problem(place.clone(), "Environment=: expected NAME=VALUE");
            continue;
        };
        match specifiers(value) {
            Some(value) => {
                variables.insert(name.to_owned(), Sourced::new(value, place.clone()));
            }
            None => {
                let why = "sealift does not expand systemd's specifiers; write % as %%";
                reader.warn(name, why, place.clone());
            }
        }
    }
}

/// Joins continued lines and leaves out comments, also those within a continuation. Returns each
/// logical line with the number of its first physical line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let (body, goes_on) = match trimmed.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (trimmed, false),
        };
        let (first, joined) = match open.take() {
            Some((first, before)) => (first, format!("{before} {body}")),
            None => (number + 1, body.to_owned()),
        };
        if goes_on {
            open = Some((first, joined));
        } else {
            lines.push((first, joined));
        }
    }
    lines.extend(open);
    lines
}

/// Splits a value at white space outside quotes, takes the quotes off and resolves C escapes.
/// Nothing where a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => word.get_or_insert_default().push_str(&escape(&mut rest)),
            '"' | '\'' if quote.is_none() => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            _ if quote == Some(character) => quote = None,
            _ if quote.is_none() && character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn escape(rest: &mut std::str::Chars<'_>) -> String {
    let Some(character) = rest.next() else {
        return "\\".to_owned();
    };
    match character {
        'a' => "\u{7}".to_owned(),
        'b' => "\u{8}".to_owned(),
        'f' => "\u{c}".to_owned(),
        'n' => "\n".to_owned(),
        'r' => "\r".to_owned(),
        't' => "\t".to_owned(),
        'v' => "\u{b}".to_owned(),
        's' => " ".to_owned(),
        '\\' | '"' | '\'' => character.to_string(),
        'x' => {
            let digits: String = rest.as_str().chars().take(2).collect();
            match u8::from_str_radix(&digits, 16) {
                Ok(byte) if digits.len() == 2 => {
                    rest.nth(1);
                    char::from(byte).to_string()
                }
                _ => "\\x".to_owned(),
            }
        }
        other => format!("\\{other}"),
    }
}

/// Resolves `%%`. Nothing where a specifier stands whose value only systemd knows. A percent sign
/// before anything else stays, as in systemd: `%40` is no specifier.
fn specifiers(text: &str) -> Option<String> {
    const KNOWN: &str = "aAbBCdDEfgGhHiIjJlLmMnNopqsStTuUvVwWyYz";
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match rest.clone().next() {
            Some('%') => {
                rest.next();
                out.push('%');
            }
            Some(letter) if KNOWN.contains(letter) => return None,
            _ => out.push('%'),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_systemds() {
        for (text, expected) in [
            (r#""A=1 2" 'B=3' C=4"#, vec!["A=1 2", "B=3", "C=4"]),
            (r#"A="1 2" B="#, vec!["A=1 2", "B="]),
            (r"A=\x41\x42 B=a\\b", vec!["A=AB", r"B=a\b"]),
            (r#"  "" "#, vec![""]),
            ("A=1\tB=2", vec!["A=1", "B=2"]),
            (r#"A='it"s'"#, vec![r#"A=it"s"#]),
            (r"A=\sx", vec!["A= x"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        assert_eq!(words("\"A=1"), None);
    }

    #[test]
    fn percent_signs() {
        assert_eq!(specifiers("u:p%%40x").as_deref(), Some("u:p%40x"));
        assert_eq!(specifiers("u:p%40x").as_deref(), Some("u:p%40x"));
        assert_eq!(specifiers("%H"), None);
        assert_eq!(specifiers("100%").as_deref(), Some("100%"));
    }

    #[test]
    fn lines_go_on_over_comments() {
        let text = "[Service]\nEnvironment=A=1 \\\n# comment\n  B=2\n; x\nC=3";
        let lines = logical_lines(text);
        assert_eq!(lines[1].0, 2);
        assert_eq!(
            lines[1].1.split_whitespace().collect::<Vec<_>>(),
            ["Environment=A=1", "B=2"]
        );
        assert_eq!(lines[2], (6, "C=3".to_owned()));
    }
}
