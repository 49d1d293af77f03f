//! Builds that fail, and what they say.

use sealift_test_support::{Fault, FaultPlan, Kind, Project, Sealift, busybox};

use crate::scene::{BOTH, Scene};

#[test]
fn an_image_that_lacks_a_platform_names_those_it_has() {
    let scene = Scene::new();
    scene
        .registry
        .push(&busybox(&["linux/amd64"]), "library/half", "1");
    let project = Project::dockerfile("FROM half:1\n");
    let outcome = scene.build(project.path(), &["--platform", BOTH]).failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
    for words in [
        "docker.io/library/half:1",
        "linux/arm64",
        "linux/amd64",
        "Dockerfile:1",
    ] {
        assert!(
            outcome.stderr.contains(words),
            "{words}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn an_absent_image_costs_a_request_for_it_and_one_for_its_tags() {
    let scene = Scene::new();
    let image = format!("{}/no/such:1", scene.registry.host());
    let project = Project::dockerfile(&format!("FROM {image}\n"));
    let before = scene.registry.requests().len();
    let outcome = scene.build(project.path(), &["--platform", BOTH]).failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&image), "{}", outcome.stderr);
    assert_eq!(scene.registry.requests().len() - before, 2);
    let told = format!(
        "\n{}: 2 requests, 0 B, failures: 1 absent, ",
        scene.registry.host()
    );
    let (_, end) = outcome.stderr.split_once(&told).expect(&outcome.stderr);
    assert!(end.contains("\nFailed after "), "{}", outcome.stderr);
}

#[test]
fn a_failing_step_shows_the_lines_and_its_log() {
    let scene = Scene::new();
    let project =
        Project::dockerfile("FROM busybox:1.36\nRUN echo before\nRUN echo oh no; exit 7\n");
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .failure();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let (progress, error) = outcome.stderr.split_once("error: ").unwrap();
    let name = project.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(
        error,
        format!(
            "{name} [default] does not build for linux/amd64: step [2/3] failed\n  because: exit code: 7\n\n\
             the step's last lines:\n  | oh no\n\nDockerfile:3\n     1 | FROM busybox:1.36\n     \
             2 | RUN echo before\n>    3 | RUN echo oh no; exit 7\n\n"
        )
    );
    // The command stands once among the progress, too.
    assert_eq!(
        progress.matches("echo oh no; exit 7").count(),
        1,
        "{progress}"
    );
    let log = std::fs::read_to_string(project.path().join(".build-failures.log")).unwrap();
    assert!(
        log.contains(" phase=exec ") && log.contains(" class=build "),
        "{log}"
    );
}

#[test]
fn what_buildkit_warns_of_is_said_once_with_its_url() {
    let scene = Scene::new();
    let project = Project::dockerfile("from busybox:1.36\nRUN true\n");
    let outcome = scene.build(project.path(), &["--platform", BOTH]).success();
    let warnings: Vec<_> = outcome
        .stderr
        .split("warning: ")
        .skip(1)
        .map(|text| text.lines().take_while(|line| !line.starts_with('#')))
        .map(|lines| lines.collect::<Vec<_>>().join("\n"))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", outcome.stderr);
    assert!(
        warnings[0].starts_with("ConsistentInstructionCasing: ")
            && warnings[0].contains("\n  read on: https://docs.docker.com/"),
        "{}",
        warnings[0]
    );
}

#[test]
fn one_platforms_failure_does_not_cost_the_others_result() {
    let scene = Scene::new();
    let step = "case $(uname -m) in x86_64) exit 7;; *) sleep 4; date > /made;; esac";
    let project = Project::dockerfile(&format!("FROM busybox:1.36\nRUN {step}\n"));
    let line = ["--platform", BOTH, "-t", "localhost/half:1"];
    let outcome = scene.build(project.path(), &line).failure();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let name = project.path().file_name().unwrap().to_str().unwrap();
    let failed = format!("error: {name} [default] does not build for linux/amd64: ");
    assert!(outcome.stderr.contains(&failed), "{}", outcome.stderr);
    let built = format!("✓ {name} linux/arm64 sha256:");
    let (_, rest) = outcome.stderr.split_once(&built).expect(&outcome.stderr);
    let kept = format!("{name} [default] for linux/arm64 is kept in the store, ");
    assert!(rest.contains(&kept), "{rest}");
    let blob = scene.store().join("blobs/sha256").join(&rest[..64]);
    assert!(blob.is_file(), "{}", blob.display());
    let names = scene
        .sealift
        .run(project.path(), &["store", "ls"])
        .success();
    assert!(!names.stdout.contains("localhost/half"), "{}", names.stdout);
}

#[test]
fn both_platforms_failures_are_reported() {
    let scene = Scene::new();
    let step = "case $(uname -m) in x86_64) exit 7;; *) sleep 2; exit 8;; esac";
    let project = Project::dockerfile(&format!("FROM busybox:1.36\nRUN {step}\n"));
    let outcome = scene.build(project.path(), &["--platform", BOTH]).failure();
    for words in [
        "does not build for linux/amd64: ",
        "because: exit code: 7\n",
        "does not build for linux/arm64: ",
        "because: exit code: 8\n",
    ] {
        let (_, errors) = outcome.stderr.split_once("\nerror: ").unwrap();
        assert!(errors.contains(words), "{words}: {errors}");
    }
    let fast = ["--platform", BOTH, "--fail-fast"];
    let outcome = scene.build(project.path(), &fast).failure();
    let stopped = "for linux/arm64 was not built, because ";
    assert!(outcome.stderr.contains(stopped), "{}", outcome.stderr);
    assert!(
        !outcome.stderr.contains("exit code: 8"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_download_that_breaks_is_tried_three_times_and_each_time_is_said() {
    let scene = Scene::new();
    let broken = "echo MARK; echo 'curl: (56) Recv failure: Connection reset by peer'; exit 56";
    let project = Project::dockerfile(&format!("FROM busybox:1.36\nRUN {broken}\n"));
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .failure();
    let marks = outcome.stderr.matches(" MARK\n").count();
    assert_eq!(
        marks - outcome.stderr.matches("| MARK\n").count(),
        3,
        "{}",
        outcome.stderr
    );
    for repetition in ["(repetition 1 of 2)", "(repetition 2 of 2)"] {
        assert!(outcome.stderr.contains(repetition), "{}", outcome.stderr);
    }
}

#[test]
fn a_proxy_that_refuses_a_step_is_named_with_its_place_and_the_step_run_once() {
    let mut scene = Scene::new();
    let proxy = "http://127.0.0.1:9";
    scene.sealift = scene.sealift.env("HTTP_PROXY", proxy);
    let project = Project::dockerfile(
        "FROM busybox:1.36\nRUN echo MARK; wget -q http://mirror.example/packages\n",
    );
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .failure();
    assert_eq!(outcome.code, Some(10), "{}", outcome.stderr);
    let marks = outcome.stderr.matches(" MARK\n").count();
    assert_eq!(
        marks - outcome.stderr.matches("| MARK\n").count(),
        1,
        "{}",
        outcome.stderr
    );
    let hint = format!("\n  try: steps use the proxy {proxy} (variable HTTP_PROXY), which refuses");
    assert!(outcome.stderr.contains(&hint), "{}", outcome.stderr);
}

#[test]
fn a_step_that_stalls_is_stopped_where_the_line_says_so() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUN echo begun; sleep 600\n");
    let line = ["--platform", "linux/amd64", "--step-timeout=2s"];
    let outcome = scene.build(project.path(), &line).failure();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let name = project.path().file_name().unwrap().to_str().unwrap();
    let error = format!(
        "error: {name} [default] does not build for linux/amd64: [1/2] RUN echo begun; sleep 600 \
         printed nothing for 2.0s\n  try: give it more time: --step-timeout TIME\n"
    );
    assert!(outcome.stderr.contains(&error), "{}", outcome.stderr);
}

#[test]
fn what_is_missing_of_secrets_and_stages_is_named() {
    let scene = Scene::new();
    let project = Project::dockerfile(
        "FROM busybox:1.36 AS a\nRUN --mount=type=secret,id=token,required true\n\
         FROM busybox:1.36 AS c\nFROM scratch AS b\nCOPY --from=c /gone /\n",
    );
    let build = |target: &str| {
        let line = ["--platform", "linux/amd64", "--target", target];
        let outcome = scene.build(project.path(), &line).failure();
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        outcome.stderr
    };
    let said = build("a");
    let hint = "\n  try: give it: --secret id=token,src=FILE or --secret id=token,env=VARIABLE\n";
    assert!(said.contains(hint), "{said}");
    let said = build("b");
    let hint =
        "\n  try: c has no /gone: see which step should make it there, and for linux/amd64 too\n";
    assert!(said.contains(hint), "{said}");
    assert!(!said.contains("may exclude it"), "{said}");
}

#[test]
fn every_absent_image_is_named_with_its_place() {
    let scene = Scene::new();
    let host = scene.registry.host();
    let project = Project::dockerfile(&format!(
        "FROM {host}/no/such:1 AS a\nFROM busybox:1.36\nCOPY --from={host}/nor/this:2 / /\n\
         COPY --from=a / /\n"
    ));
    let outcome = scene
        .build(project.path(), &["--platform", "linux/amd64"])
        .failure();
    assert_eq!(outcome.code, Some(14), "{}", outcome.stderr);
    for text in [
        format!("error: Dockerfile:1 needs {host}/no/such:1, which cannot be fetched\n"),
        format!("error: Dockerfile:3 needs {host}/nor/this:2, which cannot be fetched\n"),
    ] {
        assert!(outcome.stderr.contains(&text), "{}", outcome.stderr);
    }
}

#[test]
fn a_malformed_dockerfile_is_refused_before_anything_is_fetched() {
    let scene = Scene::new();
    let project = Project::dockerfile("FROM busybox:1.36\nRUNN true\n");
    let before = scene.registry.requests().len();
    let outcome = scene.build(project.path(), &[]).failure();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("Dockerfile:2"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("RUNN"), "{}", outcome.stderr);
    assert_eq!(scene.registry.requests().len(), before);
}

/// What people meet most: the token endpoint fails eight times in ten. Each build begins with
/// nothing: no store, no token. Ten homes build side by side, since most of the time is waiting.
#[test]
fn fifty_builds_of_fifty_succeed_while_tokens_fail() {
    let scene = Scene::new();
    scene
        .proxy
        .set_plan(FaultPlan::seeded(7).chance(Kind::Token, 0.8, Fault::Reset));
    let failures: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..10)
            .map(|worker| {
                let scene = &scene;
                scope.spawn(move || five_builds_from_nothing(scene, worker))
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert!(failures > 50, "{failures} failures of tokens are logged");
}

/// Returns how many failed attempts were logged.
fn five_builds_from_nothing(scene: &Scene, worker: usize) -> usize {
    let sealift = Sealift::new(env!("CARGO_BIN_EXE_sealift"));
    let project = Project::dockerfile("FROM busybox:1.36\nRUN true\n");
    let arguments = scene.build_arguments(&["--platform", "linux/arm64"]);
    for build in 0..5 {
        std::fs::remove_dir_all(sealift.store_home()).ok();
        let outcome = sealift.run(project.path(), &arguments);
        assert_eq!(
            outcome.code,
            Some(0),
            "{worker}, build {build}: {}",
            outcome.stderr
        );
    }
    let log =
        std::fs::read_to_string(project.path().join(".build-failures.log")).unwrap_or_default();
    // The mirror fails at its tokens; the registry behind it cannot be reached from here at all.
    let (origin, mirror): (Vec<&str>, Vec<&str>) = log
        .lines()
        .partition(|line| line.contains(" host=registry-1.docker.io "));
    for line in &mirror {
        assert!(
            line.contains(" phase=token ") && line.contains(" class=network "),
            "{line}"
        );
    }
    assert!(
        origin.iter().all(|line| line.contains(" phase=resolve ")),
        "{origin:?}"
    );
    mirror.len()
}
