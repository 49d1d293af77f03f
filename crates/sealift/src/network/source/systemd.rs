//! `Environment=` of docker.service and its drop-ins, where many machines set dockerd's proxies.
//!
//! Rules of systemd.unit(5) and systemd.syntax(7): the unit file of the first folder that has it,
//! then `docker.service.d/*.conf` of all folders by file name, a name in an earlier folder hiding
//! the same name in a later one. `EnvironmentFile=` is not read, and said so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::network::findings::Findings;
use crate::network::provenance::{Place, Sourced};
use crate::network::reader::Reader;

use super::environment;

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
    let mut variables = BTreeMap::new();
    for path in unit_files(folders, reader) {
        if let Some((path, text)) = reader.text(&path) {
            apply(&path, &text, &mut variables, reader);
        }
    }
    let lookup = |name: &str| variables.get(name).cloned();
    Findings {
        proxies: environment::proxies(lookup, reader),
        ..Findings::default()
    }
}

fn unit_files(folders: &[PathBuf], reader: &mut Reader) -> Vec<PathBuf> {
    let unit = folders.iter().map(|folder| folder.join("docker.service"));
    let unit = unit.into_iter().find(|path| reader.locate(path).exists());
    let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
    for folder in folders {
        let folder = folder.join("docker.service.d");
        for path in reader.folder(&folder) {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            if let Some(name) = name.filter(|name| name.ends_with(".conf")) {
                let path = folder.join(&name);
                drop_ins.entry(name).or_insert(path);
            }
        }
    }
    unit.into_iter().chain(drop_ins.into_values()).collect()
}

type Variables = BTreeMap<String, Sourced<String>>;

fn apply(path: &Path, text: &str, variables: &mut Variables, reader: &mut Reader) {
    let mut in_service = false;
    for (line, content) in logical_lines(text) {
        if let Some(section) = content
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            in_service = section == "Service";
            continue;
        }
        let Some((key, value)) = content.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let place = Place::line(path, line);
        match key {
            "Environment" if in_service && value.is_empty() => variables.clear(),
            "Environment" if in_service => assignments(value, &place, variables, reader),
            "EnvironmentFile" if in_service && !value.is_empty() => {
                reader.ignore("EnvironmentFile", "sealift reads Environment= alone", place);
            }
            _ => {}
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
