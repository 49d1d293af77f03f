//! Real images, made in memory: layers that unpack, configurations and manifests of either family,
//! indexes. The same calls give the same digests on every machine.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use sealift_oci::{Descriptor, Digest, Index, Manifest, MediaType, Platform};
use serde_json::{Value, json};

/// Content with what describes it.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Blob {
    /// Describes bytes.
    #[must_use]
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes,
        }
    }
}

/// An image of one platform or of several, with all of its content.
#[derive(Debug, Clone)]
pub struct Image {
    /// The index, or the manifest where there is one platform.
    pub root: Blob,
    /// The manifests that an index lists.
    pub children: Vec<Blob>,
    /// Configurations and layers, each once.
    pub blobs: Vec<Blob>,
}

impl Image {
    /// Joins images of one platform into an index, of the first one's family.
    ///
    /// # Panics
    /// Where one of them is an index itself.
    #[must_use]
    pub fn index(images: impl IntoIterator<Item = Self>) -> Self {
        let mut children: Vec<Blob> = Vec::new();
        let mut blobs: Vec<Blob> = Vec::new();
        for image in images {
            assert!(image.children.is_empty(), "an index lists manifests only");
            children.push(image.root);
            for blob in image.blobs {
                if !blobs
                    .iter()
                    .any(|known| known.descriptor == blob.descriptor)
                {
                    blobs.push(blob);
                }
            }
        }
        let docker = children.first().is_some_and(|child| {
            child.descriptor.media_type.as_str() == MediaType::DOCKER_MANIFEST
        });
        let media_type = if docker {
            MediaType::DOCKER_INDEX
        } else {
            MediaType::OCI_INDEX
        };
        let mut index = Index::new(children.iter().map(|c| c.descriptor.clone()).collect());
        index.media_type = Some(MediaType::new(media_type));
        Self {
            root: Blob::new(media_type, to_json(&index)),
            children,
            blobs,
        }
    }

    /// Returns the digest of the index, or of the manifest where there is one platform.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.root.descriptor.digest
    }

    /// Returns the manifests: the index's, or the root where there is one platform.
    #[must_use]
    pub fn manifests(&self) -> &[Blob] {
        if self.children.is_empty() {
            std::slice::from_ref(&self.root)
        } else {
            &self.children
        }
    }

    /// Returns the size in bytes of all configurations and layers.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.descriptor.size).sum()
    }

    /// Returns every blob: root, manifests, configurations, layers.
    pub fn all(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.root)
            .chain(&self.children)
            .chain(&self.blobs)
    }

    /// Writes an OCI image layout that names this image `name`.
    ///
    /// # Panics
    /// Where a file cannot be written.
    pub fn write_layout(&self, folder: &Path, name: &str) {
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("a temporary folder can be written");
        for blob in self.all() {
            let path = blobs.join(blob.descriptor.digest.hex());
            std::fs::write(path, &blob.bytes).expect("a temporary folder can be written");
        }
        let mut entry = self.root.descriptor.clone();
        let key = sealift_oci::ANNOTATION_REF_NAME.to_owned();
        entry.annotations.insert(key, name.to_owned());
        std::fs::write(folder.join("index.json"), to_json(&Index::new(vec![entry])))
            .expect("a temporary folder can be written");
        std::fs::write(
            folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("a temporary folder can be written");
    }
}

/// Makes an image of one platform, layer by layer.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    platform: Platform,
    layers: Vec<Layer>,
    config: Value,
    docker: bool,
}

#[derive(Debug, Clone)]
struct Layer {
    tar: Vec<u8>,
    form: Form,
}

/// How a layer lies in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Gzip,
    /// Gzip that stores without compressing: for bytes that nothing makes smaller.
    Stored,
}

impl ImageBuilder {
    /// Begins an empty image for a platform such as `linux/arm64`.
    ///
    /// # Panics
    /// Where the platform's text is none.
    #[must_use]
    pub fn new(platform: &str) -> Self {
        Self {
            platform: Platform::parse(platform).expect("a platform's text"),
            layers: Vec::new(),
            config: json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}),
            docker: false,
        }
    }

    /// Takes Docker's media types (schema 2) in place of OCI's.
    #[must_use]
    pub const fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// Sets a field of the configuration's `config` object: `Entrypoint`, `Cmd`, `OnBuild` …
    #[must_use]
    pub fn config(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// Adds a layer of plain files: path, content, mode.
    #[must_use]
    pub fn files(self, files: &[(&str, &[u8], u32)]) -> Self {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content, mode) in files {
            append_file(&mut archive, path, content, *mode);
        }
        self.tar(archive.into_inner().expect("memory takes all writes"))
    }

    /// Adds a layer from an uncompressed tar archive.
    #[must_use]
    pub fn tar(mut self, tar: Vec<u8>) -> Self {
        self.layers.push(Layer {
            tar,
            form: Form::Gzip,
        });
        self
    }

    /// Adds a layer of about `size` bytes that nothing compresses: one file of pseudo-random bytes.
    #[must_use]
    pub fn random(mut self, seed: u64, size: usize) -> Self {
        let mut content = vec![0; size];
        fastrand::Rng::with_seed(seed).fill(&mut content);
        let mut archive = tar::Builder::new(Vec::with_capacity(size + 4096));
        append_file(
            &mut archive,
            &format!("random-{seed}-{size}"),
            &content,
            0o644,
        );
        self.layers.push(Layer {
            tar: archive.into_inner().expect("memory takes all writes"),
            form: Form::Stored,
        });
        self
    }

    /// Makes the image.
    #[must_use]
    pub fn build(self) -> Image {
        let family = Family::of(self.docker);
        let diff_ids: Vec<Digest> = self.layers.iter().map(|l| Digest::sha256(&l.tar)).collect();
        let history: Vec<Value> = (0..self.layers.len())
            .map(|number| json!({"created": EPOCH, "created_by": format!("test layer {number}")}))
            .collect();
        let mut config = json!({
            "created": EPOCH,
            "os": self.platform.os,
            "architecture": self.platform.architecture,
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        if let Some(variant) = &self.platform.variant {
            config["variant"] = json!(variant);
        }
        let config = Blob::new(family.config, to_json(&config));
        let layers: Vec<Blob> = self
            .layers
            .iter()
            .map(|layer| Blob::new(family.layer, compress(&layer.tar, layer.form)))
            .collect();
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::new(family.manifest)),
            artifact_type: None,
            config: config.descriptor.clone(),
            layers: layers.iter().map(|l| l.descriptor.clone()).collect(),
            subject: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let mut root = Blob::new(family.manifest, to_json(&manifest));
        root.descriptor.platform = Some(self.platform);
        let blobs = std::iter::once(config).chain(layers).collect();
        Image {
            root,
            children: Vec::new(),
            blobs,
        }
    }
}

/// The creation time of everything here.
const EPOCH: &str = "2026-01-01T00:00:00Z";

/// The media types of one of the two families.
struct Family {
    manifest: &'static str,
    config: &'static str,
    layer: &'static str,
}

impl Family {
    const fn of(docker: bool) -> Self {
        if docker {
            Self {
                manifest: MediaType::DOCKER_MANIFEST,
                config: MediaType::DOCKER_CONFIG,
                layer: MediaType::DOCKER_LAYER_GZIP,
            }
        } else {
            Self {
                manifest: MediaType::OCI_MANIFEST,
                config: MediaType::OCI_CONFIG,
                layer: MediaType::OCI_LAYER_GZIP,
            }
        }
    }
}

fn compress(tar: &[u8], form: Form) -> Vec<u8> {
    let level = match form {
        Form::Gzip => Compression::fast(),
        Form::Stored => Compression::none(),
    };
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), level);
    encoder.write_all(tar).expect("memory takes all writes");
    encoder.finish().expect("memory takes all writes")
}

/// Appends one regular file, owned by root, with a fixed time.
pub(crate) fn append_file(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    content: &[u8],
    mode: u32,
) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive
        .append_data(&mut header, path, content)
        .expect("memory takes all writes");
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("values of this module are JSON")
}
