//! What a request asks for, under the names that its endpoint has for repositories.

use sealift_transport::Endpoint;

use super::scope::Scope;

/// What one request needs: the repository that it is about, and those it touches besides.
pub(super) struct Wanted {
    pub(super) first: Scope,
    pub(super) rest: Vec<Scope>,
}

impl Wanted {
    /// Reads the scope of a request, which this crate wrote, under the names of an endpoint.
    pub(super) fn at(endpoint: &Endpoint, text: &str) -> Option<Self> {
        let scopes = Scope::parse_list(text).into_iter();
        let mut scopes = scopes.map(|scope| scope.renamed(|path| name_at(endpoint, path)));
        Some(Self {
            first: scopes.next()?,
            rest: scopes.collect(),
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Scope> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

/// A repository's name in requests to an endpoint: mirrors have prefixes of their own.
pub(crate) fn name_at(endpoint: &Endpoint, path: &str) -> String {
    let url = endpoint.url(path).ok();
    let name = url.as_ref().and_then(|url| url.path().split_once("/v2/"));
    name.map_or(path, |(_, name)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use sealift_transport::Scheme;

    use super::*;

    #[test]
    fn repositories_are_named_as_the_endpoint_is_asked_for_them() {
        let endpoint = Endpoint::new(Scheme::Https, "m").unwrap();
        let name = |base| name_at(&endpoint.clone().with_base(base), "library/a");
        assert_eq!(name("/v2"), "library/a");
        assert_eq!(name("/v2/hub"), "hub/library/a");
        assert_eq!(name("/artifactory/v2"), "library/a");
        assert_eq!(name("/odd"), "library/a");
        let stripped = endpoint.with_base("/v2/hub").with_strip("library");
        assert_eq!(name_at(&stripped, "library/a"), "hub/a");
    }
}
