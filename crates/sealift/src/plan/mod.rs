//! What a build will do, as printable data: units, and the images that they need. Made without a
//! network and without a builder.

pub mod images;

use std::collections::BTreeMap;

use sealift_oci::{Platform, Reference};
use serde::Serialize;

use crate::error::Result;
use crate::project::{Component, NamedContext};
pub use images::{Need, Triggers};

/// What is to be built.
#[derive(Debug, Clone)]
pub struct Input {
    /// The component.
    pub component: Component,
    /// Its platforms, each once.
    pub platforms: Vec<Platform>,
    /// The platform of the machine that builds.
    pub build_platform: Platform,
    /// The target stage, the last one where none is named.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Named contexts.
    pub contexts: Vec<NamedContext>,
}

/// What a build will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// One solve each.
    pub units: Vec<PlannedUnit>,
    /// Every image that they need, with its platforms: what is fetched.
    pub images: Vec<PlannedImage>,
}

/// A component for one platform and one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedUnit {
    /// The component.
    pub component: String,
    /// The platform.
    pub platform: String,
    /// The target stage, `default` where none is named.
    pub target: String,
    /// The images that it needs.
    pub images: Vec<Need>,
}

/// An image with the platforms it is needed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedImage {
    /// The full reference.
    pub reference: Reference,
    /// The platforms.
    pub platforms: Vec<String>,
    /// What asks for it first, for messages: `Dockerfile:3`.
    pub place: String,
}

impl Plan {
    /// Plans a build. Triggers of images that are not known yet are taken to be none: plan again
    /// once they are.
    ///
    /// # Errors
    /// What BuildKit would refuse the Dockerfile for, with its line.
    pub fn make(input: &Input, triggers: &Triggers) -> Result<Self> {
        let mut units = Vec::new();
        for platform in &input.platforms {
            units.push(PlannedUnit {
                component: input.component.name.clone(),
                platform: platform.to_string(),
                target: input.target.clone().unwrap_or_else(|| "default".to_owned()),
                images: images::needs(input, platform, triggers)?,
            });
        }
        let images = gather(&units, &input.component.dockerfile.shown);
        Ok(Self { units, images })
    }
}

fn gather(units: &[PlannedUnit], shown: &str) -> Vec<PlannedImage> {
    let mut order: Vec<PlannedImage> = Vec::new();
    let mut positions: BTreeMap<&Reference, usize> = BTreeMap::new();
    for need in units.iter().flat_map(|unit| &unit.images) {
        let position = *positions.entry(&need.reference).or_insert_with(|| {
            order.push(PlannedImage {
                reference: need.reference.clone(),
                platforms: Vec::new(),
                place: need.place(shown),
            });
            order.len() - 1
        });
        if let Some(image) = order.get_mut(position)
            && !image.platforms.contains(&need.platform.to_string())
        {
            image.platforms.push(need.platform.to_string());
        }
    }
    order
}
