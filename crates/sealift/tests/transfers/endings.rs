//! What is told and kept at the end of a run, whichever way it ends.

use sealift_test_support::{Fault, FaultPlan, Kind, Project, random_image};
use serde_json::Value;

use crate::harbor::Harbor;

/// Every request is answered 503.
fn broken() -> FaultPlan {
    FaultPlan::none().always(Fault::Status(503))
}

#[test]
fn a_failed_pull_tells_what_each_host_cost_and_keeps_its_health() {
    let harbor = Harbor::open();
    let name = harbor.publish(&random_image(1, &["linux/amd64"], &[2000]), "a/b:1");
    harbor.proxy.set_plan(broken());
    let outcome = harbor
        .run(&format!("pull {name} --progress plain --retries 1"))
        .failure();
    assert_eq!(outcome.code, Some(11), "{}", outcome.stderr);
    assert_eq!(
        harbor.without_numbers(&outcome.stderr),
        "HOST: 2 requests, 0 B, failures: 2 network, TIME lost to them\n\
         Failed after TIME; 0 B came over the network\n\
         error: the command line needs HOST/a/b:1, which cannot be fetched\n  \
         because: cannot resolve HOST/a/b:1: UNAVAILABLE: refused by the test's plan\n  \
         because: HOST (resolve, 2 attempts)\n  \
         because: status 503 Service Unavailable: {\"errors\":[{\"code\":\"UNAVAILABLE\",\
         \"message\":\"refused by the test's plan\",\"detail\":null}]}\n"
    );
    assert!(
        harbor.health().contains(&harbor.proxy.host()),
        "{}",
        harbor.health()
    );
}

#[test]
fn json_has_the_same_at_the_end_of_a_run_that_fails_in_part() {
    let harbor = Harbor::open();
    let good = harbor.publish(&random_image(2, &["linux/amd64"], &[2000]), "a/good:1");
    let bad = harbor.name("a/none:1");
    let line = format!("pull {good} {bad} --platform linux/amd64 --progress json");
    let outcome = harbor.run(&line).failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
    let events: Vec<Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [.., host, finished, error] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(host["event"], "host-total");
    assert_eq!(host["host"], harbor.proxy.host());
    assert_eq!(host["failures"], serde_json::json!({"absent": 1}));
    assert!(host["bytes"].as_u64().unwrap() > 2000, "{host}");
    assert_eq!(finished["event"], "finished");
    assert_eq!(finished["ending"], "failed");
    assert_eq!(finished["fetched"], host["bytes"]);
    assert_eq!(error["event"], "error");
    assert_eq!(error["exit_code"], 14);
}

#[test]
fn the_live_view_leaves_the_same_lines_and_no_bars() {
    let harbor = Harbor::open();
    let name = harbor.publish(&random_image(3, &["linux/amd64"], &[300_000]), "a/b:1");
    // The image's bar is there when its blobs fail.
    harbor
        .proxy
        .set_plan(FaultPlan::none().chance(Kind::Blob, 1.0, Fault::Status(503)));
    let line = format!("pull {name} --platform linux/amd64 --retries 1");
    let lines = harbor.on_a_terminal(&line);
    let text = harbor.without_numbers(&lines.join("\n"));
    assert!(
        text.contains(" network, TIME lost to them\nFailed after TIME; ")
            && text.contains("\nerror: the command line needs HOST/a/b:1"),
        "{text}"
    );
    let bars: Vec<_> = lines.iter().filter(|line| line.contains(" => ")).collect();
    assert_eq!(bars, Vec::<&String>::new());
}

#[test]
fn lines_on_a_terminal_end_as_lines() {
    let harbor = Harbor::open();
    let first = harbor.publish(&random_image(7, &["linux/amd64"], &[300_000]), "a/b:1");
    let second = harbor.publish(&random_image(8, &["linux/amd64"], &[2_000_000]), "a/c:1");
    // The first one's line is written while the second one's bar stands.
    harbor
        .proxy
        .set_plan(FaultPlan::none().bytes_per_second(2_000_000));
    let written = harbor.written_to_a_terminal(&format!(
        "pull {first} {second} {first} --platform linux/amd64,linux/amd64"
    ));
    for line in [
        format!("✓ {first} [linux/amd64] 3"),
        format!("✓ {second} [linux/amd64] 2"),
    ] {
        assert_eq!(written.matches(&line).count(), 1, "{written:?}");
        let end = &written[written.find(&line).unwrap()..];
        let (text, _) = end.split_once("\r\n").unwrap();
        // The colour ends, and the rest of the row is erased; no blanks are written.
        let text = text.strip_suffix("\u{1b}[0m\u{1b}[K").unwrap();
        assert_eq!(text, text.trim_end(), "{written:?}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn a_stopped_pull_tells_and_keeps_it_too() {
    for (signal, seed) in [("-INT", 4), ("-TERM", 5)] {
        let harbor = Harbor::open();
        let image = random_image(seed, &["linux/amd64"], &[4_000_000]);
        let name = harbor.publish(&image, "a/b:1");
        harbor
            .proxy
            .set_plan(FaultPlan::none().bytes_per_second(400_000));
        let line = format!("pull {name} --platform linux/amd64 --progress plain");
        // Some of the layer came, and most of it did not.
        let arrives = || harbor.proxy.bytes(Kind::Blob) > 400_000;
        let outcome = harbor.stop(&line, signal, arrives);
        assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        let [.., host, ended, error, hint] = &lines[..] else {
            panic!("{lines:?}");
        };
        let start = format!("{}: ", harbor.proxy.host());
        assert!(
            host.starts_with(&start) && host.contains(" requests, "),
            "{host}"
        );
        assert!(host.contains(" kB"), "what had come is counted: {host}");
        assert!(ended.starts_with("Stopped after "), "{ended}");
        assert_eq!(
            [*error, *hint],
            [
                "error: stopped",
                "  try: run it again: it resumes from what is in the store"
            ]
        );
        assert!(harbor.health().contains(&harbor.proxy.host()));
        harbor.verify();
    }
}

#[test]
fn so_do_pushes_and_prefetches_that_fail() {
    let harbor = Harbor::open();
    let name = harbor.publish(&random_image(6, &["linux/amd64"], &[2000]), "a/b:1");
    let line = format!("pull {name} --platform linux/amd64");
    harbor.run(&line).success();
    let file = harbor.sealift.store_home().join("network/health.json");
    std::fs::remove_file(&file).unwrap();
    harbor.proxy.set_plan(broken());
    let there = harbor.name("c/d:1");
    let push = harbor.run(&format!("push {name} {there} --progress plain --retries 0"));
    let told = |text: &str| {
        let text = harbor.without_numbers(text);
        text.contains(
            " network, TIME lost to them\nFailed after TIME; 0 B came over the network\nerror: ",
        )
    };
    assert_eq!(push.code, Some(11), "{}", push.stderr);
    assert!(told(&push.stderr), "{}", push.stderr);
    std::fs::remove_file(&file).unwrap();

    let project = Project::dockerfile(&format!("FROM {}\n", harbor.name("x/y:1")));
    let words = ["prefetch", "--progress=plain", "--retries=0"];
    let prefetch = harbor.sealift.run(project.path(), &words);
    assert_eq!(prefetch.code, Some(11), "{}", prefetch.stderr);
    assert!(told(&prefetch.stderr), "{}", prefetch.stderr);
    assert!(harbor.health().contains(&harbor.proxy.host()));
}

#[test]
fn a_command_line_that_reaches_no_registry_tells_of_none() {
    let harbor = Harbor::open();
    let outcome = harbor
        .run("push no.such/image:1 --progress plain")
        .failure();
    assert_eq!(
        outcome.stderr,
        "error: no.such/image:1 is not in the store\n  try: sealift store ls lists what is\n"
    );
}

#[test]
fn a_push_goes_once_to_each_name_and_to_no_other_digest() {
    let harbor = Harbor::open();
    let name = harbor.publish(&random_image(9, &["linux/amd64"], &[2000]), "a/b:1");
    harbor
        .run(&format!("pull {name} --platform linux/amd64"))
        .success();
    let there = harbor.name("c/d:1");
    let pushed = harbor
        .run(&format!("push {name} {there} {there}"))
        .success();
    assert_eq!(pushed.stderr.matches("Pushed ").count(), 1, "{pushed:?}");
    let other = format!("{}@sha256:{}", harbor.name("c/d"), "0".repeat(64));
    let requests = harbor.registry.requests().len();
    let refused = harbor.run(&format!("push {name} {other}")).failure();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let start = format!("error: {other} names sha256:000");
    assert!(refused.stderr.starts_with(&start), "{}", refused.stderr);
    assert_eq!(harbor.registry.requests().len(), requests);
}

#[test]
fn an_error_tells_what_the_mirrors_said() {
    let harbor = Harbor::open();
    let line = format!(
        "pull 127.0.0.1:1/a/none:1 --mirror 127.0.0.1:1=http://{} --retries 1",
        harbor.proxy.host()
    );
    // The mirror's answer comes first: that the registry itself is out of reach is why it was asked.
    let said = format!(
        "127.0.0.1:1/a/none:1 does not exist at the mirror {}: MANIFEST_UNKNOWN: manifest unknown; \
         127.0.0.1:1 could not be asked: connect to 127.0.0.1:1: Connection refused (os error 111)",
        harbor.proxy.host()
    );
    let outcome = harbor.run(&line).failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
    let (_, error) = outcome.stderr.split_once("error: ").unwrap();
    let causes: Vec<&str> = error.lines().take(2).collect();
    assert_eq!(
        causes,
        [
            "the command line needs 127.0.0.1:1/a/none:1, which cannot be fetched",
            &format!("  because: {said}")
        ]
    );
    let outcome = harbor.run(&format!("{line} --progress json")).failure();
    let error: Value = serde_json::from_str(outcome.stdout.lines().last().unwrap()).unwrap();
    assert!(error.to_string().contains(&said), "{error}");
}

#[test]
fn a_push_has_a_bar_on_a_terminal() {
    let harbor = Harbor::open();
    let name = harbor.publish(&random_image(10, &["linux/amd64"], &[2000]), "a/b:1");
    harbor
        .run(&format!("pull {name} --platform linux/amd64"))
        .success();
    let there = harbor.name("c/d:1");
    let written = harbor.written_to_a_terminal(&format!("push {name} {there}"));
    let bar = format!(" => {there} [");
    assert!(written.contains(&bar), "{written:?}");
    let (_, end) = written.split_once("Pushed ").unwrap();
    assert!(!end.contains(" => "), "{written:?}");
}

#[test]
fn a_refused_push_says_how_to_log_in() {
    let harbor = Harbor::with_tokens();
    let name = harbor.publish(&random_image(11, &["linux/amd64"], &[2000]), "a/b:1");
    harbor
        .run(&format!("pull {name} --platform linux/amd64"))
        .success();
    let there = harbor.name("c/d:1");
    let outcome = harbor.run(&format!("push {name} {there}")).failure();
    assert_eq!(outcome.code, Some(13), "{}", outcome.stderr);
    let host = harbor.proxy.host();
    let hint = format!(
        "\n  try: docker login {host}; which account is used now: sealift network explain {there}\n"
    );
    assert!(outcome.stderr.ends_with(&hint), "{}", outcome.stderr);
}
