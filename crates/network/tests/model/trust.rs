//! Whose project files are read, and what a user's trust covers.

use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use sealift_network::{Network, Places, Trust, project};

/// A user who is neither root nor whoever runs the tests.
const STRANGER: u32 = 12_345;

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn places(&self, environment: &[(&str, &str)], trust: Trust) -> Places {
        let environment = environment.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        Places {
            root: self.0.path().to_owned(),
            environment: environment.collect(),
            working_directory: PathBuf::from("/a/b"),
            project_files: ["/a/b", "/a"]
                .map(|at| Path::new(at).join("sealift.toml"))
                .into(),
            trust,
            user: 0,
            flags: sealift_network::Flags::default(),
        }
    }

    fn digest(&self) -> sealift_oci::Digest {
        let table = project::table(&self.places(&[], Trust::default()));
        table.unwrap().unwrap().digest
    }
}

fn mirrors(places: &Places) -> (Vec<String>, Vec<String>) {
    let network = Network::read(places).unwrap();
    let mirrors = network.registries.iter().flat_map(|r| &r.mirrors);
    let warnings = network.warnings().map(ToString::to_string);
    (
        mirrors.map(ToString::to_string).collect(),
        warnings.collect(),
    )
}

fn table(mirror: &str) -> String {
    format!("[network.mirrors]\n\"docker.io\" = \"https://{mirror}\"\n")
}

#[test]
fn files_of_strangers_are_passed_over_and_said() {
    let machine = Machine::new();
    machine.file("a/sealift.toml", &table("own"));
    let near = machine.file("a/b/sealift.toml", &table("strange"));
    chown(&near, Some(STRANGER), None).unwrap();
    let any = || Trust::default().with_any(true);
    let near = near.canonicalize().unwrap();
    let refused = format!(
        "{}: the file is not used: it belongs to user 12345, whom a project of yours cannot come from",
        near.display()
    );
    let passed_over = (vec!["https://own".to_owned()], vec![refused]);
    assert_eq!(mirrors(&machine.places(&[], any())), passed_over);
    // Who called sudo is the user; so is whom the home folder belongs to.
    let read = (vec!["https://strange".to_owned()], Vec::new());
    assert_eq!(
        mirrors(&machine.places(&[("SUDO_UID", "12345")], any())),
        read
    );
    let home = machine.file("home/x", "");
    chown(home.parent().unwrap(), Some(STRANGER), None).unwrap();
    assert_eq!(mirrors(&machine.places(&[("HOME", "/home")], any())), read);
    let mut other = machine.places(&[("SUDO_UID", "12345")], any());
    other.user = 1;
    assert_eq!(mirrors(&other), passed_over);
    // A user who has looked at the file and trusts it has decided.
    let mut trust = Trust::default();
    trust.add(near, machine.digest());
    assert_eq!(mirrors(&machine.places(&[], trust)), read);
}

#[test]
fn trust_covers_what_a_table_says_and_the_files_that_it_names() {
    let machine = Machine::new();
    let text = "[network]\ndaemon-json = \"d.json\"\nproxy = \"http://p:1\"\n";
    machine.file("a/d.json", "{}");
    let path = machine.file("a/sealift.toml", text).canonicalize().unwrap();
    let digest = machine.digest();
    let mut trust = Trust::default();
    trust.add(path.clone(), digest.clone());
    let trusted = |trust: &Trust| mirrors(&machine.places(&[], trust.clone())).1.is_empty();
    assert!(trusted(&trust));
    machine.file(
        "a/sealift.toml",
        &format!("# a comment\n[other]\nx = 1\n\n{text}"),
    );
    assert!(trusted(&trust));
    let changes = [
        (
            "a/sealift.toml",
            "[network]\ndaemon-json = \"d.json\"\nproxy = \"http://q:1\"\n",
        ),
        (
            "a/sealift.toml",
            "[network]\ndaemon-json = \"e.json\"\nproxy = \"http://p:1\"\n",
        ),
        ("a/d.json", "{\"dns\": []}"),
    ];
    for (file, changed) in changes {
        machine.file(file, changed);
        assert!(!trusted(&trust), "{changed}");
        machine.file("a/sealift.toml", text);
        machine.file("a/d.json", "{}");
        assert!(trusted(&trust));
    }
    let kept: Trust = serde_json::from_str(&serde_json::to_string(&trust).unwrap()).unwrap();
    assert_eq!(
        kept.tables().collect::<BTreeMap<_, _>>(),
        [(&*path, &digest)].into()
    );
    assert!(trust.remove(&path) && !trust.remove(&path));
    assert!(!trusted(&trust));
}

#[test]
fn a_project_cannot_mark_whole_networks_as_insecure() {
    let machine = Machine::new();
    machine.file(
        "a/d.json",
        "{\"insecure-registries\": [\"0.0.0.0/0\", \"one:5000\"]}",
    );
    let path = machine.file("a/sealift.toml", "[network]\ndaemon-json = \"d.json\"\n");
    let network = Network::read(&machine.places(&[], Trust::default().with_any(true))).unwrap();
    assert!(network.insecure.is_empty());
    let folder = path.parent().unwrap().canonicalize().unwrap();
    let warnings: Vec<_> = network.warnings().map(ToString::to_string).collect();
    let expected = format!(
        "{}/d.json:1: 0.0.0.0/0 is not used: a project can name hosts as insecure, not whole networks",
        folder.display()
    );
    assert_eq!(warnings, [expected]);
    let withheld: Vec<_> = network
        .withheld
        .iter()
        .map(|host| host.value.to_string())
        .collect();
    assert_eq!(withheld, ["one:5000"]);
}
