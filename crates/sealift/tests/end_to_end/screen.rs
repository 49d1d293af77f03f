//! What a person sees: real builds on a terminal (util-linux's `script` makes one).

use std::process::Command;

use sealift_test_support::Project;

use crate::scene::Scene;

/// Runs a build on a terminal, and returns all bytes that it got and whether the build succeeded.
fn on_terminal(scene: &Scene, project: &Project, variables: &[(&str, &str)]) -> (String, bool) {
    let mut arguments = scene.build_arguments(&["--platform", "linux/amd64", "-t", "app:1"]);
    arguments.retain(|argument| argument != "--progress=plain");
    let build = scene.sealift.command(project.path(), &arguments);
    let words = std::iter::once(build.get_program()).chain(build.get_args());
    let words: Vec<_> = words
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--command",
        &words.join(" "),
        "/dev/null",
    ]);
    script.current_dir(project.path()).env_clear();
    for (name, value) in build.get_envs() {
        script.env(name, value.unwrap());
    }
    script.envs(variables.iter().copied());
    let output = script.output().expect("util-linux has it");
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.success(),
    )
}

#[test]
fn a_live_view_leaves_what_ended_each_on_a_row_of_its_own() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox:1.36\n\
         RUN echo a step whose command is longer than a terminal of the usual width shows; sleep 1\n",
    );
    let (bytes, succeeded) = on_terminal(&scene, &project, &[("TERM", "xterm")]);
    assert!(succeeded, "{bytes}");
    let mut terminal = vt100::Parser::new(24, 80, 0);
    terminal.process(bytes.as_bytes());
    let shown = terminal.screen().contents();
    let rows: Vec<&str> = shown.lines().collect();
    let row = |start: &str| rows.iter().find(|row| row.starts_with(start)).copied();
    assert!(
        row("✓ docker.io/library/busybox:1.36 [linux/amd64]").is_some(),
        "{shown}"
    );
    let step = row(" => linux/amd64 [1/2] RUN echo a step").expect(&shown);
    assert_eq!(step.chars().count(), 79, "{shown}");
    let (command, time) = step.split_once('…').expect(&shown);
    assert!(
        command.ends_with("echo a step whose command is longer than a term"),
        "{shown}"
    );
    assert!(time.starts_with(" 1.") && time.ends_with('s'), "{shown}");
    // Nothing of what was drawn meanwhile is left.
    assert_eq!(row("[+] "), None, "{shown}");
    assert!(
        bytes.contains("[+] ") && bytes.contains("\x1b[34m"),
        "{bytes}"
    );
    assert!(row("Done in ").is_some(), "{shown}");

    let plain = [("TERM", "xterm"), ("NO_COLOR", "1")];
    let (bytes, _) = on_terminal(&scene, &project, &plain);
    assert!(
        bytes.contains("\x1b[K") && !bytes.contains("\x1b[34m"),
        "{bytes}"
    );
    let (bytes, _) = on_terminal(&scene, &project, &[("TERM", "dumb")]);
    assert!(bytes.contains("#1 ") && !bytes.contains('\x1b'), "{bytes}");
}
