//! skopeo, which reads with another's eyes what we wrote.

use std::process::Command;

use crate::program;

/// Runs skopeo and returns what it prints.
///
/// # Panics
/// Where it fails, with what it says.
#[track_caller]
pub fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new(program("skopeo")).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("skopeo: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("skopeo prints text")
}
