//! Plants each fault in small made-up crates and checks that it is found and named.

use crate::source::{self, Source};
use crate::{arrows, circles, parameters};

fn planted(files: &[(&str, &str)]) -> Vec<Source> {
    let texts = files.iter();
    source::parse(texts.map(|(path, text)| (format!("crates/{path}"), (*text).to_owned())))
}

#[test]
fn a_circle_of_two_files_is_found() {
    let sources = planted(&[
        ("x/src/lib.rs", "mod a; mod b;"),
        ("x/src/a.rs", "use crate::b::B; pub struct A;"),
        (
            "x/src/b.rs",
            "pub struct B; fn f() -> Option<crate::a::A> { None }",
        ),
    ]);
    assert_eq!(
        circles::of(&sources, "x"),
        ["a circle of imports:\
          \n    crates/x/src/a.rs -> crates/x/src/b.rs: B\
          \n    crates/x/src/b.rs -> crates/x/src/a.rs: A"]
    );
}

#[test]
fn a_circle_is_found_through_groups_renames_super_re_exports_and_macros() {
    let sources = planted(&[
        ("x/src/lib.rs", "mod deep; mod a; pub use deep::Thing;"),
        (
            "x/src/deep/mod.rs",
            "mod inner; mod side; pub use inner::Thing; pub use side as beside;",
        ),
        (
            "x/src/deep/inner.rs",
            "use super::side; pub struct Thing(side::Side);",
        ),
        (
            "x/src/deep/side.rs",
            "use crate::{a::{A as Other, nothing}}; pub struct Side;",
        ),
        (
            "x/src/a.rs",
            "pub struct A; fn f() { format!(\"{}\", crate::deep::Thing::new()) }",
        ),
    ]);
    assert_eq!(
        circles::of(&sources, "x"),
        ["a circle of imports:\
          \n    crates/x/src/a.rs -> crates/x/src/deep/inner.rs: new\
          \n    crates/x/src/deep/inner.rs -> crates/x/src/deep/side.rs: Side\
          \n    crates/x/src/deep/side.rs -> crates/x/src/a.rs: A, nothing"]
    );
}

#[test]
fn a_folder_and_its_own_files_may_use_each_other() {
    let sources = planted(&[
        ("x/src/lib.rs", "mod a; pub use a::A;"),
        (
            "x/src/a/mod.rs",
            "mod b; mod c; use b::B; pub struct A; pub use c::C; fn f() { b::g() }",
        ),
        ("x/src/a/b.rs", "use super::A; use super::C; pub struct B;"),
        ("x/src/a/c.rs", "pub struct C;"),
    ]);
    assert_eq!(circles::of(&sources, "x"), [""; 0]);
}

#[test]
fn a_circle_through_a_folder_and_a_file_outside_is_found() {
    let sources = planted(&[
        ("x/src/lib.rs", "mod a; mod outer;"),
        (
            "x/src/a/mod.rs",
            "mod b; use crate::outer::Outer; pub struct A;",
        ),
        ("x/src/a/b.rs", "use super::A; pub struct B;"),
        ("x/src/outer.rs", "use crate::a::b::B; pub struct Outer;"),
    ]);
    assert_eq!(
        circles::of(&sources, "x"),
        ["a circle of imports:\
          \n    crates/x/src/a/mod.rs -> crates/x/src/outer.rs: Outer\
          \n    crates/x/src/outer.rs -> crates/x/src/a/b.rs: B"]
    );
}

#[test]
fn a_file_that_uses_a_folder_further_up_closes_a_circle() {
    let sources = planted(&[
        ("x/src/lib.rs", "mod a;"),
        ("x/src/a/mod.rs", "mod b; use b::c::C; pub struct A;"),
        ("x/src/a/b/mod.rs", "pub mod c;"),
        ("x/src/a/b/c.rs", "use super::super::A; pub struct C;"),
    ]);
    assert_eq!(
        circles::of(&sources, "x"),
        ["a circle of imports:\
          \n    crates/x/src/a/b/c.rs -> crates/x/src/a/mod.rs: A\
          \n    crates/x/src/a/mod.rs -> crates/x/src/a/b/c.rs: C"]
    );
}

#[test]
fn tests_tie_no_circle_and_do_not_count() {
    let sources = planted(&[
        ("x/src/lib.rs", "mod a; mod b; #[cfg(test)] mod oracle;"),
        (
            "x/src/a.rs",
            "//! A.\n#[cfg(test)]\nuse crate::b::B;\npub struct A;\nimpl A {\n#[cfg(test)]\nfn f() {\nB\n}\n}\n\
             #[cfg(all(test, unix))]\npub(super) mod tests {\nuse crate::b::C;\n}\npub struct Last;\n",
        ),
        ("x/src/b.rs", "use crate::a::A; pub struct B;"),
        ("x/src/oracle.rs", "use crate::a::A;"),
        ("x/src/oracle/deep.rs", "use crate::a::A;"),
    ]);
    assert_eq!(circles::of(&sources, "x"), [""; 0]);
    let paths: Vec<_> = sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "crates/x/src/a.rs",
            "crates/x/src/b.rs",
            "crates/x/src/lib.rs"
        ]
    );
    assert_eq!(sources[0].lines, 5);
    assert_eq!(
        sources[0].text,
        "//! A.\n\n\npub struct A;\nimpl A {\n\n\n\n\n}\n\n\n\n\npub struct Last;"
    );
}

#[test]
fn conditions_that_also_hold_outside_of_tests_cut_nothing_off() {
    let sources = planted(&[(
        "x/src/lib.rs",
        "#[cfg(not(test))]\nfn a() {}\n#[cfg(any(test, unix))]\nfn b() {}\n#[cfg(any(test, all(test, unix)))]\nfn c() {}\n",
    )]);
    assert_eq!(sources[0].lines, 4);
}

#[test]
fn tuple_parameters_are_found_wherever_functions_stand() {
    let sources = planted(&[(
        "x/src/lib.rs",
        "fn free((a, b): (u8, u8)) {}\n\
         struct S;\nimpl S {\n    fn method(&self, pair: &(u8, u8)) {}\n}\n\
         trait T {\n    fn promised(pair: &mut (u8, u8));\n}\n\
         fn fine(list: &[(u8, u8)], unit: ()) -> (u8, u8) { (0, 0) }\n",
    )]);
    assert_eq!(
        parameters::tuples(&sources[0]),
        [
            "crates/x/src/lib.rs:1: free takes a tuple",
            "crates/x/src/lib.rs:4: method takes a tuple",
            "crates/x/src/lib.rs:7: promised takes a tuple",
        ]
    );
}

#[test]
fn arrows_against_the_flow_are_found() {
    let sources = planted(&[
        (
            "sealift/src/lib.rs",
            "mod cli; mod build; mod error; mod plan; mod output; pub use plan::Plan;",
        ),
        ("sealift/src/cli.rs", "pub struct Cli;"),
        ("sealift/src/error.rs", "pub struct Error;"),
        (
            "sealift/src/plan/mod.rs",
            "use crate::error::Error; pub struct Plan;",
        ),
        (
            "sealift/src/build/mod.rs",
            "use crate::{Plan, output::{self, Parcel}}; pub struct Built;",
        ),
        (
            "sealift/src/build/run.rs",
            "use super::Built; fn f() { crate::cli::Cli }",
        ),
        ("sealift/src/output/mod.rs", "use crate::build::Built;"),
        ("sealift/src/output/deliver.rs", "use super::Parcel;"),
    ]);
    assert_eq!(
        arrows::between_stages(&sources),
        [
            "crates/sealift/src/build/mod.rs -> crates/sealift/src/output/mod.rs: Parcel",
            "crates/sealift/src/build/run.rs -> crates/sealift/src/cli.rs: Cli",
        ]
    );
}

#[test]
fn arrows_between_crates_are_read_from_the_manifest() {
    let manifest = "[dependencies]\nsealift-oci.workspace = true\nsealift-failure = { path = \"x\" }\n\
                    bytes.workspace = true\n[dev-dependencies]\nsealift-test-support.workspace = true\n";
    assert_eq!(
        arrows::in_manifest("content", manifest, &["oci"]),
        ["crates/content uses crates/failure"]
    );
}
