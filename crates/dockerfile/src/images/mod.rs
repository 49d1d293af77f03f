//! Which images a build needs: exactly those that BuildKit would resolve.

mod arguments;
mod context;
mod dispatch;
mod environment;
mod epoch;
mod graph;
mod onbuild;
mod port;
mod resolve;
mod step;

use std::collections::BTreeMap;
use std::fmt;

use sealift_oci::Platform;

use crate::directive::{Syntax, first_word};
use crate::error::{Cause, Result};
use crate::platform;
use crate::reference::Reference;
use crate::source::Span;
use crate::stage::Dockerfile;
use context::Contexts;

/// What is built, and with what. Texts are as on a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The stage to build; the last one where there is none.
    pub target: Option<String>,
    /// The platform to build for.
    pub platform: String,
    /// The platform of the machine that builds: `BUILDPLATFORM`, and the syntax frontend's.
    pub build_platform: String,
    /// Build arguments; `BUILDKIT_SYNTAX` chooses the frontend image.
    pub build_args: BTreeMap<String, String>,
    /// Named contexts (`--build-context`). A name may end in `::os/arch`, for that platform only.
    /// What is `docker-image://…` stays an image; everything else replaces one.
    pub contexts: BTreeMap<String, String>,
    /// The ONBUILD triggers of images that are known by now, by full reference and platform. An
    /// image that is not here is taken to have none: ask again once its configuration is there.
    pub triggers: BTreeMap<(String, String), Vec<String>>,
}

impl Query {
    /// Asks for the last stage, for a platform, on a machine of another or the same platform.
    #[must_use]
    pub fn new(platform: &str, build_platform: &str) -> Self {
        Self {
            target: None,
            platform: platform.to_owned(),
            build_platform: build_platform.to_owned(),
            build_args: BTreeMap::new(),
            contexts: BTreeMap::new(),
            triggers: BTreeMap::new(),
        }
    }

    /// Notes the ONBUILD triggers of an image, from its configuration.
    pub fn learn(&mut self, need: &ImageNeed, triggers: Vec<String>) {
        let key = (need.reference.clone(), need.platform.clone());
        self.triggers.insert(key, triggers);
    }
}

/// Why an image is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Via {
    /// The `# syntax=` directive, or `BUILDKIT_SYNTAX`.
    Syntax,
    /// `FROM`
    From,
    /// `COPY --from`
    Copy,
    /// `RUN --mount=from=…`
    Mount,
    /// An ONBUILD trigger of a base.
    Onbuild,
}

impl Via {
    /// Returns its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::From => "from",
            Self::Copy => "copy",
            Self::Mount => "mount",
            Self::Onbuild => "onbuild",
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An image that a build needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageNeed {
    /// The full reference: `docker.io/library/busybox:1.36`.
    pub reference: String,
    /// The platform that it is needed for, normalised: `linux/arm64`.
    pub platform: String,
    /// Why it is needed; the first reason in the file where there are several.
    pub via: Via,
    /// The line that asks for it; 0 where none does: `BUILDKIT_SYNTAX`, or a context that gives
    /// `SOURCE_DATE_EPOCH`.
    pub line: usize,
    /// The named context that led to it, if one did.
    pub context: Option<String>,
}

/// Returns the images that BuildKit would resolve, each once for a platform and for the name that it
/// is looked up by, which is a context's where one led to it: the syntax frontend first, then in the order of the file, then those that ONBUILD triggers ask for.
///
/// # Errors
/// What would make BuildKit refuse the build before any step runs, with its line.
pub fn images(dockerfile: &Dockerfile, query: &Query) -> Result<Vec<ImageNeed>> {
    let host = platform::parse(&query.build_platform, None)?.normalized();
    let target = platform::parse(&query.platform, Some(&host))?.normalized();
    let contexts = Contexts::new(&query.contexts);
    let mut needs = Vec::new();
    if let Some((syntax, span)) = frontend(dockerfile, query) {
        let name = first_word(&syntax).to_owned();
        let need = frontend_need(&name, &host, &contexts);
        let need = match span {
            Some(span) => need.map_err(|error| error.at(span))?,
            None => need?,
        };
        needs.extend(need.map(|mut need| {
            need.line = span.map_or(0, |span| span.start);
            need
        }));
    }
    dockerfile.check.clone()?;
    if dockerfile.stages.is_empty() {
        return Err(Cause::NoStages.into());
    }
    let setting = resolve::Setting {
        dockerfile,
        query,
        contexts: &contexts,
        host: &host,
        target: &target,
    };
    for need in resolve::needs(&setting)? {
        let known = |other: &ImageNeed| {
            other.reference == need.reference
                && other.platform == need.platform
                && other.context == need.context
        };
        if !needs.iter().any(known) {
            needs.push(need);
        }
    }
    Ok(needs)
}

/// Returns the frontend's command line, and the lines it stands on.
fn frontend(dockerfile: &Dockerfile, query: &Query) -> Option<(String, Option<Span>)> {
    if let Some(line) = query.build_args.get("BUILDKIT_SYNTAX") {
        return Some((line.trim().to_owned(), None));
    }
    let Syntax {
        command_line, line, ..
    } = dockerfile.syntax.clone()?;
    Some((command_line, Some(Span::line(line))))
}

fn frontend_need(
    name: &str,
    host: &Platform,
    contexts: &Contexts<'_>,
) -> Result<Option<ImageNeed>> {
    let reference = Reference::parse(name)?;
    let (reference, context) = match contexts.find(&reference, host) {
        Some(context) => match context.image()? {
            Some(image) => (image, Some(context.name.to_owned())),
            None => return Ok(None),
        },
        None => (reference, None),
    };
    Ok(Some(ImageNeed {
        reference: reference.full(),
        platform: host.to_string(),
        via: Via::Syntax,
        line: 0,
        context,
    }))
}
