//! Platforms as text: `os[(version+feature…)]/architecture[/variant]`, containerd's form.

use super::Platform;

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

/// What versions and features cannot hold as they are, and how it is written; `%` first.
const ESCAPED: [(char, &str); 5] = [
    ('%', "%25"),
    ('+', "%2B"),
    ('(', "%28"),
    (')', "%29"),
    ('/', "%2F"),
];

/// Reads a platform as it was written; the reason where it is none. What a short form leaves out is
/// the host's. A variant that goes without saying is told only where it was said.
pub(super) fn read(text: &str, host: &Platform) -> Result<Platform, &'static str> {
    if text.contains('*') {
        return Err("wildcards cannot be used");
    }
    let mut parts = text.split('/');
    let system = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    if rest.iter().any(|part| part.is_empty()) {
        return Err("an empty part; the form is os/architecture[/variant]");
    }
    if !rest.iter().all(|part| part.bytes().all(is_plain)) {
        return Err("a character that platforms do not have");
    }
    let platform = self::system(system)?;
    let platform = match rest[..] {
        [] => alone(system, platform, host)?,
        [architecture] => Platform {
            architecture: architecture.to_owned(),
            ..platform
        },
        [architecture, variant] => Platform {
            architecture: architecture.to_owned(),
            variant: Some(variant.to_owned()),
            ..platform
        },
        _ => return Err("more than three parts; the form is os/architecture[/variant]"),
    };
    let platform = platform.normalized();
    let variant = match (platform.architecture.as_str(), rest.len()) {
        ("arm", 0 | 1) => platform.variant.filter(|variant| variant != "v7"),
        ("arm64", 2) => platform.variant.or(Some("v8".to_owned())),
        _ => platform.variant,
    };
    Ok(Platform {
        variant,
        ..platform
    })
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// Completes what is one part alone.
fn alone(text: &str, platform: Platform, host: &Platform) -> Result<Platform, &'static str> {
    let system = platform.clone().normalized();
    if SYSTEMS.contains(&system.os.as_str()) {
        return Ok(Platform {
            architecture: host.architecture.clone(),
            variant: host.variant.clone(),
            ..platform
        });
    }
    let found = Platform {
        os: host.os.clone(),
        architecture: text.to_owned(),
        ..platform
    };
    if ARCHITECTURES.contains(&found.clone().normalized().architecture.as_str()) {
        Ok(found)
    } else {
        Err("neither a known operating system nor a known architecture")
    }
}

/// Reads `os`, `os(version)` or `os(version+feature+feature)`.
fn system(text: &str) -> Result<Platform, &'static str> {
    let (name, options) = match text.split_once('(') {
        Some((name, rest)) => {
            let inner = rest.strip_suffix(')');
            (name, inner.ok_or("a parenthesis is not closed")?)
        }
        None => (text, ""),
    };
    if name.is_empty() {
        return Err("an empty part; the form is os/architecture[/variant]");
    }
    if !name.bytes().all(|byte| is_plain(byte) && byte != b'.') {
        return Err("a character that operating systems do not have");
    }
    let mut options = options.split('+').map(decode);
    let version = options.next().unwrap_or(Ok(String::new()))?;
    let features: Vec<String> = options.collect::<Result<_, _>>()?;
    if features.iter().any(String::is_empty) {
        return Err("an empty feature of the operating system");
    }
    Ok(Platform {
        architecture: String::new(),
        os: name.to_owned(),
        os_version: (!version.is_empty()).then_some(version),
        os_features: features,
        variant: None,
    })
}

/// Writes a platform; nothing is lost.
pub(super) fn write(platform: &Platform) -> String {
    let version = platform.os_version.as_deref().unwrap_or_default();
    let mut text = platform.os.clone();
    if !version.is_empty() || !platform.os_features.is_empty() {
        text.push('(');
        text.push_str(&encode(version));
        for feature in &platform.os_features {
            text.push('+');
            text.push_str(&encode(feature));
        }
        text.push(')');
    }
    text.push('/');
    text.push_str(&platform.architecture);
    if let Some(variant) = &platform.variant {
        text.push('/');
        text.push_str(variant);
    }
    text
}

fn encode(text: &str) -> String {
    let mut written = text.to_owned();
    for (plain, code) in ESCAPED {
        written = written.replace(plain, code);
    }
    written
}

/// Undoes the percent encoding of a version or a feature.
fn decode(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "a % without two hexadecimal digits";
    if !text.bytes().all(|byte| is_plain(byte) || byte == b'%') {
        return Err("a character that versions and features do not have");
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let code = behind.get(..2).ok_or(WRONG)?;
        if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(WRONG);
        }
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| WRONG)?);
        rest = &behind[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    let decoded = String::from_utf8(bytes).map_err(|_| "a version or feature that is not UTF-8")?;
    // What could not be written again is no version: control characters, for one.
    let written = encode(&decoded);
    if written.bytes().all(|byte| is_plain(byte) || byte == b'%') {
        Ok(decoded)
    } else {
        Err("a character that versions and features do not have")
    }
}
