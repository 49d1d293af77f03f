//! `RUN --mount=…`: what is mounted, from where, and the rules between options.

use std::fmt;

use crate::csv::csv;
use crate::directive::parse_bool;
use crate::error::{Cause, Result};
use crate::number::{memory_size, unsigned};
use crate::suggestion::nearest;

/// The kind of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MountType {
    /// Files of the build context, a stage or an image.
    Bind,
    /// A folder that is kept between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret file or variable.
    Secret,
    /// An ssh agent.
    Ssh,
}

const TYPES: [(&str, MountType); 5] = [
    ("bind", MountType::Bind),
    ("cache", MountType::Cache),
    ("tmpfs", MountType::Tmpfs),
    ("secret", MountType::Secret),
    ("ssh", MountType::Ssh),
];

impl MountType {
    /// Returns its name in a Dockerfile.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }

    /// Returns whether the owner and the mode can be chosen.
    const fn takes_owner(self) -> bool {
        matches!(self, Self::Cache | Self::Secret | Self::Ssh)
    }
}

impl fmt::Display for MountType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A mount with its options as text: variables are expanded when the step is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The value of the flag as written.
    pub text: String,
    /// The stage or image it takes files from, if it names one. This option never expands.
    pub from: Option<String>,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    key: String,
    value: Option<String>,
    text: String,
}

/// A mount with its variables expanded and its options checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) kind: MountType,
    from: String,
    pub(crate) source: String,
    pub(crate) target: String,
    id: String,
    sharing: bool,
}

const OPTIONS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

impl Mount {
    /// Reads the flag's value. Only `from` is checked here; the rest may hold variables.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut from = None;
        let mut fields = Vec::new();
        for field in csv(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
                None => (field.to_lowercase(), None),
            };
            if let (Some(value), "from") = (&value, key.as_str()) {
                let dollar = value.find('$');
                if dollar.is_some_and(|at| at + 1 != value.len()) {
                    return Err(Cause::NotExpanded {
                        option: "RUN --mount=from",
                        value: value.clone(),
                    }
                    .into());
                }
                from = Some(value.clone()).filter(|value| !value.is_empty());
            }
            fields.push(Field {
                key,
                value,
                text: field,
            });
        }
        Ok(Self {
            text: text.to_owned(),
            from,
            fields,
        })
    }

    /// Returns whether the step waits for a stage: it names one, or is a cache, which takes scratch.
    pub(crate) fn takes_from_a_stage(&self) -> bool {
        let mut fields = self.fields.iter();
        let kind = fields.rfind(|field| field.key == "type" && field.value.is_some());
        let kind = kind.and_then(|field| field.value.as_deref());
        self.from.is_some() || kind.is_some_and(|kind| kind.eq_ignore_ascii_case("cache"))
    }

    /// Expands the options and checks them as BuildKit does when it reaches the step. None where
    /// an option's value is not known yet.
    pub(crate) fn resolve(
        &self,
        expand: &dyn Fn(&str) -> Result<Option<String>>,
    ) -> Result<Option<Resolved>> {
        let mut mount = Resolved {
            kind: MountType::Bind,
            from: String::new(),
            source: String::new(),
            target: String::new(),
            id: String::new(),
            sharing: false,
        };
        let mut owner = None;
        for field in &self.fields {
            match &field.value {
                None => mount.bare(field)?,
                Some(value) => {
                    let Some(value) = expand(value)? else {
                        return Ok(None);
                    };
                    if let Some(option) = mount.set(field, &value)? {
                        owner.get_or_insert(option);
                    }
                }
            }
        }
        mount.check(owner)?;
        Ok(Some(mount))
    }
}

impl Resolved {
    /// An option without a value.
    fn bare(&self, field: &Field) -> Result<()> {
        match field.key.as_str() {
            "readonly" | "ro" | "readwrite" | "rw" => Ok(()),
            "required" => self.only(&[MountType::Secret, MountType::Ssh], "required"),
            _ => Err(unknown(field)),
        }
    }

    fn only(&self, kinds: &[MountType], option: &'static str) -> Result<()> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        let kind = self.kind.as_str();
        Err(Cause::MountOptionType { option, kind }.into())
    }

    /// Sets an option. Returns its name where it is about the owner or the mode.
    fn set(&mut self, field: &Field, value: &str) -> Result<Option<&'static str>> {
        let invalid = |expected: &str| {
            let (name, value) = (field.key.clone(), value.to_owned());
            let expected = expected.to_owned();
            Cause::Value {
                name,
                value,
                expected,
            }
        };
        let boolean = || parse_bool(value).ok_or_else(|| invalid("true or false"));
        match field.key.as_str() {
            "type" => {
                let name = value.to_lowercase();
                let known = TYPES.into_iter().find(|(known, _)| *known == name);
                self.kind = known
                    .ok_or_else(|| invalid("bind, cache, tmpfs, secret or ssh"))?
                    .1;
            }
            "from" => value.clone_into(&mut self.from),
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "readonly" | "ro" | "readwrite" | "rw" => drop(boolean()?),
            "required" => {
                self.only(&[MountType::Secret, MountType::Ssh], "required")?;
                boolean()?;
            }
            "size" => {
                self.only(&[MountType::Tmpfs], "size")?;
                memory_size(value).ok_or_else(|| invalid("a size such as 64m"))?;
            }
            "id" => value.clone_into(&mut self.id),
            "sharing" => {
                self.sharing = matches!(
                    value.to_lowercase().as_str(),
                    "shared" | "private" | "locked"
                );
                if !self.sharing {
                    return Err(invalid("shared, private or locked").into());
                }
            }
            "mode" => {
                unsigned(value, 8).ok_or_else(|| invalid("an octal number"))?;
                return Ok(Some("mode"));
            }
            "uid" => {
                unsigned(value, 10).ok_or_else(|| invalid("a number"))?;
                return Ok(Some("uid"));
            }
            "gid" => {
                unsigned(value, 10).ok_or_else(|| invalid("a number"))?;
                return Ok(Some("gid"));
            }
            "env" => {}
            _ => return Err(unknown(field)),
        }
        Ok(None)
    }

    /// Checks the rules between options.
    fn check(&self, owner: Option<&'static str>) -> Result<()> {
        let kind = self.kind.as_str();
        if let Some(option) = owner.filter(|_| !self.kind.takes_owner()) {
            return Err(Cause::MountOptionType { option, kind }.into());
        }
        if self.sharing && self.kind != MountType::Cache {
            let option = "sharing";
            return Err(Cause::MountOptionType { option, kind }.into());
        }
        if self.kind == MountType::Secret {
            if !self.from.is_empty() {
                let option = "from";
                return Err(Cause::MountOptionType { option, kind }.into());
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                let reason = "a secret needs an id, a source or a target";
                return Err(Cause::Mount { reason }.into());
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                let reason = "a secret has either a source or an id";
                return Err(Cause::Mount { reason }.into());
            }
        }
        Ok(())
    }
}

fn unknown(field: &Field) -> crate::Error {
    let suggestion = nearest(&field.key, OPTIONS);
    let field = field.text.clone();
    Cause::MountOption { field, suggestion }.into()
}

#[cfg(test)]
mod tests {
    use super::{Mount, MountType};

    fn resolve(text: &str) -> crate::Result<super::Resolved> {
        let mount = Mount::parse(text)?.resolve(&|value| Ok(Some(value.to_owned())))?;
        Ok(mount.unwrap())
    }

    #[test]
    fn reads_from_before_anything_is_expanded() {
        let from = |text: &str| Mount::parse(text).map(|mount| mount.from);
        assert_eq!(from("type=$T,from=a,from=b").unwrap().as_deref(), Some("b"));
        assert_eq!(from("FROM=a$").unwrap().as_deref(), Some("a$"));
        assert_eq!(from("from=,target=/x").unwrap(), None);
        assert_eq!(from("from").unwrap(), None);
        assert!(from("from=$x").is_err());
        assert!(from("from=a${x}").is_err());
    }

    #[test]
    fn checks_options_where_the_step_is_reached() {
        let mount = resolve("type=CACHE,target=/c,sharing=locked,uid=1,mode=0755").unwrap();
        assert_eq!(
            (mount.kind, mount.target.as_str()),
            (MountType::Cache, "/c")
        );
        for good in [
            "ro,target=/x",
            "type=tmpfs,size=64m",
            "type=secret,id=a,required,env=A",
            "type=ssh,mode=600",
        ] {
            assert!(resolve(good).is_ok(), "{good}");
        }
        for bad in [
            "type=volume",
            "target",
            "required",
            "size=1m",
            "type=tmpfs,size=much",
            "type=cache,sharing=x",
            "uid=1",
            "type=cache,mode=9",
            "type=secret",
            "type=secret,id=a,src=b",
            "type=secret,id=a,from=b",
            "sharing=shared",
            "color=red",
            "ro=maybe",
        ] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }
}
