//! What is built at once: a component for one target and one platform.

use std::fmt;

use sealift_oci::Platform;
use serde::{Serialize, Serializer};

/// Names a unit: a component for one target and one platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UnitId {
    /// The component's name.
    pub component: String,
    /// The target stage; the last one where none is named.
    #[serde(serialize_with = "target_as_text")]
    pub target: Option<String>,
    /// The platform.
    #[serde(serialize_with = "as_text")]
    pub platform: Platform,
}

impl UnitId {
    /// Returns the target's name, `default` where none is named.
    #[must_use]
    pub fn target(&self) -> &str {
        self.target.as_deref().unwrap_or("default")
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} [{}] for {}",
            self.component,
            self.target(),
            self.platform
        )
    }
}

fn target_as_text<S: Serializer>(
    target: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(target.as_deref().unwrap_or("default"))
}

/// Writes a value as people write it: a platform as `linux/arm64`.
///
/// # Errors
/// What the serializer says.
pub fn as_text<T: fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Writes each value of a list as people write it.
///
/// # Errors
/// What the serializer says.
pub fn as_texts<T: fmt::Display, S: Serializer>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}
