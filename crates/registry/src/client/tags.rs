//! The tags of a repository, for whoever mistyped one.

use std::cmp::Reverse;

use sealift_oci::Reference;
use sealift_transport::{Phase, Request};
use serde::Deserialize;

use super::Client;
use super::auth::Action;
use crate::path::{RequestPath, Resource};

/// How much of a list is read, in bytes. Its further pages are not asked for.
const LIST_LIMIT: u64 = 1 << 20;
/// How many tags are shown.
const SHOWN: usize = 3;

#[derive(Deserialize)]
struct List {
    tags: Option<Vec<String>>,
}

impl Client {
    /// Returns the tags most like a reference's, which does not exist; none where its registry lists
    /// none. One request, whose failure is nothing to report.
    pub(super) async fn similar_tags(&self, reference: &Reference) -> Vec<String> {
        let (Some(wanted), None, Ok(route)) =
            (reference.tag(), reference.digest(), self.route(reference))
        else {
            return Vec::new();
        };
        let path = RequestPath::new(reference.repository(), Resource::Tags);
        let label = reference.to_string();
        let request = self.request(Request::get(path.to_string()), Phase::Resolve, &label);
        let request = request.once().whether();
        let access = self.access(reference, Action::Pull);
        let asked = self
            .transport()
            .document(&route, &request, LIST_LIMIT, &access);
        let Ok(document) = asked.await else {
            return Vec::new();
        };
        let list: Option<List> = serde_json::from_slice(&document.body).ok();
        similar(wanted, list.and_then(|list| list.tags).unwrap_or_default())
    }
}

/// Returns the tags that share most of their beginning and end with the one that is wanted.
fn similar(wanted: &str, mut tags: Vec<String>) -> Vec<String> {
    let is_tag = |tag: &String| {
        let valid = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        tag.len() <= 128 && tag.chars().all(valid)
    };
    let shared = |tag: &str| {
        let same = |(a, b): &(char, char)| a == b;
        let start = wanted.chars().zip(tag.chars()).take_while(same).count();
        let end = wanted.chars().rev().zip(tag.chars().rev());
        let most = wanted.len().min(tag.len());
        (start + end.take_while(same).count()).min(most)
    };
    tags.retain(|tag| is_tag(tag) && 2 * shared(tag) >= wanted.len().min(tag.len()));
    tags.sort_by_key(|tag| (Reverse(shared(tag)), tag.len(), tag.clone()));
    tags.truncate(SHOWN);
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_tags_come_first_and_no_others() {
        let tags = [
            "1.36",
            "1.36.1",
            "1.37.0",
            "latest",
            "uclibc",
            "\u{1b}[31m",
            "1",
        ];
        let similar = |wanted| similar(wanted, tags.map(str::to_owned).to_vec());
        assert_eq!(similar("1.36.2"), ["1.36.1", "1.36", "1.37.0"]);
        assert_eq!(similar("lates"), ["latest"]);
        assert_eq!(similar("atest"), ["latest"]);
        assert_eq!(similar("nothing-like-it"), Vec::<String>::new());
    }
}
