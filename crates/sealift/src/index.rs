//! The platforms of a component joined to one image.

use sealift_content::Store;
use sealift_oci::{Descriptor, Index, MediaType, Platform};

use crate::error::{Error, Kind, Result};
use crate::prefetch::inventory;

/// Joins the manifests of several platforms. What a solve made is a manifest, or an index where it
/// has attestations: their entries are kept beside it.
///
/// # Errors
/// [`Kind::Local`], [`Kind::Disk`] or [`Kind::Corrupt`] where the store can't be used.
pub fn assemble(store: &Store, built: &[(Platform, Descriptor)]) -> Result<Descriptor> {
    let mut entries = Vec::new();
    for (platform, image) in built {
        if image.media_type.is_index() {
            entries.extend(inventory::index(store, image)?.manifests);
        } else {
            let mut entry =
                Descriptor::new(image.media_type.clone(), image.digest.clone(), image.size);
            entry.platform = Some(platform.clone());
            entries.push(entry);
        }
    }
    let mut index = Index::new(entries);
    let docker = MediaType::DOCKER_MANIFEST;
    if index
        .manifests
        .iter()
        .all(|entry| entry.media_type.as_str() == docker)
    {
        // Some registries refuse an OCI index around Docker's manifests.
        index.media_type = Some(MediaType::new(MediaType::DOCKER_INDEX));
    }
    inventory::put_index(store, &index)
}

/// Selects the image that a machine of this platform would run, for outputs that hold one alone.
///
/// # Errors
/// [`Kind::Absent`] where it was not built, naming what was.
pub fn select(built: &[(Platform, Descriptor)], wanted: &Platform) -> Result<Descriptor> {
    let ranked = built
        .iter()
        .filter_map(|(platform, image)| Some((wanted.rank(platform)?, image)));
    let best = ranked
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, image)| image.clone());
    // One platform alone is what the user means, whatever this machine is.
    let only = (built.len() == 1)
        .then(|| built.first().map(|(_, image)| image.clone()))
        .flatten();
    best.or(only).ok_or_else(|| {
        let there: Vec<String> = built
            .iter()
            .map(|(platform, _)| platform.to_string())
            .collect();
        let text = format!(
            "no image for {wanted} was built, only for {}",
            there.join(", ")
        );
        Error::new(Kind::Absent, text).hint(format!("add it: --platform {wanted}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(platform: &str) -> (Platform, Descriptor) {
        let image = Descriptor::of(MediaType::OCI_MANIFEST, platform.as_bytes());
        (Platform::parse(platform).unwrap(), image)
    }

    #[test]
    fn an_index_names_every_platform_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let built = [built("linux/amd64"), built("linux/arm64")];
        let root = assemble(&store, &built).unwrap();
        let index = inventory::index(&store, &root).unwrap();
        for (platform, image) in &built {
            assert_eq!(index.select(platform).unwrap().digest, image.digest);
        }
        assert_eq!(assemble(&store, &built).unwrap(), root);
    }

    #[test]
    fn a_machine_gets_its_own_platform() {
        let both = [built("linux/amd64"), built("linux/arm64")];
        let arm64 = Platform::parse("linux/arm64").unwrap();
        assert_eq!(select(&both, &arm64).unwrap(), both[1].1);
        assert_eq!(select(&both[..1], &arm64).unwrap(), both[0].1);
        let s390x = Platform::parse("linux/s390x").unwrap();
        assert_eq!(select(&both, &s390x).unwrap_err().kind(), Kind::Absent);
    }
}
