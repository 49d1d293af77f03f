//! `-f -`: the Dockerfile on standard input, for every command that reads one.

use std::process::{Command, Stdio};
use std::time::Duration;

use sealift_test_support::{Outcome, Project};

use super::{expect, sealift};

const COMMANDS: [&str; 4] = ["build", "prefetch", "images", "plan"];

/// Runs a command with this Dockerfile on standard input.
fn run(command: &str, dockerfile: &[u8]) -> Outcome {
    // What lies in the context is not read.
    let project = Project::dockerfile("FROM not-this-one:1\n");
    let arguments = [command, "-f", "-", "--platform", "linux/arm64"];
    sealift().run_with_input(project.path(), &arguments, dockerfile)
}

#[track_caller]
fn expect_error(command: &str, dockerfile: &[u8], code: i32, error: &str) {
    let outcome = run(command, dockerfile);
    assert!(
        outcome.stderr.starts_with(error),
        "{command}: {}",
        outcome.stderr
    );
    assert_eq!(outcome.code, Some(code), "{command}");
}

#[test]
fn images_are_found_with_their_lines() {
    let dockerfile = b"FROM scratch AS a\nFROM busybox:1.36\nCOPY --from=a / /\n";
    let text = "IMAGE                           PLATFORM     VIA   LINE  FOR\n\
                docker.io/library/busybox:1.36  linux/arm64  from  2     linux/arm64\n";
    expect(&run("images", dockerfile), 0, text, "");
    let planned = run("plan", dockerfile);
    let text = "fetch docker.io/library/busybox:1.36 [linux/arm64], for <stdin>:2\n";
    assert!(planned.stdout.starts_with(text), "{}", planned.stdout);
    run("prefetch", b"FROM scratch\n").success();
}

#[test]
fn errors_name_standard_input_and_the_line() {
    let error = "error: <stdin>:2: unknown instruction: RUNN (did you mean RUN?)\n";
    // A sealed build finds them itself, before any builder is asked or started.
    for command in COMMANDS {
        expect_error(command, b"FROM scratch\nRUNN true\n", 1, error);
    }
}

#[test]
fn an_empty_one_is_an_error() {
    for command in COMMANDS {
        expect_error(
            command,
            b"",
            1,
            "error: <stdin>:1: the Dockerfile has no instructions\n",
        );
    }
}

#[test]
fn one_that_is_no_page_of_text_is_refused() {
    let error = "error: standard input is larger than 16.8 MB, too large for a Dockerfile\n";
    for command in COMMANDS {
        expect_error(command, &vec![b'#'; (16 << 20) + 1], 2, error);
    }
}

#[test]
fn a_command_that_waits_for_it_can_be_stopped() {
    let project = Project::dockerfile("FROM scratch\n");
    let sealift = sealift();
    let mut command = sealift.command(project.path(), &["plan", "-f", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has come so far once it reads: a signal before that ends it without our handler.
    let reads = format!("/proc/{}/task", child.id());
    while std::fs::read_dir(&reads).map_or(0, Iterator::count) < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    // The pipe stays open: nothing comes and nothing ends.
    let pipe = child.stdin.take();
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    drop(pipe);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
}
