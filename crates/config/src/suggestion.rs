//! The known key that a mistyped one was meant to be.

/// Returns the known name nearest to `name`, where it is near enough to be a typing mistake. Letter
/// case and the ways to join words do not count: `registryMirror` is `registry-mirrors`.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let name = plain(name);
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let candidates = known
        .iter()
        .map(|known| (strsim::osa_distance(&name, &plain(known)), *known));
    let near = candidates.filter(|(distance, _)| *distance <= limit);
    near.min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let known = ["registry-mirrors", "insecure-registries", "dns"];
        for (name, expected) in [
            ("registry-mirror", Some("registry-mirrors")),
            ("registryMirrors", Some("registry-mirrors")),
            ("insecure_registry", Some("insecure-registries")),
            ("dsn", Some("dns")),
            ("storage-driver", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
    }
}
