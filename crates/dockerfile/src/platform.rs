//! Platforms as containerd writes and normalises them: `os[(version+feature)]/architecture[/variant]`.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Cause, Result};

/// A platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) version: String,
    features: BTreeSet<String>,
    pub(crate) architecture: String,
    pub(crate) variant: String,
}

const SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "ppc64",
    "ppc64le",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// The architecture of a machine that nothing is said of.
const DEFAULT_ARCHITECTURE: &str = "amd64";

impl Platform {
    /// Reads a platform. What a short form leaves out is taken from the machine that builds.
    pub(crate) fn parse(text: &str, host: Option<&Platform>) -> Result<Self> {
        read(text, host).map_err(|reason| {
            Cause::Platform {
                text: text.to_owned(),
                written: text.to_owned(),
                reason,
            }
            .into()
        })
    }

    /// Returns the canonical form: `arm64` for `aarch64`, no variant where it goes without saying.
    pub(crate) fn normalized(&self) -> Self {
        let (architecture, variant) = architecture(&self.architecture, &self.variant);
        Self {
            architecture,
            variant,
            ..self.clone()
        }
    }

    /// Returns the form without the version and the features of the operating system.
    pub(crate) fn short(&self) -> String {
        joined(&self.os, &self.architecture, &self.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features: Vec<String> = self.features.iter().map(|text| encode(text)).collect();
        let mut os = self.os.clone();
        if !self.version.is_empty() || !features.is_empty() {
            let plus = if features.is_empty() { "" } else { "+" };
            let version = encode(&self.version);
            os = format!("{os}({version}{plus}{})", features.join("+"));
        }
        f.write_str(&joined(&os, &self.architecture, &self.variant))
    }
}

fn joined(os: &str, architecture: &str, variant: &str) -> String {
    let parts = [os, architecture, variant];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

fn read(text: &str, host: Option<&Platform>) -> std::result::Result<Platform, &'static str> {
    if text.contains('*') {
        return Err("wildcards cannot be used");
    }
    let mut parts = text.split('/');
    let (os, options) = system(parts.next().unwrap_or_default())?;
    let (version, features) = options.unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let valid = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    if !rest.iter().take(3).all(valid) {
        return Err("its parts have letters, digits, - _ and . only");
    }
    let platform = |(architecture, variant): (String, String)| Platform {
        os: os.clone(),
        version,
        features,
        architecture,
        variant,
    };
    match rest.as_slice() {
        [] if SYSTEMS.contains(&os.as_str()) => {
            let architecture = host.map_or(DEFAULT_ARCHITECTURE, |host| &host.architecture);
            let variant = host.map_or("", |host| host.variant.as_str());
            Ok(platform(without_v7((
                architecture.to_owned(),
                variant.to_owned(),
            ))))
        }
        [] => {
            let parts = without_v7(architecture(text, ""));
            if !ARCHITECTURES.contains(&parts.0.as_str()) {
                return Err("it is neither a known operating system nor a known architecture");
            }
            let os = host.map_or("linux", |host| &host.os).to_owned();
            Ok(Platform {
                os,
                ..platform(parts)
            })
        }
        [arch] => Ok(platform(without_v7(architecture(arch, "")))),
        [arch, variant] => {
            let (architecture, mut variant) = architecture(arch, variant);
            if architecture == "arm64" && variant.is_empty() {
                variant.push_str("v8");
            }
            Ok(platform((architecture, variant)))
        }
        _ => Err("it has more than three parts"),
    }
}

type Options = (String, BTreeSet<String>);

/// Reads `os`, `os(version)` or `os(version+feature+feature)`.
fn system(text: &str) -> std::result::Result<(String, Option<Options>), &'static str> {
    const WRONG: &str = "the operating system has letters, digits, - and _ only";
    let (name, options) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or(WRONG)?)),
        None => (text, None),
    };
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(valid) {
        return Err(WRONG);
    }
    let os = match name.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        os => os.to_owned(),
    };
    let Some(options) = options else {
        return Ok((os, None));
    };
    if !options
        .bytes()
        .all(|byte| valid(byte) || matches!(byte, b'.' | b'%' | b'+'))
    {
        return Err(WRONG);
    }
    let mut parts = options.split('+');
    let version = decode(parts.next().unwrap_or_default()).ok_or(WRONG)?;
    let mut features = BTreeSet::new();
    for part in parts {
        if part.is_empty() {
            return Err("a feature of the operating system is empty");
        }
        features.insert(decode(part).ok_or(WRONG)?);
    }
    features.remove("");
    Ok((os, Some((version, features))))
}

fn without_v7(parts: (String, String)) -> (String, String) {
    match (parts.0.as_str(), parts.1.as_str()) {
        ("arm", "v7") => (parts.0, String::new()),
        _ => parts,
    }
}

/// Returns the canonical names of an architecture and its variant.
fn architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        (architecture, variant) => (architecture, variant),
    };
    (architecture.to_owned(), variant.to_owned())
}

const ENCODED: [(char, &str); 5] = [
    ('%', "%25"),
    ('+', "%2B"),
    ('(', "%28"),
    (')', "%29"),
    ('/', "%2F"),
];

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match ENCODED.into_iter().find(|(plain, _)| *plain == c) {
            Some((_, code)) => out.push_str(code),
            None => out.push(c),
        }
    }
    out
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let code = behind.get(..2)?;
        let valid = code.bytes().all(|byte| byte.is_ascii_hexdigit());
        bytes.push(valid.then(|| u8::from_str_radix(code, 16).ok())??);
        rest = &behind[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::Platform;

    fn forms(text: &str) -> Option<(String, String)> {
        let host = Platform::parse("linux/arm64", None).unwrap();
        let platform = Platform::parse(text, Some(&host)).ok()?;
        Some((platform.to_string(), platform.normalized().to_string()))
    }

    #[test]
    fn reads_and_normalizes_as_containerd_does() {
        for (text, plain, normal) in [
            ("linux/amd64", "linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm", "linux/arm/v7"),
            ("linux/arm/v7", "linux/arm/v7", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6", "linux/arm/v6"),
            ("armhf", "linux/arm", "linux/arm/v7"),
            ("linux", "linux/arm64", "linux/arm64"),
            ("amd64", "linux/amd64", "linux/amd64"),
            ("macos/arm64", "darwin/arm64", "darwin/arm64"),
            ("linux/i386", "linux/386", "linux/386"),
            ("wasi/wasm", "wasi/wasm", "wasi/wasm"),
            (
                "windows(10.0.17763+win32k)/amd64",
                "windows(10.0.17763+win32k)/amd64",
                "windows(10.0.17763+win32k)/amd64",
            ),
        ] {
            let expected = Some((plain.to_owned(), normal.to_owned()));
            assert_eq!(forms(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in [
            "",
            "linux/",
            "linux/*",
            "solaris64",
            "linux/amd64/v2/x",
            "li nux/amd64",
            "/amd64",
            "linux(/amd64",
            "linux(a/b)/amd64",
            "linux(1+)/amd64",
            "linux/amd 64",
        ] {
            assert_eq!(forms(bad), None, "{bad}");
        }
    }
}
