//! The daemon's wishes, which it sends as headers of a request.

use tonic::metadata::MetadataMap;

use crate::name;

/// Reads all values of a header, which are query-escaped where a second header says so.
pub(super) fn values(metadata: &MetadataMap, key: &str) -> Option<Vec<String>> {
    metadata.get(key)?;
    let escaped = metadata
        .get(format!("{key}-encoded"))
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"));
    let values = metadata.get_all(key).iter().map(|value| {
        let text = name::text(value.as_encoded_bytes());
        if escaped { unescape(&text) } else { text }
    });
    Some(values.collect())
}

/// Undoes Go's `url.QueryEscape`; a text that is none becomes empty, as there.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return String::new();
                };
                bytes.extend(u8::try_from(high * 16 + low));
            }
            _ => bytes.push(byte),
        }
    }
    name::text(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_headers_plain_and_escaped() {
        let mut metadata = MetadataMap::new();
        metadata.append("include-patterns", "a+b".parse().unwrap());
        metadata.append("include-patterns", "c%20d".parse().unwrap());
        let plain = values(&metadata, "include-patterns").unwrap();
        assert_eq!(plain, ["a+b", "c%20d"]);
        metadata.insert("include-patterns-encoded", "1".parse().unwrap());
        let escaped = values(&metadata, "include-patterns").unwrap();
        assert_eq!(escaped, ["a b", "c d"]);
        assert_eq!(unescape("gr%C3%BCn"), "grün");
        assert_eq!(name::bytes(&unescape("caf%E9")), b"caf\xe9");
        assert_eq!(unescape("%zz"), "");
        assert_eq!(values(&metadata, "followpaths"), None);
    }
}
