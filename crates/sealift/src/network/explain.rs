//! The requests that a pull of one image would make, in their order, without making them.

use std::io::{self, Write};

use sealift_oci::Reference;
use serde::Serialize;

use super::Network;
use super::error::Error;
use super::overview::View;

/// One request.
#[derive(Debug, Serialize)]
pub struct Step {
    /// The method.
    pub method: &'static str,
    /// The URL; `<…>` stands for what earlier answers will tell.
    pub url: String,
    /// When the request is made.
    pub when: String,
    /// The endpoint that it goes to.
    pub endpoint: View,
}

/// The requests of a pull.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The image, in full.
    pub image: String,
    /// The requests.
    pub requests: Vec<Step>,
}

impl Network {
    /// Lists the requests that a pull of an image makes.
    ///
    /// # Errors
    /// [`Error::Blocked`] where registries.conf forbids the image.
    pub fn explain(&self, reference: &Reference) -> Result<Explanation, Error> {
        let hops = self.hops(reference)?;
        let last = hops.endpoints.len().saturating_sub(1);
        let mut requests = Vec::new();
        for (number, endpoint) in hops.endpoints.iter().enumerate() {
            let name = endpoint.repository(&hops.repository);
            let base = endpoint.base();
            let origin = number == last;
            let view = || self.view(endpoint, origin, &name);
            let mirrored = !endpoint.is_for(reference.registry());
            let query = if mirrored {
                format!("?ns={}", reference.registry())
            } else {
                String::new()
            };
            let first = match number {
                0 => "first".to_owned(),
                _ => format!("if endpoint {number} fails or does not have it"),
            };
            let identifier = reference.identifier();
            requests.push(Step {
                method: "GET",
                url: format!("{base}/{name}/manifests/{identifier}{query}"),
                when: first,
                endpoint: view(),
            });
            requests.push(Step {
                method: "GET",
                url: format!(
                    "<realm of {}>?service=<service>&scope=repository:{name}:pull",
                    endpoint.host
                ),
                when: "where that was answered 401 with a Bearer challenge; then the same again"
                    .to_owned(),
                endpoint: view(),
            });
            requests.push(Step {
                method: "GET",
                url: format!("{base}/{name}/manifests/<digest of the platform's manifest>{query}"),
                when: "for each platform wanted, where the first answer is an index".to_owned(),
                endpoint: view(),
            });
            requests.push(Step {
                method: "GET",
                url: format!("{base}/{name}/blobs/<digest>{query}"),
                when: "for the configuration and every layer that the store does not have"
                    .to_owned(),
                endpoint: view(),
            });
        }
        Ok(Explanation {
            image: reference.to_string(),
            requests,
        })
    }
}

impl Explanation {
    /// Writes the list that people read.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.image)?;
        let mut endpoint = 0;
        let mut shown = String::new();
        for step in &self.requests {
            let view = &step.endpoint;
            let key = format!("{} {}", view.url, view.origin);
            if key != shown {
                endpoint += 1;
                shown = key;
                writeln!(out, "\n{endpoint}. {}  {}", view.url, view.role())?;
                writeln!(out, "   {}", view.security())?;
                writeln!(out, "   {}", view.way())?;
                match &view.account {
                    Some(account) => writeln!(out, "   as {account}")?,
                    None => writeln!(out, "   anonymously")?,
                }
            }
            writeln!(out, "   {} {}", step.method, step.url)?;
            writeln!(out, "       {}", step.when)?;
        }
        Ok(())
    }
}
