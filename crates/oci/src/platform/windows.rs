//! Versions of Windows: which images a host runs without a virtual machine.

/// Releases with a stable interface to containers, oldest first: Server 2022 and 2025.
const STABLE: [u16; 2] = [20348, 26100];

/// A version's major and minor number and its build; the revision behind them does not matter.
type Version = (u8, u8, u16);

/// Tells whether a host runs an image's version. A host whose version has no such form runs all.
///
/// Since Server 2022 a host runs the images of its own release and of the one before; an older one
/// those of its own build alone.
pub(super) fn runs(host: &str, image: &str) -> bool {
    let Some(host) = parse(host) else {
        return true;
    };
    let (major, minor, build) = host;
    let (image_major, image_minor, image_build) = parse(image).unwrap_or_default();
    if (major, minor) != (image_major, image_minor) {
        return false;
    }
    let Some(release) = STABLE.iter().rposition(|release| *release <= build) else {
        return build == image_build;
    };
    (STABLE[release.saturating_sub(1)]..=build).contains(&image_build)
}

/// Reads `MAJOR.MINOR.BUILD[.REVISION]`; nothing where it is of another form, or all zeros.
fn parse(text: &str) -> Option<Version> {
    let mut parts = text.split('.');
    let major = number(parts.next()?)?.try_into().ok()?;
    let minor = number(parts.next()?)?.try_into().ok()?;
    let version = (major, minor, number(parts.next()?)?);
    (version != Version::default()).then_some(version)
}

/// Reads digits alone: no sign.
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_run_their_own_release_and_the_one_before() {
        let server_2019 = "10.0.17763";
        let server_2022 = "10.0.20348";
        let server_2025 = "10.0.26100.1742";
        assert!(runs(server_2019, "10.0.17763.1999"));
        assert!(!runs(server_2019, "10.0.17134.1"));
        assert!(runs(server_2022, "10.0.20348.2"));
        assert!(!runs(server_2022, server_2019));
        assert!(runs("10.0.25398.1", server_2022));
        assert!(runs(server_2025, server_2022));
        assert!(!runs(server_2025, server_2019));
        assert!(!runs(server_2022, server_2025));
        assert!(!runs(server_2022, "11.0.20348"));
        assert!(!runs(server_2022, "ltsc2022"));
        assert!(runs("ltsc2022", server_2019));
    }
}
