//! Golden folders: `tests/golden/NAME/Dockerfile`, and next to it what this crate makes of it:
//! `expected.parse`, and `expected.images` or `expected.error`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use sealift_dockerfile::{Dockerfile, Error, Instruction, images, parse};

use crate::comparison::PLATFORMS;
use crate::corpus::query;

#[test]
fn golden_folders_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 20, "{} golden folders", folders.len());
    let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden");
    let mut wrong = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(folder.join("Dockerfile")).unwrap();
        for (kind, found) in ["parse", "images", "error"].into_iter().zip(outputs(&text)) {
            let file = format!("expected.{kind}");
            let expected = std::fs::read_to_string(folder.join(&file)).ok();
            if expected != found {
                keep(&actual.join(&name), &file, found.as_deref());
                wrong.push(format!("{name}/{file}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong:?} differ; what came out is in {}",
        actual.display()
    );
}

/// Leaves what came out where it can be looked at, and copied from.
fn keep(folder: &Path, file: &str, found: Option<&str>) {
    std::fs::create_dir_all(folder).unwrap();
    let mut target = tempfile::NamedTempFile::new_in(folder).unwrap();
    std::io::Write::write_all(&mut target, found.unwrap_or_default().as_bytes()).unwrap();
    target.persist(folder.join(file)).unwrap();
}

fn outputs(text: &str) -> [Option<String>; 3] {
    let dockerfile = match parse(text) {
        Ok(dockerfile) => dockerfile,
        Err(error) => return [None, None, Some(refusal(&error, text))],
    };
    let tree = tree(&dockerfile);
    match needs(&dockerfile) {
        Ok(needs) => [Some(tree), Some(needs), None],
        Err(error) => [Some(tree), None, Some(refusal(&error, text))],
    }
}

fn refusal(error: &Error, text: &str) -> String {
    let excerpt = error.excerpt(text, 2).map(|excerpt| excerpt.to_string());
    format!("{error}\n{}", excerpt.unwrap_or_default())
}

fn needs(dockerfile: &Dockerfile) -> Result<String, Error> {
    let mut out = String::new();
    let mut targets = vec![None];
    targets.extend(
        dockerfile
            .stages
            .iter()
            .filter_map(|stage| stage.name.clone())
            .map(Some),
    );
    for platform in PLATFORMS {
        for target in &targets {
            let mut query = query(platform);
            query.target.clone_from(target);
            let target = target.as_deref().unwrap_or("(last)");
            writeln!(out, "{platform} {target}").unwrap();
            for need in images(dockerfile, &query)? {
                let (reference, platform) = (need.reference, need.platform);
                writeln!(out, "  {}: {reference} {platform} {}", need.line, need.via).unwrap();
            }
        }
    }
    Ok(out)
}

fn tree(dockerfile: &Dockerfile) -> String {
    let mut out = String::new();
    for directive in &dockerfile.directives {
        let (line, name, value) = (directive.line, &directive.name, &directive.value);
        writeln!(out, "{line}: directive {name} {value:?}").unwrap();
    }
    for instruction in &dockerfile.arguments {
        print(&mut out, instruction);
    }
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let (base, platform) = (&stage.base, &stage.platform);
        let label = stage.name.clone();
        let label = label.unwrap_or_else(|| format!("stage-{index}"));
        writeln!(
            out,
            "{}: stage {label} of {base:?} for {platform:?}",
            stage.span
        )
        .unwrap();
        for instruction in &stage.instructions {
            print(&mut out, instruction);
        }
    }
    out
}

fn print(out: &mut String, instruction: &Instruction) {
    writeln!(out, "{}: {:#?}", instruction.span, instruction.kind).unwrap();
}
