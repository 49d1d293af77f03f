//! Properties that hold for any text.

use proptest::prelude::*;
use sealift_dockerfile::{images, parse, syntax};

use crate::corpus::{query, written};
use crate::generator::Generator;

/// Text that is more like a Dockerfile than random characters are.
fn text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        "[A-Z]{2,6} ",
        "(FROM|RUN|COPY|ADD|ARG|ENV|ONBUILD|CMD|HEALTHCHECK|VOLUME) ",
        "--(from|mount|platform|chown|network)=",
        Just("\\\n".to_owned()),
        Just("\n".to_owned()),
        Just("<<EOF\n".to_owned()),
        Just("EOF\n".to_owned()),
        Just("# escape=`\n".to_owned()),
        "[$]\\{[a-z]{1,2}[:#%/?+-]{0,3}[a-z*?\\\\]{0,3}\\}?",
        "[\\[\\]\"',{}=<>$`\\\\ \t]{1,4}",
        "[a-z0-9:/@.]{1,8}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat())
}

fn answers(text: &str) {
    let _ = syntax(text);
    let query = query("linux/arm64");
    let result = parse(text).and_then(|dockerfile| images(&dockerfile, &query));
    let lines = text.split('\n').count();
    match result {
        Ok(needs) => assert!(needs.iter().all(|need| need.line <= lines), "{needs:?}"),
        Err(error) => {
            let line = error.line().unwrap_or(1);
            assert!((1..=lines).contains(&line), "{error} in {lines} lines");
            if let Some(excerpt) = error.excerpt(text, 2) {
                assert!(excerpt.lines.iter().any(|line| line.marked), "{error}");
                let _ = excerpt.to_string();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn anything_gets_an_answer(text in text()) {
        answers(&text);
    }
}

#[test]
fn written_and_damaged_dockerfiles_get_an_answer() {
    let mut generator = Generator::new(3);
    for case in written() {
        answers(&case.text);
        for _ in 0..5 {
            let damaged = generator.damaged(&case);
            answers(&damaged.text);
        }
    }
    for number in 0..500 {
        let case = generator.case(number);
        answers(&case.text);
    }
}

#[test]
fn large_inputs_end_soon() {
    let nests = format!("FROM ${{a:-{}", "${a:-".repeat(20_000));
    let chain = format!("FROM a\n{}RUN x", "ONBUILD ".repeat(8_000));
    let brackets = format!("FROM a\nRUN {}", "[".repeat(60_000));
    let stages: String = (0..3_000)
        .map(|number| format!("FROM a AS s{number}\nCOPY --from=s{} x y\n", number / 2))
        .collect();
    let line = format!("FROM a\nRUN {}", "x".repeat(70_000));
    for text in [nests, chain, brackets, stages, line] {
        answers(&text);
    }
}

#[test]
fn triggers_without_end_are_refused() {
    let dockerfile = parse("FROM busybox").unwrap();
    let mut query = query("linux/arm64");
    let need = images(&dockerfile, &query).unwrap().remove(0);
    let twice = "RUN --mount=from=busybox,target=/a --mount=from=busybox,target=/b x";
    let key = (need.reference, need.platform);
    query.triggers.insert(key, vec![twice.to_owned()]);
    let error = images(&dockerfile, &query).unwrap_err();
    assert_eq!(error.line(), Some(1), "{error}");
}
