//! What package managers say of a bad network.

use sealift_failure::Class;

use crate::steps::{HTML, all, check, without};
use Class::{Build, Config, Network};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go() {
    // It has no time-out that could be set.
    let mut faults = without(&["silence"]);
    faults.push(HTML);
    check("go", &faults, |command, place| {
        command
            .env("GOPROXY", format!("{}/go", place.address))
            .env("GOSUMDB", "off")
            .env("GOTOOLCHAIN", "local")
            .env("GOPATH", place.folder.join("go"))
            .args(["install", "example.com/x/y@v1.0.0"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cargo() {
    // Of an address that is not there it says that the registry's settings are not.
    check("cargo", &all(), |command, place| {
        std::fs::create_dir_all(place.folder.join("src")).unwrap();
        std::fs::write(place.folder.join("src/lib.rs"), "").unwrap();
        let manifest = "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\nserde = \"1\"\n";
        std::fs::write(place.folder.join("Cargo.toml"), manifest).unwrap();
        let settings = format!(
            "[source.crates-io]\nreplace-with = \"m\"\n[source.m]\nregistry = \"sparse+{}/index/\"\n\
             [net]\nretry = 0\n[http]\ntimeout = {}\n",
            place.address, place.patience
        );
        std::fs::create_dir_all(place.folder.join(".cargo")).unwrap();
        std::fs::write(place.folder.join(".cargo/config.toml"), settings).unwrap();
        command.arg("fetch");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apt() {
    let mut faults = all();
    faults.push(HTML);
    check("apt-get", &faults, |command, place| {
        let apt = place.folder.join("apt");
        for part in ["lists/partial", "cache/archives/partial", "etc"] {
            std::fs::create_dir_all(apt.join(part)).unwrap();
        }
        std::fs::write(apt.join("status"), "").unwrap();
        let source = format!("deb [trusted=yes] {}/debian bookworm main\n", place.address);
        std::fs::write(apt.join("sources.list"), source).unwrap();
        let shown = apt.display();
        let options = [
            format!("Dir::Etc::sourcelist={shown}/sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={shown}/lists"),
            format!("Dir::State::status={shown}/status"),
            format!("Dir::Cache={shown}/cache"),
            "Acquire::Retries=0".to_owned(),
            format!("Acquire::http::Timeout={}", place.patience),
            format!("Acquire::https::Timeout={}", place.patience),
            "APT::Sandbox::User=root".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
        ];
        for option in options {
            command.args(["-o", &option]);
        }
        command.arg("update");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pip() {
    // With every status that is no success it says no more than that it found nothing.
    let faults = [
        ("reset", Network),
        ("close", Network),
        ("silence", Network),
        ("closed port", Network),
        ("404", Build),
        ("503", Build),
        ("unknown authority", Config),
        ("plain for https", Config),
        ("tunnel: wants an account", Config),
    ];
    check("pip3", &faults, |command, place| {
        let options = [
            "--no-input",
            "--disable-pip-version-check",
            "--no-cache-dir",
        ];
        command.arg("download").args(options);
        command.args(["--retries", "1", "--timeout", &place.patience.to_string()]);
        command
            .arg("--index-url")
            .arg(format!("{}/simple", place.address));
        command.arg("nothing-here");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm() {
    // One more takes a second of the processor each.
    let mut faults = without(&[
        "500",
        "502",
        "504",
        "401",
        "reset",
        "proxy: wants an account",
    ]);
    faults.push(HTML);
    check("npm", &faults, |command, place| {
        let manifest = r#"{"name":"a","version":"1.0.0","dependencies":{"left-pad":"1"}}"#;
        std::fs::write(place.folder.join("package.json"), manifest).unwrap();
        let options = ["--fetch-retries=0", "--no-audit"];
        command.arg("install").args(options).arg("--no-fund");
        command.arg("--no-update-notifier");
        command.arg(format!("--fetch-timeout={}000", place.patience));
        command
            .arg("--registry")
            .arg(format!("{}/npm/", place.address));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maven() {
    let faults = [
        ("reset", Network),
        ("503", Network),
        ("404", Build),
        ("unknown authority", Config),
    ];
    check("mvn", &faults, |command, place| {
        let settings = format!(
            "<settings><localRepository>{}</localRepository><mirrors><mirror><id>m</id>\
             <mirrorOf>*</mirrorOf><url>{}/maven</url></mirror></mirrors></settings>",
            place.folder.join("m2").display(),
            place.address
        );
        std::fs::write(place.folder.join("settings.xml"), settings).unwrap();
        let project = "<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId>\
                       <artifactId>a</artifactId><version>1</version></project>";
        std::fs::write(place.folder.join("pom.xml"), project).unwrap();
        command.args(["-B", "-q", "-s", "settings.xml"]);
        command.args(["-Dmaven.wagon.http.retryHandler.count=0", "compile"]);
    })
    .await;
}
