//! Docker's own archive form, which `docker load` reads.

use std::path::Path;

use sealift_oci::Manifest;
use serde_json::json;

use crate::Image;
use crate::image::append_file;

impl Image {
    /// Writes an image of one platform as an archive for `docker load`, under a name.
    ///
    /// # Panics
    /// Where it has several platforms, or the file cannot be written.
    pub fn write_docker_archive(&self, path: &Path, name: &str) {
        assert!(self.children.is_empty(), "docker load takes one platform");
        let manifest = Manifest::parse(&self.root.bytes).expect("we made this manifest");
        let config = format!("{}.json", manifest.config.digest.hex());
        let layers: Vec<String> = manifest
            .layers
            .iter()
            .map(|layer| format!("{}/layer.tar", layer.digest.hex()))
            .collect();
        let entries = json!([{"Config": config, "RepoTags": [name], "Layers": layers}]);
        let mut archive = tar::Builder::new(Vec::new());
        append_file(
            &mut archive,
            "manifest.json",
            entries.to_string().as_bytes(),
            0o644,
        );
        for (descriptor, file) in
            std::iter::once((&manifest.config, &config)).chain(manifest.layers.iter().zip(&layers))
        {
            let found = self.blobs.iter().find(|b| b.descriptor == *descriptor);
            let blob = found.expect("an image holds what its manifest names");
            append_file(&mut archive, file, &blob.bytes, 0o644);
        }
        let bytes = archive.into_inner().expect("memory takes all writes");
        std::fs::write(path, bytes).expect("a temporary folder can be written");
    }
}
