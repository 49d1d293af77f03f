//! Which platforms' images a machine runs, and which it runs best: containerd's `platforms.Only`.

use super::{Platform, windows};

/// The feature of Windows that images name and machines need not.
const WIN32K: &str = "win32k";

/// Says how well an image of platform `offered` serves a machine: lower is better, nothing where
/// it cannot run it. The architecture decides, then how many of the machine's features the image
/// uses.
pub(super) fn rank(machine: &Platform, offered: &Platform) -> Option<usize> {
    let (machine, offered) = (machine.clone().normalized(), offered.clone().normalized());
    if machine.os != offered.os || !versions_fit(&machine, &offered) {
        return None;
    }
    let stripped = |feature: &&String| machine.os == "windows" && *feature == WIN32K;
    let has = |feature: &String| machine.os_features.contains(feature);
    let used = &offered.os_features;
    if !used.iter().all(|f| stripped(&f) || has(f)) {
        return None;
    }
    let key = (offered.architecture.as_str(), offered.variant.as_deref());
    let position = runs(&machine)
        .iter()
        .position(|(architecture, variant)| (architecture.as_str(), variant.as_deref()) == key)?;
    // An image uses the machine's features and win32k at most.
    let most = machine.os_features.len() + 1;
    Some(position * (most + 1) + most.saturating_sub(used.len()))
}

fn versions_fit(machine: &Platform, offered: &Platform) -> bool {
    match (&machine.os_version, &offered.os_version) {
        (Some(machine_version), Some(version)) if machine.os == "windows" => {
            windows::runs(machine_version, version)
        }
        _ => true,
    }
}

/// Lists the architectures and variants that a machine runs, best first.
fn runs(machine: &Platform) -> Vec<(String, Option<String>)> {
    let name = |architecture: &str, variant: Option<String>| (architecture.to_owned(), variant);
    let mut list = vec![name(&machine.architecture, machine.variant.clone())];
    let variant = machine.variant.as_deref();
    let level = variant.and_then(|variant| variant.trim_start_matches('v').parse::<u8>().ok());
    match machine.architecture.as_str() {
        "amd64" => {
            let older = (2..level.unwrap_or(1)).rev();
            list.extend(older.map(|level| name("amd64", Some(format!("v{level}")))));
            if level.is_some_and(|level| level > 1) {
                list.push(name("amd64", None));
            }
            list.push(name("386", None));
        }
        "arm" => list.extend(arm(level.unwrap_or(0))),
        "arm64" => {
            list.extend(older_arm64(variant.unwrap_or("v8")).map(|variant| name("arm64", variant)));
            list.extend(arm(9));
        }
        _ => {}
    }
    list
}

/// Lists the variants of 32 bit ARM below one.
fn arm(level: u8) -> impl Iterator<Item = (String, Option<String>)> {
    let below = (5..level).rev();
    below.map(|level| ("arm".to_owned(), Some(format!("v{level}"))))
}

/// Lists the variants below one of 64 bit ARM: each minor version includes the one before, and v9.N
/// includes v8.(N+5). None stands for v8.
fn older_arm64(variant: &str) -> impl Iterator<Item = Option<String>> + use<> {
    let (major, minor) = variant.split_once('.').unwrap_or((variant, "0"));
    let minor: u8 = minor.parse().unwrap_or(0);
    let (nines, eights) = match major {
        "v9" => (minor, minor.saturating_add(6).min(10)),
        "v8" => (0, minor),
        _ => (0, 0),
    };
    let name = |major: u8| {
        move |minor: u8| match (major, minor) {
            (8, 0) => None,
            (_, 0) => Some(format!("v{major}")),
            _ => Some(format!("v{major}.{minor}")),
        }
    };
    let nines = (0..nines).rev().map(name(9));
    nines.chain((0..eights).rev().map(name(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> String {
        let list = runs(&Platform::parse(text).unwrap()).into_iter();
        let text = |(architecture, variant): (String, Option<String>)| match variant {
            Some(variant) => format!("{architecture}/{variant}"),
            None => architecture,
        };
        list.map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn machines_run_what_is_older() {
        assert_eq!(list("linux/amd64"), "amd64 386");
        assert_eq!(list("linux/amd64/v3"), "amd64/v3 amd64/v2 amd64 386");
        assert_eq!(list("linux/arm/v7"), "arm/v7 arm/v6 arm/v5");
        assert_eq!(list("linux/arm/v5"), "arm/v5");
        assert_eq!(list("linux/arm64"), "arm64 arm/v8 arm/v7 arm/v6 arm/v5");
        let below = " arm/v8 arm/v7 arm/v6 arm/v5";
        let v8 = "arm64/v8.5 arm64/v8.4 arm64/v8.3 arm64/v8.2 arm64/v8.1 arm64";
        assert_eq!(list("linux/arm64/v8.5"), format!("{v8}{below}"));
        assert_eq!(list("linux/arm64/v9"), format!("arm64/v9 {v8}{below}"));
        assert_eq!(list("linux/riscv64"), "riscv64");
        // A number that no machine has costs nothing.
        assert_eq!(list("linux/amd64/v4000000000"), "amd64/v4000000000 386");
    }
}
