//! Reading the JSON documents of the OCI and Docker families.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// Parses a document in which `null` counts as absent, as Go reads and writes it: an image without
/// layers has `"layers": null`. The fields of `foreign` must be absent: with them the document could
/// be read as two kinds (image-spec, manifest.md).
///
/// # Errors
/// [`Error::Document`].
pub(crate) fn parse<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    foreign: &[&str],
) -> Result<T> {
    let invalid = |error: serde_json::Error| Error::Document {
        what,
        reason: error.to_string(),
    };
    let mut value: Value = serde_json::from_slice(bytes).map_err(invalid)?;
    drop_nulls(&mut value);
    if let Some(field) = foreign.iter().find(|field| value.get(field).is_some()) {
        let reason = format!("it has a field {field:?}, which belongs to another kind of document");
        return Err(Error::Document { what, reason });
    }
    serde_json::from_value(value).map_err(invalid)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{ImageConfig, Index, Manifest};

    /// Returns the document with one of its fields set to null, for each of its optional fields.
    fn with_nulls(document: &Value, required: &[&str]) -> Vec<(String, Value)> {
        let mut variants = Vec::new();
        collect(document, &mut String::new(), &mut variants);
        variants.retain(|path| !required.contains(&path.as_str()));
        let set = |path: &String| {
            let mut document = document.clone();
            *document.pointer_mut(path).unwrap() = Value::Null;
            (path.clone(), document)
        };
        variants.iter().map(set).collect()
    }

    fn collect(value: &Value, path: &mut String, found: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), v)).collect(),
            Value::Array(items) => (0..).map(|at: usize| at.to_string()).zip(items).collect(),
            _ => Vec::new(),
        };
        for (key, child) in children {
            let length = path.len();
            path.push('/');
            path.push_str(&key);
            // An element of a list is not a field.
            if key.parse::<usize>().is_err() {
                found.push(path.clone());
            }
            collect(child, path, found);
            path.truncate(length);
        }
    }

    /// Checks that a null anywhere reads as the same document without that field does.
    fn check<T: PartialEq + std::fmt::Debug>(
        document: &Value,
        required: &[&str],
        parse: impl Fn(&[u8]) -> crate::Result<T>,
    ) {
        let variants = with_nulls(document, required);
        assert!(variants.len() > 10);
        for (path, variant) in variants {
            let (parent, field) = path.rsplit_once('/').unwrap();
            let mut without = document.clone();
            let parent = without
                .pointer_mut(parent)
                .unwrap()
                .as_object_mut()
                .unwrap();
            parent.remove(field);
            let given = parse(variant.to_string().as_bytes());
            let absent = parse(without.to_string().as_bytes());
            assert!(given.is_ok(), "{path}: {given:?}");
            assert_eq!(given, absent, "{path}");
        }
        for path in required {
            let mut without = document.clone();
            *without.pointer_mut(path).unwrap() = Value::Null;
            assert!(parse(without.to_string().as_bytes()).is_err(), "{path}");
        }
    }

    fn descriptor(media_type: &str) -> Value {
        json!({
            "mediaType": media_type,
            "digest": format!("sha256:{}", "0".repeat(64)),
            "size": 2,
            "urls": ["https://a.example/x"],
            "annotations": {"a": "b"},
            "data": "e30=",
            "artifactType": "application/x",
            "platform": {"architecture": "amd64", "os": "linux", "os.version": "1",
                "os.features": ["a"], "variant": "v2"},
        })
    }

    #[test]
    fn null_is_absent_in_every_field_of_every_document() {
        let image = descriptor("application/vnd.oci.image.manifest.v1+json");
        check(
            &json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                "artifactType": "application/x", "manifests": [image], "subject": image,
                "annotations": {"a": "b"}, "config": null, "layers": null}),
            &[
                "/schemaVersion",
                "/manifests/0/digest",
                "/manifests/0/size",
                "/subject/digest",
                "/subject/size",
            ],
            Index::parse,
        );
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar");
        check(
            &json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "artifactType": "application/x", "config": layer, "layers": [layer],
                "subject": image, "annotations": {"a": "b"}, "manifests": null}),
            &[
                "/schemaVersion",
                "/config",
                "/config/digest",
                "/config/size",
                "/layers/0/digest",
                "/layers/0/size",
                "/subject/digest",
                "/subject/size",
            ],
            Manifest::parse,
        );
        check(
            &json!({"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1",
                "os.features": ["a"], "config": {"Env": ["A=b"], "Entrypoint": ["/a"],
                "Cmd": ["b"], "Labels": {"a": "b"}, "OnBuild": ["RUN a"]},
                "rootfs": {"type": "layers", "diff_ids": []},
                "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "a", "empty_layer": true}]}),
            &[],
            ImageConfig::parse,
        );
    }
}
