//! Names that endpoints have for repositories.

use sealift_transport::{Endpoint, Scheme};

use super::name_at;

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
