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
mod setting;
mod step;

use std::collections::BTreeMap;
use std::fmt;

use sealift_oci::{Platform, Reference};

use crate::directive::first_word;
use crate::error::{Cause, Error, Result};
use crate::reference;
use crate::source::Span;
use crate::stage::Dockerfile;
use arguments::Arguments;
use context::Contexts;
use dispatch::Dispatch;
use resolve::Resolver;
use setting::Setting;

/// What is built, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The stage to build; the last one where there is none.
    pub target: Option<String>,
    /// The platform to build for.
    pub platform: Platform,
    /// The platform of the machine that builds: `BUILDPLATFORM`, and the syntax frontend's.
    pub build_platform: Platform,
    /// Build arguments; `BUILDKIT_SYNTAX` chooses the frontend image.
    pub build_args: BTreeMap<String, String>,
    /// Named contexts (`--build-context`). A name may end in `::os/arch`, for that platform only.
    /// What is `docker-image://…` stays an image; everything else replaces one.
    pub contexts: BTreeMap<String, String>,
    /// The ONBUILD triggers of images whose configuration is known. An image that is not here is
    /// taken to have none: ask again once its configuration is there.
    pub triggers: BTreeMap<(Reference, Platform), Vec<String>>,
}

impl Query {
    /// Asks for the last stage.
    #[must_use]
    pub fn new(platform: Platform, build_platform: Platform) -> Self {
        Self {
            target: None,
            platform,
            build_platform,
            build_args: BTreeMap::new(),
            contexts: BTreeMap::new(),
            triggers: BTreeMap::new(),
        }
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
    /// The image.
    pub reference: Reference,
    /// The platform that it is needed for, normalised.
    pub platform: Platform,
    /// Why it is needed; the first reason in the file where there are several.
    pub via: Via,
    /// The line that asks for it; 0 where none does: `BUILDKIT_SYNTAX`, or a context that gives
    /// `SOURCE_DATE_EPOCH`.
    pub line: usize,
    /// The stage whose name is so near that the image may be a typing mistake.
    pub meant: Option<String>,
    /// The named context that led to it, if one did.
    pub context: Option<String>,
}

/// Returns the images that BuildKit would resolve: the syntax frontend first, then in the order of
/// the file, then those that ONBUILD triggers ask for. An image stands there once for each platform,
/// and once more for each named context that led to it.
///
/// # Errors
/// What would make BuildKit refuse the build before any step runs, with its line.
pub fn images(dockerfile: &Dockerfile, query: &Query) -> Result<Vec<ImageNeed>> {
    let setting = Setting {
        dockerfile,
        query,
        contexts: Contexts::new(&query.contexts),
        host: query.build_platform.clone().normalized(),
        target: query.platform.clone().normalized(),
    };
    let mut needs: Vec<ImageNeed> = frontend(&setting)?.into_iter().collect();
    dockerfile.check.clone()?;
    if dockerfile.stages.is_empty() {
        return Err(Cause::NoStages.into());
    }
    for need in stages(&setting)? {
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

/// Finds the image of the frontend, if the build names one and no context replaces it.
fn frontend(setting: &Setting<'_>) -> Result<Option<ImageNeed>> {
    let (command_line, line) = match setting.query.build_args.get("BUILDKIT_SYNTAX") {
        Some(command_line) => (command_line.trim(), 0),
        None => match &setting.dockerfile.syntax {
            Some(syntax) => (syntax.command_line.as_str(), syntax.line),
            None => return Ok(None),
        },
    };
    let need = || {
        let reference = reference::parse(first_word(command_line))?;
        let context = setting.contexts.find(&reference, &setting.host);
        let image = context.map_or(Ok(Some(reference)), |context| context.image())?;
        Ok(image.map(|reference| ImageNeed {
            reference,
            platform: setting.host.clone(),
            via: Via::Syntax,
            line,
            meant: None,
            context: context.map(|context| context.name.to_owned()),
        }))
    };
    need().map_err(|error: Error| match line {
        0 => error,
        line => error.at(Span::line(line)),
    })
}

/// Finds the images of the stages that the target reaches, step by step as BuildKit does.
fn stages(setting: &Setting<'_>) -> Result<Vec<ImageNeed>> {
    let mut arguments = Arguments::global(setting)?;
    let epoch = epoch::settle(&mut arguments, setting)?;
    let mut resolver = Resolver::new(setting);
    for stage in &setting.dockerfile.stages {
        resolver
            .add_stage(stage, &arguments)
            .map_err(|error| error.at(stage.span))?;
    }
    let target = resolver.target()?;
    resolver.connect()?;
    resolver.graph.check_cycles()?;
    loop {
        resolver.resolve(target)?;
        if !onbuild::run(&mut resolver, target)? {
            break;
        }
    }
    resolver.late(target)?;
    let dispatch = Dispatch {
        graph: &resolver.graph,
        escape: setting.dockerfile.escape,
        global: &arguments,
        given: &Arguments::given(setting),
    };
    dispatch.check(target)?;
    let epoch = epoch.map(|(reference, context)| ImageNeed {
        reference,
        platform: setting.host.clone(),
        via: Via::From,
        line: 0,
        meant: None,
        context: Some(context),
    });
    Ok(epoch.into_iter().chain(resolver.needs()).collect())
}
