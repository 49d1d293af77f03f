//! The requests that a pull of one image would make, in their order, without making them.

use std::io::{self, Write};

use sealift_oci::Reference;
use serde::Serialize;

use super::Network;
use super::endpoint::Endpoint;
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
        let mut requests = Vec::new();
        let mut number = 0;
        let mut before = None;
        for endpoint in &hops.mirrors {
            let (resolves, serves) = (
                hops.resolves(endpoint.serves),
                hops.has_content(endpoint.serves),
            );
            if resolves || serves {
                let ask = Ask {
                    reference,
                    endpoint,
                    origin: false,
                    resolves,
                    serves,
                };
                self.ask(&ask, before, &mut requests);
                number += 1;
                before = resolves.then_some(number).or(before);
            }
        }
        let endpoint = &hops.origin;
        let ask = Ask {
            reference,
            endpoint,
            origin: true,
            resolves: true,
            serves: true,
        };
        self.ask(&ask, before, &mut requests);
        Ok(Explanation {
            image: reference.to_string(),
            requests,
        })
    }

    fn ask(&self, ask: &Ask<'_>, before: Option<usize>, requests: &mut Vec<Step>) {
        let Ask {
            reference,
            endpoint,
            ..
        } = *ask;
        let name = endpoint.repository(reference.repository().path());
        let base = endpoint.base();
        // A mirror may serve several registries; like containerd, we tell it which one is meant.
        let query = if endpoint.is_for(reference.registry()) {
            String::new()
        } else {
            format!("?ns={}", reference.registry())
        };
        let mut step = |url: String, when: String| {
            let endpoint = self.view(endpoint, ask.origin, &name);
            requests.push(Step {
                method: "GET",
                url,
                when,
                endpoint,
            });
        };
        if ask.resolves {
            let when = match before {
                None => "first".to_owned(),
                Some(before) => format!("if endpoint {before} fails or does not have it"),
            };
            step(
                format!("{base}/{name}/manifests/{}{query}", reference.identifier()),
                when,
            );
        }
        step(
            format!(
                "<realm of {}>?service=<service>&scope=repository:{name}:pull",
                endpoint.host
            ),
            "where a request was answered 401 with a Bearer challenge; then it is sent again"
                .to_owned(),
        );
        if ask.serves {
            step(
                format!("{base}/{name}/manifests/<digest of the platform's manifest>{query}"),
                "for each platform wanted, where the first answer is an index".to_owned(),
            );
            step(
                format!("{base}/{name}/blobs/<digest>{query}"),
                "for the configuration and every layer that the store does not have".to_owned(),
            );
        }
    }
}

/// What one endpoint is asked for.
#[derive(Clone, Copy)]
struct Ask<'a> {
    reference: &'a Reference,
    endpoint: &'a Endpoint,
    origin: bool,
    resolves: bool,
    serves: bool,
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
