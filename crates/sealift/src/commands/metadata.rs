//! `--metadata-file`: what was built and from what, with buildx's keys where it has them.

use std::path::Path;

use sealift_oci::{Descriptor, Reference};
use serde_json::{Value, json};

use crate::build::Built;
use crate::error::Result;
use crate::file;
use crate::prefetch::Pins;

/// Describes a build.
#[must_use]
pub fn describe(
    names: &[Reference],
    root: Option<&Descriptor>,
    built: &[Built],
    pins: &Pins,
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
    let units: Vec<Value> = built
        .iter()
        .filter(|built| built.manifest.is_some())
        .map(|built| {
            json!({
                "component": built.order.unit.component,
                "target": built.order.unit.target,
                "platform": built.order.unit.platform,
                "digest": built.manifest.as_ref().map(|manifest| &manifest.digest),
                "config_digest": built.config,
                "seal": built.order.seal.as_str(),
                "seconds": built.duration.as_secs_f64(),
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
    file::write_bytes(path, super::session::json(value)?.as_bytes())
}
