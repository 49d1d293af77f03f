//! Properties that hold for any text.

use proptest::prelude::*;
use sealift_dockerfile::{Dockerfile, Instruction, images, parse, syntax};

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

/// The parts that count: everything but places and comments.
fn parts(dockerfile: &Dockerfile) -> impl PartialEq + std::fmt::Debug + use<> {
    let plain = |instructions: &[Instruction]| {
        let parts = instructions.iter();
        parts
            .map(|instruction| {
                let text = instruction.text.trim().to_owned();
                (instruction.kind.clone(), text, instruction.heredocs.clone())
            })
            .collect::<Vec<_>>()
    };
    let stages = dockerfile.stages.iter().map(|stage| {
        let head = (
            stage.name.clone(),
            stage.base.clone(),
            stage.platform.clone(),
        );
        (head, plain(&stage.instructions))
    });
    (
        dockerfile.escape,
        plain(&dockerfile.arguments),
        stages.collect::<Vec<_>>(),
    )
}

fn prints_stably(text: &str) {
    let Ok(dockerfile) = parse(text) else {
        return;
    };
    let printed = dockerfile.to_string();
    let again = parse(&printed).unwrap_or_else(|error| panic!("{error}\n{text}\n---\n{printed}"));
    assert_eq!(parts(&dockerfile), parts(&again), "{text}\n---\n{printed}");
    assert_eq!(again.to_string(), printed);
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

    #[test]
    fn what_is_printed_parses_to_the_same(text in text()) {
        prints_stably(&text);
    }
}

#[test]
fn written_and_damaged_dockerfiles_print_stably_and_get_an_answer() {
    let mut generator = Generator::new(3);
    for case in written() {
        prints_stably(&case.text);
        answers(&case.text);
        for _ in 0..5 {
            let damaged = generator.damaged(&case);
            prints_stably(&damaged.text);
            answers(&damaged.text);
        }
    }
    for number in 0..500 {
        let case = generator.case(number);
        prints_stably(&case.text);
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
