//! What the stages of one run share.

use sealift_content::Store;

use crate::event::Events;
use crate::registries::Registries;

/// The store, the registries and who is told what happens.
#[derive(Clone)]
pub struct Context {
    /// Where images are read from and results go.
    pub store: Store,
    /// Where images come from.
    pub registries: Registries,
    /// Who is told.
    pub events: Events,
}
