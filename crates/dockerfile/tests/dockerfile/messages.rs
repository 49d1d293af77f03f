//! What the messages say about names, variables and values that are at fault.

use sealift_dockerfile::{images, parse};

use crate::corpus::query;

/// The first error of a text, for its last stage.
fn refusal(text: &str) -> String {
    let query = query("linux/arm64");
    let error = parse(text).and_then(|dockerfile| images(&dockerfile, &query));
    error.unwrap_err().to_string()
}

#[test]
fn values_that_double_without_end_are_refused_where_they_grow_too_long() {
    let doubling = |keyword: &str| -> String {
        let lines = (1..37).map(|n| format!("{keyword} A{n}=${{A{0}}}$A{0}\n", n - 1));
        lines.collect()
    };
    let reason = "the result is more than 128 KiB longer than the text";
    let global = format!("ARG A0=0123456789\n{}FROM a\n", doubling("ARG"));
    assert_eq!(
        refusal(&global),
        format!("line 15: cannot expand \"${{A13}}$A13\": {reason}")
    );
    let env = format!("FROM a\nENV A0=0123456789\n{}", doubling("ENV"));
    assert_eq!(
        refusal(&env),
        format!("line 16: cannot expand \"${{A13}}$A13\": {reason}")
    );
    let quoted = format!(
        "FROM a\nENV A=\"{}\"\nENV B=\"{}\"\n",
        "x".repeat(9_000),
        "$A".repeat(9_000)
    );
    let message = refusal(&quoted);
    assert!(
        message.starts_with("line 3: cannot expand") && message.ends_with(reason),
        "{}",
        &message[..80]
    );
    let replaced = format!(
        "FROM a\nENV A={}\nENV B=${{A//x/{}}}\n",
        "x".repeat(60_000),
        "y".repeat(60_000)
    );
    assert!(refusal(&replaced).ends_with(reason));
}

#[test]
fn values_are_bounded_together_too() {
    let values: String = (0..40)
        .map(|n| format!("ENV A{n}={}\n", "x".repeat(60_000)))
        .collect();
    assert_eq!(
        refusal(&format!("FROM a\n{values}")),
        "line 36: the values of ARG and ENV are longer than 2097152 bytes together"
    );
    let arguments = values.replace("ENV", "ARG");
    assert_eq!(
        refusal(&format!("{arguments}FROM a\n")),
        "line 35: the values of ARG and ENV are longer than 2097152 bytes together"
    );
    let stages: String = (1..50)
        .map(|n| format!("FROM s{} AS s{n}\n", n - 1))
        .collect();
    let values: String = values.lines().take(30).collect::<Vec<_>>().join("\n");
    assert_eq!(
        refusal(&format!("FROM a AS s0\n{values}\n{stages}")),
        "line 68: the values of ARG and ENV are longer than 67108864 bytes together"
    );
}

#[test]
fn a_blank_base_names_the_variables_without_a_value() {
    for (text, message) in [
        (
            "ARG BASE\nFROM ${BASE}\n",
            "line 2: the base image \"${BASE}\" is empty; ARG BASE has no value: set it with --build-arg BASE=…",
        ),
        (
            "ARG BASE=\nFROM ${BASE}\n",
            "line 2: the base image \"${BASE}\" is empty; ARG BASE has no value: set it with --build-arg BASE=…",
        ),
        (
            "FROM ${BASE}\nARG BASE=a\n",
            "line 1: the base image \"${BASE}\" is empty; no ARG BASE stands above the first FROM",
        ),
        (
            "ARG TAG\nFROM busybox:${TAG}\n",
            "line 2: invalid image reference \"busybox:\" (from busybox:${TAG}): its tag is empty; ARG TAG has no value: set it with --build-arg TAG=…",
        ),
        (
            "FROM --platform=$BILDPLATFORM a\n",
            "line 1: the platform \"$BILDPLATFORM\" is empty; no ARG BILDPLATFORM stands above the first FROM (did you mean BUILDPLATFORM?)",
        ),
        (
            "FROM docker://busybox\n",
            "line 1: invalid image reference \"docker://busybox\": an image's name has no docker:// in front",
        ),
        (
            "FROM {{BASE}}:1\n",
            "line 1: invalid image reference \"{{BASE}}:1\": it holds a placeholder of a template, which has to be rendered first",
        ),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn an_unknown_target_lists_the_stages() {
    let ask = |text: &str, target: &str| {
        let mut query = query("linux/arm64");
        query.target = Some(target.to_owned());
        let found = images(&parse(text).unwrap(), &query);
        found.unwrap_err().to_string()
    };
    assert_eq!(
        ask("FROM a AS Base\nFROM b\nFROM c AS builder\n", "buidler"),
        "there is no stage \"buidler\" (did you mean builder?); the stages are base, builder"
    );
    assert_eq!(
        ask("FROM a\n", "x"),
        "there is no stage \"x\"; no stage has a name"
    );
}

#[test]
fn an_image_that_looks_like_a_misspelt_stage_names_it() {
    let text = "FROM a AS builder\nFROM buidler\nCOPY --from=bilder x y\n\
                RUN --mount=from=busybox,target=/m x\nCOPY --from=builder:1 x y\n";
    let needs = images(&parse(text).unwrap(), &query("linux/arm64")).unwrap();
    let meant: Vec<_> = needs
        .iter()
        .map(|need| (need.reference.familiar(), need.meant.as_deref()))
        .collect();
    assert_eq!(
        meant,
        [
            ("buidler".to_owned(), Some("builder")),
            ("bilder".to_owned(), Some("builder")),
            ("busybox".to_owned(), None),
            ("builder:1".to_owned(), None),
        ]
    );
}
