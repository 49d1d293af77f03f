//! Whom to ask for the content of an origin: its mirrors, and the origin itself.

use std::sync::Arc;

use crate::endpoint::Endpoint;

/// The endpoints of one origin in the order in which they are asked: mirrors, the origin last.
#[derive(Debug, Clone)]
pub struct Route {
    endpoints: Arc<[Endpoint]>,
}

impl Route {
    /// Makes a route of mirrors, in the order of preference, and their origin.
    #[must_use]
    pub fn new(mirrors: impl IntoIterator<Item = Endpoint>, origin: Endpoint) -> Self {
        let mirrors = mirrors.into_iter().map(Endpoint::as_mirror);
        Self {
            endpoints: mirrors.chain([origin]).collect(),
        }
    }

    /// Makes a route of the origin alone.
    #[must_use]
    pub fn direct(origin: Endpoint) -> Self {
        Self::new([], origin)
    }

    /// Makes a route of mirrors alone, for when the origin must not be asked. The last one's 404 is
    /// then final.
    #[must_use]
    pub fn mirrors_only(mirrors: impl IntoIterator<Item = Endpoint>) -> Option<Self> {
        let endpoints: Arc<[Endpoint]> = mirrors.into_iter().map(Endpoint::as_mirror).collect();
        (!endpoints.is_empty()).then_some(Self { endpoints })
    }

    /// The endpoints in their order, the origin last.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The last endpoint: the origin, but in routes of mirrors alone.
    #[must_use]
    pub fn origin(&self) -> &Endpoint {
        self.endpoints
            .last()
            .expect("a route has at least one endpoint by construction")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Scheme;

    #[test]
    fn routes_mark_their_mirrors() {
        let end = |host| Endpoint::new(Scheme::Https, host).unwrap();
        let route = Route::new([end("a"), end("b")], end("c"));
        let marks: Vec<bool> = route.endpoints().iter().map(Endpoint::is_mirror).collect();
        assert_eq!(marks, [true, true, false]);
        assert_eq!(route.origin().host(), "c");
        assert!(Route::mirrors_only([]).is_none());
    }
}
