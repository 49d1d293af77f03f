//! Files that are handed over as Dockerfiles and are something else.

use crate::error::Cause;

/// Recognises what a file is that cannot be parsed as a Dockerfile.
pub(crate) fn recognise(text: &str) -> Option<Cause> {
    let starts = |words: &[&str]| {
        let mut lines = text.lines();
        lines.any(|line| words.iter().any(|word| line.starts_with(word)))
    };
    let first = text.trim_start();
    let (what, advice) = if text.contains('\0') {
        ("a binary file", "")
    } else if starts(&["{{", "{%"]) {
        ("a template", ": render it first")
    } else if starts(&["services:"]) {
        (
            "a Compose file",
            ": give the Dockerfile that its `build:` entry names",
        )
    } else if starts(&["target \"", "group \"", "variable \""])
        || first.starts_with('{') && text.contains("\"target\"")
    {
        (
            "a bake file",
            ": give the Dockerfile that its target names, with --target and --build-arg",
        )
    } else if starts(&["apiVersion:", "kind:"]) {
        ("a Kubernetes manifest", "")
    } else if starts(&["<!DOCTYPE", "<!doctype", "<html"]) {
        (
            "an HTML page",
            ": a download may have returned a login or error page",
        )
    } else if first.starts_with("#!/") {
        ("a script", "")
    } else {
        return None;
    };
    Some(Cause::AnotherFormat { what, advice })
}

#[cfg(test)]
mod tests {
    use crate::{Error, parse};

    #[test]
    fn names_what_is_no_dockerfile() {
        for (text, message) in [
            (
                "version: '3'\nservices:\n  web:\n    build: .\n",
                "line 1: this is a Compose file, not a Dockerfile: give the Dockerfile that its `build:` entry names",
            ),
            (
                "target \"app\" {\n  dockerfile = \"Dockerfile\"\n}\n",
                "line 1: this is a bake file, not a Dockerfile: give the Dockerfile that its target names, with --target and --build-arg",
            ),
            (
                "{\n  \"target\": {\"app\": {}}\n}\n",
                "line 1: this is a bake file, not a Dockerfile: give the Dockerfile that its target names, with --target and --build-arg",
            ),
            (
                "{{- if .gpu }}\nFROM a\n",
                "line 1: this is a template, not a Dockerfile: render it first",
            ),
            (
                "apiVersion: v1\nkind: Pod\n",
                "line 1: this is a Kubernetes manifest, not a Dockerfile",
            ),
            (
                "<!DOCTYPE html>\n<html>\n",
                "line 1: this is an HTML page, not a Dockerfile: a download may have returned a login or error page",
            ),
            (
                "#!/bin/sh\nset -e\n",
                "line 2: this is a script, not a Dockerfile",
            ),
            (
                "\u{1f}\u{8b}\0\0x\n",
                "line 1: this is a binary file, not a Dockerfile",
            ),
            (
                "FROM a\nCOYP a b\n",
                "line 2: unknown instruction: COYP (did you mean COPY?)",
            ),
        ] {
            let error = parse(text)
                .map(drop)
                .map_err(|error: Error| error.to_string());
            assert_eq!(error, Err(message.to_owned()), "{text}");
        }
    }
}
