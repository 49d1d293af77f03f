//! `RUN --device=…`: the name of a CDI device, and whether the step needs it.

use crate::csv::csv;
use crate::directive::parse_bool;
use crate::error::{Cause, Result};
use crate::suggestion::nearest;

/// Checks the flag's value.
pub(crate) fn check(text: &str) -> Result<()> {
    let mut name = String::new();
    for field in csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("required", None) => {}
            ("required", Some(value)) => {
                parse_bool(value).ok_or_else(|| Cause::Value {
                    name: "required".to_owned(),
                    value: value.to_owned(),
                    expected: "true or false".to_owned(),
                })?;
            }
            ("name", Some(value)) if name.is_empty() => value.clone_into(&mut name),
            ("name", Some(_)) => return Err(unknown(&field, &key)),
            _ if name.is_empty() => name = field,
            _ => return Err(unknown(&field, &key)),
        }
    }
    Ok(())
}

fn unknown(field: &str, key: &str) -> crate::Error {
    Cause::MountOption {
        field: field.to_owned(),
        suggestion: nearest(key, ["name", "required"]),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn checks_devices() {
        for good in [
            "vendor.com/device=foo",
            "vendor.com/device",
            "vendor.com/device=foo,required",
            "name=vendor.com/device=foo,required=false",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a,name=b", "a,b", "a,required=x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
