//! What a build will do, as printable data: units, and the images that they need. Made without a
//! network and without a builder.

pub mod images;

use std::collections::HashMap;
use std::sync::Arc;

use sealift_oci::{Platform, Reference};
use serde::Serialize;

use crate::error::Result;
use crate::project::{Component, NamedContext, Place};
use crate::unit::{UnitId, as_text, as_texts};
pub use images::{Need, Triggers};

/// What is to be built.
#[derive(Debug, Clone)]
pub struct Request {
    /// The components, each with what is to be made of it.
    pub inputs: Vec<Arc<Input>>,
    /// The platform of the machine that builds.
    pub build_platform: Platform,
}

/// What is to be made of one component.
#[derive(Debug, Clone)]
pub struct Input {
    /// The component.
    pub component: Component,
    /// The target stage; the last one where none is named.
    pub target: Option<String>,
    /// The platforms, each once.
    pub platforms: Vec<Platform>,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Named contexts.
    pub contexts: Vec<NamedContext>,
    /// The result's names.
    pub names: Vec<Reference>,
}

/// What a build will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// One solve each.
    pub units: Vec<Unit>,
    /// Every image that they need, with its platforms: what is fetched.
    pub images: Vec<PlannedImage>,
}

/// A component for one target and one platform, with what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Which one.
    #[serde(flatten)]
    pub id: UnitId,
    /// The images that it needs.
    #[serde(rename = "images")]
    pub needs: Vec<Need>,
    /// The position of its input in the request.
    #[serde(skip)]
    pub input: usize,
}

/// An image with the platforms it is needed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedImage {
    /// The full reference.
    pub reference: Reference,
    /// The platforms.
    #[serde(serialize_with = "as_texts")]
    pub platforms: Vec<Platform>,
    /// What asks for it first.
    #[serde(serialize_with = "as_text")]
    pub place: Place,
    /// The stage that its name looks like a typing mistake of.
    #[serde(skip)]
    pub meant: Option<String>,
}

impl Plan {
    /// Plans a build. Triggers of images that are not known yet are taken to be none: plan again
    /// once they are.
    ///
    /// # Errors
    /// What BuildKit would refuse a Dockerfile for, with its line.
    pub fn make(request: &Request, triggers: &Triggers) -> Result<Self> {
        let mut plan = Self::without_needs(request);
        for unit in &mut plan.units {
            if let Some(input) = request.inputs.get(unit.input) {
                let (platform, native) = (&unit.id.platform, &request.build_platform);
                unit.needs = images::needs(input, platform, native, triggers)?;
            }
        }
        plan.images = gather(&plan.units);
        Ok(plan)
    }

    /// Plans a build whose images are BuildKit's to find.
    #[must_use]
    pub fn without_needs(request: &Request) -> Self {
        let mut units = Vec::new();
        for (position, input) in request.inputs.iter().enumerate() {
            units.extend(input.platforms.iter().map(|platform| Unit {
                id: UnitId {
                    component: input.component.name.clone(),
                    target: input.target.clone(),
                    platform: platform.clone(),
                },
                needs: Vec::new(),
                input: position,
            }));
        }
        let images = Vec::new();
        Self { units, images }
    }

    /// Returns the needs of all units.
    pub fn needs(&self) -> impl Iterator<Item = &Need> {
        self.units.iter().flat_map(|unit| &unit.needs)
    }
}

fn gather(units: &[Unit]) -> Vec<PlannedImage> {
    let mut images: Vec<PlannedImage> = Vec::new();
    let mut positions: HashMap<&Reference, usize> = HashMap::new();
    for need in units.iter().flat_map(|unit| &unit.needs) {
        let position = *positions.entry(&need.reference).or_insert_with(|| {
            images.push(PlannedImage {
                reference: need.reference.clone(),
                platforms: Vec::new(),
                place: need.place.clone(),
                meant: need.meant.clone(),
            });
            images.len() - 1
        });
        if let Some(image) = images.get_mut(position)
            && !image.platforms.contains(&need.platform)
        {
            image.platforms.push(need.platform.clone());
        }
    }
    images
}
