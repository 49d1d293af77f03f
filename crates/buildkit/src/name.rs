//! File names as text. Patterns and links are defined on text, but a name may be any bytes: those
//! that are not UTF-8 stand as private characters in between, and none is lost.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Byte `b` that is not UTF-8 is the character `ESCAPE + b`.
const ESCAPE: u32 = 0x10_ff00;

/// Writes a name as text.
pub(crate) fn text(name: &[u8]) -> String {
    let escape = |byte: u8| char::from_u32(ESCAPE + u32::from(byte)).unwrap_or_default();
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if u32::from(c) < ESCAPE {
                text.push(c);
            } else {
                text.extend(c.encode_utf8(&mut [0; 4]).bytes().map(escape));
            }
        }
        text.extend(chunk.invalid().iter().copied().map(escape));
    }
    text
}

/// Returns the bytes of a name that was written as text.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(ESCAPE).map(u8::try_from) {
            Some(Ok(byte)) => bytes.push(byte),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Writes a name of the system as text.
pub(crate) fn of_system(name: &OsStr) -> String {
    text(name.as_bytes())
}

/// Returns a name as the system takes it.
pub(crate) fn to_system(text: &str) -> OsString {
    OsString::from_vec(bytes(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_byte_that_is_no_text_is_one_character() {
        assert_eq!(text("grün".as_bytes()), "grün");
        assert_eq!(text(b"caf\xe9\xe2\x82").chars().count(), 6);
        assert_eq!(text("\u{10ffe9}".as_bytes()).chars().count(), 4);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(name in any::<Vec<u8>>(), known in any::<String>()) {
            prop_assert_eq!(bytes(&text(&name)), name);
            prop_assert_eq!(bytes(&text(known.as_bytes())), known.as_bytes());
        }
    }
}
