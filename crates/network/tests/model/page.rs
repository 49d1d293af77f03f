//! docs/network.md: what it shows is what is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sealift_network::{Flags, Network, Places, Trust};

fn page() -> String {
    let path = sealift_test_support::repository_root().join("docs/network.md");
    std::fs::read_to_string(path).unwrap()
}

fn block(page: &str, language: &str) -> String {
    let start = page.find(&format!("```{language}\n")).unwrap() + language.len() + 4;
    let length = page[start..].find("```").unwrap();
    page[start..start + length].to_owned()
}

#[test]
fn the_examples_of_the_page_are_read_without_a_word() {
    let root = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let page = page();
    let table = block(&page, "toml");
    file("project/sealift.toml", &table);
    file("project/deploy/daemon.json", &block(&page, "json"));
    for name in ["ca.pem", "me.pem", "me-key.pem"] {
        file(&format!("project/certs/{name}"), "PEM\n");
    }
    let places = Places {
        root: root.path().to_owned(),
        environment: BTreeMap::from([("HOME".to_owned(), "/home/u".to_owned())]),
        working_directory: PathBuf::from("/project"),
        project_files: vec![PathBuf::from("/project/sealift.toml")],
        trust: Trust::default().with_any(true),
        user: 0,
        flags: Flags::default(),
    };
    let network = Network::read(&places).unwrap();
    assert_eq!(network.warnings().count(), 0, "{:?}", network.ignored);
    let hub = network
        .registries
        .iter()
        .find(|r| r.scope.to_string() == "docker.io")
        .unwrap();
    let mirrors: Vec<_> = hub.mirrors.iter().map(ToString::to_string).collect();
    let expected = [
        "https://mirror.example.com",
        "http://10.0.0.7:5000/hub",
        "https://mirror.corp.example:8443",
    ];
    assert_eq!(mirrors, expected);
    assert_eq!(network.dns.len(), 1);
    assert!(network.build_proxy.is_some_and(|wanted| !wanted.value));
}

#[test]
fn the_page_names_every_key_of_the_table() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("project/sealift.toml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(
        &path,
        "[network]\nx = 1\n[network.registries.\"a.b\"]\nx = 1\n",
    )
    .unwrap();
    let places = Places {
        root: root.path().to_owned(),
        environment: BTreeMap::new(),
        working_directory: PathBuf::from("/project"),
        project_files: vec![PathBuf::from("/project/sealift.toml")],
        trust: Trust::default().with_any(true),
        user: 0,
        flags: Flags::default(),
    };
    let error = Network::read(&places).unwrap_err().to_string();
    let page = block(&page(), "toml");
    let mut named = 0;
    for list in error.split("; it has ").skip(1) {
        let list = list.lines().next().unwrap().replace(" and ", ", ");
        for key in list.split(", ").map(str::trim) {
            let shown = [format!("{key} ="), format!("[network.{key}")];
            assert!(
                shown.iter().any(|text| page.contains(text.as_str())),
                "{key} is not shown"
            );
            named += 1;
        }
    }
    assert_eq!(named, 16, "{error}");
}
