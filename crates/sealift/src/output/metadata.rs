//! `--metadata-file`: what was built and from what, with buildx's keys where it has them.

use std::path::Path;

use sealift_oci::{Descriptor, Reference};
use serde_json::{Value, json};

use crate::build::{Built, Seal};
use crate::error::Result;
use crate::file;
use crate::prefetch::Pins;

/// Describes a component's build.
#[must_use]
pub fn describe(
    names: &[Reference],
    root: Option<&Descriptor>,
    built: &[Built],
    pins: &Pins,
    seal: Seal,
) -> Value {
    let names: Vec<String> = names.iter().map(Reference::familiar).collect();
    let images: Vec<Value> = pins
        .iter()
        .map(|((reference, platform), manifest)| {
            json!({
                "reference": reference,
                "platform": platform.to_string(),
                "digest": manifest.digest,
            })
        })
        .collect();
    let made = built.iter().filter_map(|built| {
        let image = built.outcome.built()?;
        Some((&built.unit, image, image.manifest.as_ref()?))
    });
    let units: Vec<Value> = made
        .map(|(unit, image, manifest)| {
            json!({
                "component": unit.component,
                "target": unit.target(),
                "platform": unit.platform.to_string(),
                "digest": manifest.digest,
                "config_digest": image.config,
                "seal": seal,
                "seconds": image.duration.as_secs_f64(),
            })
        })
        .collect();
    let mut value = json!({ "sealift": { "images": images, "units": units } });
    if let (Some(root), Some(object)) = (root, value.as_object_mut()) {
        object.insert("image.name".to_owned(), json!(names.join(",")));
        object.insert("containerimage.digest".to_owned(), json!(root.digest));
        object.insert("containerimage.descriptor".to_owned(), json!(root));
    }
    value
}

/// Writes it.
///
/// # Errors
/// [`crate::error::Kind::Local`] where the file can't be written.
pub fn write(path: &Path, value: &Value) -> Result<()> {
    file::write_bytes(path, format!("{value:#}\n").as_bytes())
}
