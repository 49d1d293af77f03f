//! The program run without a network or a builder: whole outputs and exit codes.

#![allow(
    clippy::disallowed_methods,
    reason = "tests read what the program wrote"
)]

mod build_line;
mod standard_input;

use std::path::Path;

use clap::CommandFactory;
use sealift_test_support::{Outcome, Project, Sealift};

fn sealift() -> Sealift {
    Sealift::new(env!("CARGO_BIN_EXE_sealift"))
}

#[track_caller]
fn expect(outcome: &Outcome, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(outcome.stdout, stdout);
    assert_eq!(outcome.stderr, stderr);
    assert_eq!(outcome.code, Some(code));
}

#[test]
fn version() {
    let line = concat!("sealift ", env!("CARGO_PKG_VERSION"), "\n");
    expect(&sealift().run(Path::new("/"), &["version"]), 0, line, "");
}

#[test]
fn a_plan_as_text_and_as_json() {
    let project = Project::dockerfile(
        "FROM --platform=$BUILDPLATFORM golang:1 AS build\nFROM alpine\nCOPY --from=build / /\n",
    );
    let sealift = sealift();
    let arguments = ["plan", "--platform", "linux/arm64,linux/arm/v7"];
    let name = project.path().file_name().unwrap().to_str().unwrap();
    let native = sealift_oci::Platform::host();
    let text = format!(
        "fetch docker.io/library/golang:1 [{native}], for Dockerfile:1\n\
         fetch docker.io/library/alpine:latest [linux/arm64, linux/arm/v7], for Dockerfile:2\n\
         build {name} [default] for linux/arm64\n\
         build {name} [default] for linux/arm/v7\n"
    );
    expect(&sealift.run(project.path(), &arguments), 0, &text, "");
    let json = sealift
        .run(project.path(), &[&arguments[..], &["--json"]].concat())
        .success();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["units"].as_array().unwrap().len(), 2);
    assert_eq!(json["images"][1]["platforms"][1], "linux/arm/v7");
    assert_eq!(json["images"][1]["place"], "Dockerfile:2");
    assert_eq!(json["images"][1]["in_store"], false);
}

#[test]
fn platforms_may_name_a_version_of_windows() {
    let project = Project::dockerfile(
        "FROM --platform=windows(10.0.20348+win32k)/amd64 tools\nFROM nanoserver:1809\n\
         COPY --from=0 / /\n",
    );
    let arguments = ["plan", "--platform", "windows(10.0.17763)/x86_64"];
    let name = project.path().file_name().unwrap().to_str().unwrap();
    let text = format!(
        "fetch docker.io/library/tools:latest [windows(10.0.20348+win32k)/amd64], for Dockerfile:1\n\
         fetch docker.io/library/nanoserver:1809 [windows(10.0.17763)/amd64], for Dockerfile:2\n\
         build {name} [default] for windows(10.0.17763)/amd64\n"
    );
    expect(&sealift().run(project.path(), &arguments), 0, &text, "");
}

#[test]
fn images_as_text() {
    let project = Project::dockerfile("FROM scratch AS a\nFROM busybox:1.36 AS b\nFROM a\n");
    let arguments = ["images", "--platform", "linux/arm64", "--target", "b"];
    let text = "IMAGE                           PLATFORM     VIA   LINE  FOR\n\
                docker.io/library/busybox:1.36  linux/arm64  from  2     linux/arm64\n";
    expect(&sealift().run(project.path(), &arguments), 0, text, "");
}

#[test]
fn errors_name_the_place_and_the_next_step() {
    let project = Project::new().file("broken/Dockerfile", "FROM a\nRUN x\nFORM b\n");
    let sealift = sealift();
    let run = |arguments: &[&str]| sealift.run(project.path(), arguments);
    let absent = "error: there is no Dockerfile in .\n  try: name it with -f FILE\n";
    expect(&run(&["plan"]), 14, "", absent);
    let broken = "error: broken/Dockerfile:3: unknown instruction: FORM (did you mean FROM?)\n\n";
    let outcome = run(&["images", "broken"]);
    assert!(outcome.stderr.starts_with(broken), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("FORM b"), "{}", outcome.stderr);
    assert_eq!(outcome.code, Some(1));
    let mirror = run(&["pull", "busybox", "--mirror", "docker.io"]);
    assert!(mirror.stderr.contains("--mirror"), "{}", mirror.stderr);
    assert!(mirror.code.is_some_and(|code| code != 0));
    let output = run(&["build", "broken", "-o", "type=zip,dest=x"]);
    assert!(
        output
            .stderr
            .starts_with("error: -o type=zip,dest=x: the type zip is not supported\n")
    );
    assert_eq!(output.code, Some(2));
    assert_eq!(run(&["build", "--no-such-option"]).code, Some(2));
    assert_eq!(run(&["plan", "https://example.com/x.git"]).code, Some(2));
}

#[test]
fn a_builder_that_is_not_there_is_named() {
    let project = Project::dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    let sealift = sealift();
    let run = |address: &str| sealift.run(project.path(), &["build", "--builder", address]);
    let outcome = run("unix:///no/such.sock");
    assert_eq!(outcome.code, Some(19), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("unix:///no/such.sock"),
        "{}",
        outcome.stderr
    );
    assert_eq!(run("nonsense").code, Some(2));
}

#[test]
fn a_build_argument_that_nothing_declares_is_named() {
    let project = Project::dockerfile("ARG BASE\nFROM scratch AS a\nARG USED\nONBUILD ARG LATER\n");
    let given = [
        "BASE",
        "USED",
        "LATER",
        "TYPO",
        "http_proxy",
        "SOURCE_DATE_EPOCH",
    ];
    let mut line: Vec<String> = ["build", "--builder=unix:///no/such.sock"]
        .map(str::to_owned)
        .into();
    line.extend(given.map(|name| format!("--build-arg={name}=1")));
    let outcome = sealift().run(project.path(), &line);
    let warnings: Vec<_> = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect();
    let typo = "warning: --build-arg TYPO has no effect: no ARG of Dockerfile declares it";
    assert_eq!(warnings, [typo], "{}", outcome.stderr);
}

#[test]
fn an_empty_store() {
    let sealift = sealift();
    let run = |arguments: &[&str]| sealift.run(Path::new("/"), arguments);
    expect(
        &run(&["store", "ls"]),
        0,
        "IMAGE  DIGEST  PLATFORMS  SIZE\n",
        "",
    );
    expect(&run(&["store", "ls", "--json"]), 0, "[]\n", "");
    let sound = "0 blobs, 0 B read, 0 needed by no image\n";
    expect(&run(&["store", "verify"]), 0, sound, "");
    let gone = "removed 0 blobs and 0 partial downloads, 0 B; kept 0 unneeded blobs younger than \
                the grace time\n";
    expect(&run(&["store", "gc"]), 0, gone, "");
    let absent = "error: docker.io/library/x:latest is not in the store\n  \
                  try: sealift store ls lists what is\n";
    expect(&run(&["store", "rm", "x"]), 14, "", absent);
    expect(&run(&["push", "x"]), 14, "", absent);
    expect(&run(&["builder", "stop"]), 0, "it is not running\n", "");
}

#[test]
fn a_damaged_store_is_reported_and_repaired() {
    let sealift = sealift();
    let run = |arguments: &[&str]| sealift.run(Path::new("/"), arguments);
    run(&["store", "ls"]).success();
    let blobs = sealift.store_home().join("store/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join("0".repeat(64)), "not what its name says").unwrap();
    let outcome = run(&["store", "verify"]);
    assert_eq!(outcome.code, Some(15));
    assert!(
        outcome.stderr.starts_with("error: the store is damaged\n"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("corrupt: sha256:0000"),
        "{}",
        outcome.stderr
    );
    assert_eq!(run(&["store", "verify", "--repair"]).code, Some(15));
    run(&["store", "verify"]).success();
}

#[test]
fn what_a_crash_of_the_machine_took_is_told_once() {
    let sealift = sealift();
    let run = |arguments: &[&str]| sealift.run(Path::new("/"), arguments);
    run(&["store", "ls"]).success();
    let store = sealift.store_home().join("store");
    let blob = store.join("blobs/sha256").join("0".repeat(64));
    std::fs::write(&blob, "not what its name says").unwrap();
    // The machine was started since.
    std::fs::write(store.join("boot"), "0123456789abcdef\n").unwrap();
    let told = "warning: the machine stopped before all of the store was on the disk; blobs removed \
                because they were damaged: 1. They are fetched again when they are needed.\n";
    let sound = "0 blobs, 0 B read, 0 needed by no image\n";
    expect(&run(&["store", "verify"]), 0, sound, told);
    expect(&run(&["store", "verify"]), 0, sound, "");
    assert!(!blob.exists());
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = sealift()
            .run(Path::new("/"), &["completions", shell])
            .success();
        assert!(outcome.stdout.contains("prefetch"), "{shell}");
    }
}

/// `docs/commands.md` is made from the command line's own help.
/// `UPDATE_DOCS=1 cargo test -p sealift --test commands` writes it.
#[test]
fn the_command_page_equals_the_command_line() {
    let mut page =
        String::from("# Commands\n\nMade from the program's own help; a test compares the two.\n");
    let mut root = sealift::commands::Cli::command().term_width(100);
    root.build();
    describe(&mut root, &mut page);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/commands.md is out of date: run this test with UPDATE_DOCS=1"
    );
}

fn describe(command: &mut clap::Command, page: &mut String) {
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .replace('-', " ");
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!(
        "\n## {name}\n\n```text\n{}\n```\n",
        lines.join("\n").trim_end()
    ));
    for inner in command
        .get_subcommands_mut()
        .filter(|inner| inner.get_name() != "help")
    {
        describe(inner, page);
    }
}

#[test]
fn no_advice_names_a_command_that_is_not_there() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            for group in ["store", "builder"] {
                let command = sealift::commands::Cli::command();
                let group = command.find_subcommand(group).unwrap();
                let start = format!("sealift {} ", group.get_name());
                for (at, _) in text.match_indices(&start) {
                    let rest = &text[at + start.len()..];
                    let end = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap();
                    let (word, place) = (&rest[..end], entry.path());
                    assert!(
                        group.find_subcommand(word).is_some(),
                        "{start}{word} in {place:?}"
                    );
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 5);
}

#[test]
fn a_store_that_cannot_be_written_says_where_else_it_can_be() {
    // Nobody, root included, makes a folder there.
    let sealift = sealift().env("SEALIFT_HOME", "/sys/sealift");
    let outcome = sealift.run(Path::new("/"), &["store", "ls"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let end = "another place for it: SEALIFT_HOME=FOLDER\n";
    assert!(outcome.stderr.ends_with(end), "{}", outcome.stderr);
}

#[test]
fn a_builder_behind_a_command_that_fails_is_told_in_its_own_words() {
    let project = Project::dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    let builder = "exec:ls /is-not-there";
    let outcome = sealift().run(project.path(), &["build", "--builder", builder]);
    assert_eq!(outcome.code, Some(19), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("/is-not-there"),
        "{}",
        outcome.stderr
    );
    for word in ["source:", "Custom {", "code:"] {
        assert!(!outcome.stderr.contains(word), "{}", outcome.stderr);
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = sealift().command(Path::new("/"), &["version"]);
    let output = command
        .stdout(full.unwrap())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(16), "{errors}");
    assert!(
        errors.starts_with("error: cannot write to standard output\n"),
        "{errors}"
    );
}

#[test]
fn platforms_may_have_blanks_behind_their_commas() {
    let project = Project::dockerfile("FROM busybox:1.36\n");
    let plan = |list: &str| {
        let outcome = sealift().run(project.path(), &["plan", "--platform", list]);
        outcome.success().stdout
    };
    let blanks = plan("linux/amd64, linux/arm64");
    assert!(blanks.contains(" [linux/amd64, linux/arm64], for Dockerfile:1\n"));
    assert_eq!(blanks, plan("linux/amd64,linux/arm64"));
}
