//! Failures of registries, worded for people: what failed, why, and what helps.

use std::path::Path;

use sealift_oci::Reference;
use sealift_transport::{Class, Phase, Spent};

use crate::error::{Error, Kind};
use crate::size;

impl From<sealift_registry::Error> for Error {
    fn from(error: sealift_registry::Error) -> Self {
        error_for(error.to_string(), error)
    }
}

/// Words a registry's failure: `text` says what failed; the cause, what helps against it, and the
/// option that gives more time where a budget is used up are added.
#[must_use]
pub fn error_for(text: String, error: sealift_registry::Error) -> Error {
    if let sealift_registry::Error::NoRoom {
        image,
        path,
        needed,
        available,
    } = &error
    {
        return no_room(image.as_deref(), path, *needed, *available);
    }
    let spent = error.request().and_then(sealift_transport::Error::spent);
    let option = spent.map(|spent| match spent {
        Spent::Term { of: Spent::RUN, .. } => "--run-budget",
        Spent::Term { .. } => "--image-budget",
        Spent::Request { .. } => "--retry-budget",
    });
    let more = option.map(|option| {
        format!("run it again: it resumes from what arrived; or allow more time with {option}")
    });
    let hints: Vec<String> = error
        .hint()
        .into_iter()
        .chain(login(&error))
        .chain(more)
        .collect();
    let elsewhere = elsewhere(&error);
    let mut failed = Error::new(error.class(), text).because(error);
    if let Some(lines) = elsewhere {
        failed = failed.excerpt(lines);
    }
    hints.into_iter().fold(failed, Error::hint)
}

/// Says how to log in where credentials are refused or missing, and how to see which are used.
fn login(error: &sealift_registry::Error) -> Option<String> {
    let request = error.request()?;
    let image = Reference::parse(request.label()).ok()?;
    if request.class() != Class::Auth {
        return None;
    }
    // Tokens are given by another host than the one to log in to.
    let host = match request.phase() {
        Phase::Token => image.registry(),
        _ => request.host(),
    };
    let host = match host {
        "docker.io" | "registry-1.docker.io" => String::new(),
        host => format!(" {host}"),
    };
    Some(format!(
        "docker login{host}; which account is used now: sealift network explain {image}"
    ))
}

/// Says what the mirrors answered, where the error is another endpoint's: a mirror that does not
/// have the image is often what has to be put right.
fn elsewhere(error: &sealift_registry::Error) -> Option<String> {
    let others = error.request()?.elsewhere();
    let lines = others
        .iter()
        .map(|other| format!("  {}: {}\n", other.host(), other.text()));
    (!others.is_empty()).then(|| format!("other endpoints said:\n{}", lines.collect::<String>()))
}

/// What is missing of an image, or of all of them together, does not fit.
fn no_room(image: Option<&str>, store: &Path, needed: u64, available: u64) -> Error {
    let image = image.unwrap_or("the images");
    let (needed, available) = (size::bytes(needed), size::bytes(available));
    let store = store.display();
    let text = format!(
        "not enough space for {image}: {needed} are still to come, {available} are free at {store}"
    );
    Error::new(Kind::Disk, text)
        .hint("free some space: sealift store rm IMAGE, then sealift store gc")
        .hint("or use another disk: SEALIFT_HOME=FOLDER")
}
