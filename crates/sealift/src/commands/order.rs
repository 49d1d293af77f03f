//! A plan and its pins turned into orders for BuildKit.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use sealift_buildkit::Context;
use sealift_oci::{Platform, Reference};

use super::request::Request;
use crate::build::{NamedImage, Order, Product, Seal};
use crate::error::{Error, Kind, Result};
use crate::event::Unit;
use crate::output::Destination;
use crate::output::deliver::folder_of;
use crate::plan::Plan;
use crate::prefetch::Pins;
use crate::project::{ContextSource, Origin};

/// What orders are made from.
pub struct Orders<'a> {
    /// What was asked for.
    pub request: &'a Request,
    /// The images that each unit needs; none for an unsealed build.
    pub plan: Option<&'a Plan>,
    /// What they stand for.
    pub pins: &'a Pins,
}

/// Orders, and the folder of a Dockerfile that came from standard input.
pub struct Made {
    /// One for each unit and product.
    pub orders: Vec<(Order, Product)>,
    /// Removed when this is dropped.
    pub standard_input: Option<tempfile::TempDir>,
}

impl Orders<'_> {
    /// Makes one order for each platform and product: an image where one is asked for or nothing
    /// is, files where a folder is.
    ///
    /// # Errors
    /// [`Kind::Local`] where a Dockerfile from standard input can't be kept.
    pub fn make(&self) -> Result<Made> {
        let Request {
            input,
            names,
            destinations,
            surroundings,
            ..
        } = self.request;
        let surroundings = Arc::new(surroundings.clone());
        let (dockerfile, standard_input) = self.dockerfile()?;
        let image = names.first().map(Reference::familiar).unwrap_or_default();
        let several = input.platforms.len() > 1;
        let folders: Vec<&PathBuf> = destinations
            .iter()
            .filter_map(|destination| match destination {
                Destination::Folder(folder) => Some(folder),
                _ => None,
            })
            .collect();
        let wants_image = folders.len() < destinations.len() || destinations.is_empty();
        let mut orders = Vec::new();
        for platform in &input.platforms {
            let order = Order {
                unit: self.unit(platform),
                platform: platform.clone(),
                target: input.target.clone(),
                image: image.clone(),
                context: input.component.context.clone(),
                dockerfile: dockerfile.clone(),
                shown: input.component.dockerfile.shown.clone(),
                images: self.images(platform),
                contexts: self.contexts(),
                surroundings: Arc::clone(&surroundings),
                seal: self.request.seal,
            };
            for folder in &folders {
                let folder = folder_of(folder, platform, several);
                orders.push((order.clone(), Product::Files(folder)));
            }
            if wants_image {
                orders.push((order, Product::Image));
            }
        }
        Ok(Made {
            orders,
            standard_input,
        })
    }

    fn unit(&self, platform: &Platform) -> Unit {
        Unit {
            component: self.request.input.component.name.clone(),
            target: self
                .request
                .input
                .target
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            platform: platform.to_string(),
        }
    }

    /// The images of a platform's unit, under the names that the frontend looks for.
    fn images(&self, platform: &Platform) -> Vec<NamedImage> {
        let platform_text = platform.to_string();
        let units = self.plan.iter().flat_map(|plan| &plan.units);
        let needs = units
            .filter(|unit| unit.platform == platform_text)
            .flat_map(|u| &u.images);
        let mut images = Vec::new();
        for need in needs {
            let key = (need.reference.clone(), need.platform.clone());
            let Some(manifest) = self.pins.get(&key) else {
                continue;
            };
            // A context for one platform has it in its name, `base::linux/arm64`, as ours will.
            let context = need
                .context
                .as_deref()
                .map(|name| match name.split_once("::") {
                    Some((name, _)) => name.to_owned(),
                    None => name.to_owned(),
                });
            let name = context.unwrap_or_else(|| need.reference.familiar());
            let digest = manifest.digest.clone();
            // The frontend's own image is looked up for the machine that builds, whose platform
            // may be spelt otherwise there: it stands under its bare name too.
            if need.is_frontend() {
                let (name, digest) = (name.clone(), digest.clone());
                images.push(NamedImage {
                    name,
                    platform: None,
                    digest,
                });
            }
            images.push(NamedImage {
                name,
                platform: Some(need.platform.clone()),
                digest,
            });
        }
        images
    }

    fn contexts(&self) -> Vec<(String, Context)> {
        let sealed = self.request.seal != Seal::Off;
        let contexts = self.request.input.contexts.iter().filter_map(|context| {
            let source = match &context.source {
                ContextSource::Folder(folder) => Context::Folder(folder.clone()),
                ContextSource::Remote(url) => Context::Url(url.clone()),
                // A sealed build has it among its images.
                ContextSource::Image(_) if sealed => return None,
                ContextSource::Image(reference) => Context::Remote(reference.to_string()),
            };
            Some((context.name.clone(), source))
        });
        contexts.collect()
    }

    fn dockerfile(&self) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
        let file = &self.request.input.component.dockerfile;
        let bytes = match &file.origin {
            Origin::File(path) => return Ok((path.clone(), None)),
            Origin::StandardInput(bytes) => bytes,
        };
        let failed = |error: std::io::Error| {
            let text = "cannot keep the Dockerfile from standard input";
            Error::new(Kind::Local, text).because(error)
        };
        let folder = tempfile::tempdir().map_err(failed)?;
        let path = folder.path().join("Dockerfile");
        let kept = File::create_new(&path).and_then(|mut file| file.write_all(bytes));
        kept.map_err(failed)?;
        Ok((path, Some(folder)))
    }
}

/// Names an image after its folder: `localhost/FOLDER:latest`, with what names cannot have left
/// out.
///
/// # Errors
/// [`Kind::Usage`] where nothing of the folder's name is left.
pub fn default_name(folder: &str) -> Result<Reference> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let mut name = String::new();
    for c in folder.chars().map(|c| {
        if allowed(c) {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    }) {
        let separator = !c.is_ascii_alphanumeric();
        if !(separator && name.ends_with(|last: char| !last.is_ascii_alphanumeric())) {
            name.push(c);
        }
    }
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    Reference::parse(&format!("localhost/{name}:latest")).map_err(|error| {
        Error::new(Kind::Usage, "this folder's name makes no image name")
            .because(error)
            .hint("name the image: -t NAME:TAG")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_after_folders() {
        let name = |folder: &str| default_name(folder).unwrap().to_string();
        assert_eq!(name("hello"), "localhost/hello:latest");
        assert_eq!(name(".tmpAB_12"), "localhost/tmpab_12:latest");
        assert_eq!(name("My App (2)"), "localhost/my-app-2:latest");
        assert!(default_name("日本").is_err());
    }
}
