//! Slash-separated paths as text, cleaned by the rules of Go's `path/filepath`, which patterns and
//! links are defined by.

/// Removes doubled slashes, `.` and, as far as it goes, `..`; the empty path is `.`.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            _ => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Joins two paths and cleans the result; an empty one counts for nothing.
pub(super) fn join(first: &str, second: &str) -> String {
    match (first, second) {
        ("", "") => String::new(),
        ("", only) | (only, "") => clean(only),
        _ => clean(&format!("{first}/{second}")),
    }
}

/// Returns the folder that a path is in: `.` for a bare name.
pub(super) fn parent(path: &str) -> String {
    let folder = path.rfind('/').map_or("", |at| &path[..=at]);
    clean(folder)
}

/// Returns the last part of a clean path.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_as_go_does() {
        for (path, cleaned) in [
            ("", "."),
            ("a//b/", "a/b"),
            ("./a/../b", "b"),
            ("../../a", "../../a"),
            ("/../a", "/a"),
            ("a/..", "."),
            ("/", "/"),
            ("a/./b/../../..", ".."),
        ] {
            assert_eq!(clean(path), cleaned, "{path:?}");
        }
        assert_eq!(join("/", "../x"), "/x");
        assert_eq!(join("a", ""), "a");
        assert_eq!(parent("a"), ".");
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("a/b/c"), "a/b");
        assert_eq!(base("a/b"), "b");
    }
}
