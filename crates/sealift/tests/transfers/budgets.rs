//! Budgets of an image and of a run: what ends with them, what goes on, and what is said.

use sealift_test_support::{Fault, FaultPlan, FaultyRegistry, Kind, random_image};

use crate::harbor::Harbor;

/// Every request for a blob is answered 503.
fn hopeless() -> FaultPlan {
    FaultPlan::seeded(3).chance(Kind::Blob, 1.0, Fault::Status(503))
}

#[test]
fn one_images_budget_ends_its_retries_and_the_others_go_on() {
    let harbor = Harbor::open();
    let bad = harbor.publish(&random_image(1, &["linux/amd64"], &[5000]), "a/bad:1");
    harbor.proxy.set_plan(hopeless());
    // It takes longer than its budget, without a failure: that is no reason to end it.
    let slow = FaultPlan::none().bytes_per_second(600_000);
    let other = FaultyRegistry::open(harbor.registry.address(), slow);
    let image = random_image(2, &["linux/amd64"], &[1_800_000]);
    harbor.registry.push(&image, "a/good", "1");
    let good = format!("{}/a/good:1", other.host());
    let line =
        format!("pull {bad} {good} --platform linux/amd64 --progress plain --image-budget 1500ms");
    let outcome = harbor.run(&line).failure();
    assert_eq!(outcome.code, Some(11), "{}", outcome.stderr);
    let text = harbor.without_numbers(&outcome.stderr);
    let (_, error) = text.split_once("error: ").unwrap();
    let lines: Vec<&str> = error.lines().map(str::trim_start).collect();
    assert_eq!(
        lines[0],
        "the command line needs HOST/a/bad:1, which cannot be fetched"
    );
    assert!(
        lines[1].starts_with("because: cannot fetch sha256:"),
        "{error}"
    );
    let budget = " attempts): given up, the image's budget of 1.5 s is used up";
    assert!(
        lines[2].starts_with("because: HOST (blob, ") && lines[2].ends_with(budget),
        "{error}"
    );
    assert!(
        lines[3].starts_with("because: status 503 Service Unavailable"),
        "{error}"
    );
    assert_eq!(
        lines.last().unwrap(),
        &"try: run it again: it resumes from what arrived; or allow more time with --image-budget"
    );
    let there = harbor.run("store ls").success().stdout;
    assert!(there.contains(&good) && !there.contains(&bad), "{there}");

    // What is left of the other is had once its registry is well again.
    harbor.proxy.set_plan(FaultPlan::none());
    harbor.run(&line).success();
    harbor.verify();
}

#[test]
fn a_runs_budget_ends_all_retries() {
    let harbor = Harbor::open();
    let bad = harbor.publish(&random_image(3, &["linux/amd64"], &[5000]), "a/bad:1");
    harbor.proxy.set_plan(hopeless());
    let line = format!("pull {bad} --platform linux/amd64 --progress json --run-budget 1s");
    let outcome = harbor.run(&line).failure();
    assert_eq!(outcome.code, Some(11), "{}", outcome.stderr);
    let last: serde_json::Value =
        serde_json::from_str(outcome.stdout.lines().last().unwrap()).unwrap();
    let causes = last["causes"].as_array().unwrap();
    assert!(
        causes.iter().any(|cause| {
            cause
                .as_str()
                .unwrap()
                .ends_with("given up, the run's budget of 1 s is used up")
        }),
        "{last}"
    );
    let hints = last["hints"].as_array().unwrap();
    assert!(
        hints
            .last()
            .unwrap()
            .as_str()
            .unwrap()
            .ends_with("--run-budget"),
        "{last}"
    );
}

#[test]
fn the_pause_before_an_upload_goes_on_is_told() {
    let harbor = Harbor::open();
    let name = harbor.publish(&random_image(6, &["linux/amd64"], &[5000]), "a/b:1");
    let line = format!("pull {name} --platform linux/amd64");
    harbor.run(&line).success();
    // The upload is opened; the request that sends its bytes, which is not simply repeated, breaks.
    let reset =
        FaultPlan::none()
            .first(Kind::Upload, 2, Fault::None)
            .first(Kind::Upload, 3, Fault::Reset);
    harbor.proxy.set_plan(reset);
    let line = format!("push {name} {} --progress json", harbor.name("c/d:1"));
    let outcome = harbor.run(&line).success();
    let events = outcome.stdout.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event
    });
    let told: Vec<_> = events.filter(|event| event["event"] == "waiting").collect();
    let [waiting] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(waiting["host"], harbor.proxy.host());
    assert_eq!(waiting["reason"], "the last attempt failed (network)");
    assert!(waiting["seconds"].as_f64().unwrap() > 0.0, "{waiting}");
    // Nor does the log say that the upload was given up.
    let log = harbor.sealift.store_home().join("failures.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains(r#"decision="go on while the budget lasts""#),
        "{log}"
    );
}

#[test]
fn pushes_have_them_too() {
    let harbor = Harbor::open();
    let name = harbor.publish(&random_image(4, &["linux/amd64"], &[5000]), "a/b:1");
    let line = format!("pull {name} --platform linux/amd64");
    harbor.run(&line).success();
    for (option, whose) in [
        ("--image-budget 1s", "the image's budget of 1 s is used up"),
        ("--run-budget 1s", "the run's budget of 1 s is used up"),
        (
            "--retry-budget 1s",
            "the next attempt would come after the 1 s allowed without an answer",
        ),
    ] {
        // An upload begins, and is reset each time that bytes are sent.
        let resets = FaultPlan::seeded(5)
            .first(Kind::Upload, 1, Fault::None)
            .chance(Kind::Upload, 1.0, Fault::Reset);
        harbor.proxy.set_plan(resets);
        let line = format!(
            "push {name} {} --progress plain {option}",
            harbor.name("c/d:1")
        );
        let outcome = harbor.run(&line).failure();
        assert_eq!(outcome.code, Some(11), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(whose), "{}", outcome.stderr);
        let hint = format!("with {}\n", option.split(' ').next().unwrap());
        assert!(outcome.stderr.ends_with(&hint), "{}", outcome.stderr);
    }
}
