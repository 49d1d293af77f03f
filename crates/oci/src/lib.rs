//! The OCI image specification's data and names: digests, references, platforms, media types,
//! descriptors, manifests, indexes and image configurations. Pure: text in, values out.

mod config;
mod descriptor;
mod digest;
mod document;
mod error;
mod index;
mod manifest;
mod media_type;
mod platform;
mod reference;

pub use config::{Config, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher};
pub use error::{Error, Result};
pub use index::Index;
pub use manifest::Manifest;
pub use media_type::MediaType;
pub use platform::Platform;
pub use reference::{Reference, Repository};

/// Annotation of a layout's `index.json` entry that names the image (image-spec, annotations.md).
pub const ANNOTATION_REF_NAME: &str = "org.opencontainers.image.ref.name";
