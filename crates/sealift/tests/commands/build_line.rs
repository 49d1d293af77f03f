//! `prefetch` with a build line: takes it whole, checks it as `build` does, and fetches alone.

use clap::CommandFactory;
use sealift_test_support::{Project, SshAgent};

use super::{expect, sealift};

/// A build line with every option that build has.
const LINE: [&str; 33] = [
    "--file=Dockerfile",
    "--platform=linux/arm64,linux/amd64",
    "--target=last",
    "--build-arg=A=1",
    "--build-context=more=.",
    "--mirror=docker.io=http://127.0.0.1:9",
    "--proxy=none",
    "--daemon-json=daemon.json",
    "--trust-project",
    "--retry-budget=1s",
    "--image-budget=1h",
    "--run-budget=1h",
    "--retries=0",
    "--builder=unix:///no/such.sock",
    "--secret=id=token,src=token.txt",
    "--ssh=default",
    "--add-host=apphub:10.1.2.3",
    "--network=host",
    "--allow=security.insecure",
    "--no-cache",
    "--step-timeout=1h",
    "--tag=localhost/line:1",
    "--label=made=here",
    "--push",
    "--load",
    "--output=type=oci,dest=out.tar",
    "--metadata-file=metadata.json",
    "--seal=all",
    "--pull",
    "--jobs=2",
    "--fail-fast",
    "--progress=plain",
    "--verbose",
];

fn project() -> Project {
    Project::dockerfile("FROM scratch AS last\nCOPY Dockerfile /\nFROM absent:1\n")
        .file("token.txt", "a secret")
        .file("daemon.json", "{}")
}

#[test]
fn the_line_has_every_option_of_build() {
    let mut root = sealift::commands::Cli::command();
    root.build();
    let build = root.find_subcommand("build").unwrap();
    let mut missing: Vec<&str> = build
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|name| *name != "help")
        .collect();
    missing.retain(|name| {
        let given = |option: &&str| option[2..].split('=').next() == Some(name);
        !LINE.iter().any(given)
    });
    assert_eq!(missing, [""; 0]);
}

#[test]
fn prefetch_takes_a_build_line_and_only_fetches() {
    let agent = SshAgent::start();
    let sealift = sealift().env("SSH_AUTH_SOCK", agent.socket().to_str().unwrap());
    let project = project();
    let outcome = sealift.run(project.path(), &[&["prefetch"], &LINE[..]].concat());
    let outcome = outcome.success();
    let native = sealift_oci::Platform::host();
    let warned = format!(
        "warning: cannot reach the builder at unix:///no/such.sock; assuming that its platform is \
         {native}\n"
    );
    assert!(outcome.stderr.contains(&warned), "{}", outcome.stderr);
    for made in ["out.tar", "metadata.json"] {
        assert!(!project.path().join(made).exists(), "{made}");
    }
    let listed = sealift.run(project.path(), &["store", "ls"]);
    expect(&listed, 0, "IMAGE  DIGEST  PLATFORMS  SIZE\n", "");
}

#[test]
fn prefetch_refuses_what_build_refuses() {
    let sealift = sealift();
    let project = project();
    for option in [
        "--platform=linux/",
        "--build-arg==x",
        "--build-context=nothing",
        "--mirror=docker.io",
        "--proxy=ftp://x",
        "--daemon-json=absent.json",
        "--retry-budget=soon",
        "--retries=-1",
        "--builder=nonsense",
        "--secret=token.txt",
        "--secret=id=x,src=absent.txt",
        "--ssh=default",
        "--ssh=key=token.txt",
        "--add-host=apphub",
        "--network=bridge",
        "--allow=all",
        "--tag=NO NAME",
        "--tag=a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "--label==x",
        "--push",
        "--output=type=zip,dest=x",
        "--seal=some",
        "--no-such-option",
    ] {
        let run = |command: &str| sealift.run(project.path(), &[command, option]);
        let (mut build, mut prefetch) = (run("build"), run("prefetch"));
        assert!(
            matches!(build.code, Some(2 | 16)),
            "{option}: {:?} {}",
            build.code,
            build.stderr
        );
        for outcome in [&mut build, &mut prefetch] {
            // How long each of them took is not the same.
            let lines = outcome.stderr.split_inclusive('\n');
            let untimed = lines.filter(|line| !line.starts_with("Failed after "));
            outcome.stderr = untimed.collect();
        }
        let errors = build.stderr.replace("sealift build", "sealift prefetch");
        expect(&prefetch, build.code.unwrap(), &build.stdout, &errors);
    }
}
