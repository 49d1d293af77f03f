//! The requests that a pull of one image would make, in their order, without making them.

use std::io::{self, Write};

use sealift_oci::Reference;
use serde::Serialize;

use super::Network;
use super::endpoint::Endpoint;
use super::overview::View;
use super::sink::client;

/// One request.
#[derive(Debug, Serialize)]
pub struct Step {
    /// The method.
    pub method: &'static str,
    /// The URL; `DIGEST` and `<…>` stand for what earlier answers say.
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
    /// Lists the requests that a pull of an image makes, of the endpoints that the registry client
    /// gets.
    ///
    /// # Errors
    /// [`client::Error`] where the client would not pull the image either.
    pub fn explain(&self, reference: &Reference) -> Result<Explanation, client::Error> {
        let hops = self.hops(reference)?;
        let mut requests = Vec::new();
        let mut number = 0;
        let mut before = None;
        for endpoint in hops.mirrors.iter().chain([&hops.origin]) {
            let origin = std::ptr::eq(endpoint, &hops.origin);
            let ask = Ask {
                reference,
                endpoint,
                asked: client::endpoint(self, endpoint, reference.registry())?,
                resolves: origin || hops.resolves(endpoint.serves),
                serves: origin || hops.has_content(endpoint.serves),
                origin,
            };
            if ask.resolves || ask.serves {
                self.ask(&ask, before, &mut requests)?;
                number += 1;
                before = ask.resolves.then_some(number).or(before);
            }
        }
        Ok(Explanation {
            image: reference.to_string(),
            requests,
        })
    }

    fn ask(
        &self,
        ask: &Ask<'_>,
        before: Option<usize>,
        requests: &mut Vec<Step>,
    ) -> Result<(), client::Error> {
        let path = ask.reference.repository().path();
        let name = ask.asked.name(path);
        let authority = ask.asked.authority();
        let mut step = |url: String, when: String| {
            requests.push(Step {
                method: "GET",
                url,
                when,
                endpoint: self.view(ask.endpoint, ask.origin, &authority, &name),
            });
        };
        let url = |kind: &str, identifier: &str| {
            let url = ask.asked.url(&format!("{path}/{kind}/{identifier}"));
            let url = url.map_err(|source| client::Error::of(ask.endpoint, source))?;
            Ok::<_, client::Error>(url.to_string())
        };
        if ask.resolves {
            let when = match before {
                None => "first".to_owned(),
                Some(before) => format!("if endpoint {before} fails or does not have it"),
            };
            step(url("manifests", &ask.reference.identifier())?, when);
        }
        step(
            format!("<realm of {authority}>?service=<service>&scope=repository:{name}:pull"),
            "where a request was answered 401 with a Bearer challenge; then it is sent again"
                .to_owned(),
        );
        if ask.serves {
            step(
                url("manifests", "DIGEST")?,
                "for each platform wanted, where the first answer is an index".to_owned(),
            );
            step(
                url("blobs", "DIGEST")?,
                "for the configuration and every layer that the store does not have".to_owned(),
            );
        }
        Ok(())
    }
}

/// What one endpoint is asked for.
struct Ask<'a> {
    reference: &'a Reference,
    endpoint: &'a Endpoint,
    /// The same endpoint as the client has it.
    asked: sealift_transport::Endpoint,
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
