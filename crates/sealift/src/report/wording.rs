//! What an event says in one line.

use crate::event::{Attempt, Ending, Event, HostTotal, Output};
use crate::size;
use crate::unit::UnitId;

/// Shorter waits are not worth a line, in seconds.
const WAIT_SHOWN: f64 = 5.0;

/// Words an event; nothing where it says nothing by itself, or only to those who want more.
#[must_use]
pub fn of(event: &Event, verbose: u8) -> Option<String> {
    images(event)
        .or_else(|| network(event, verbose))
        .or_else(|| builds(event))
        .or_else(|| run(event))
}

fn images(event: &Event) -> Option<String> {
    Some(match event {
        Event::Prefetching { unique } => {
            let images = size::count(*unique as u64, "unique base image");
            format!("Prefetching {images}")
        }
        Event::ImageCached { image, platforms } => {
            format!("✓ {image} (cached) [{}]", platforms.join(", "))
        }
        Event::ImageFetching { image, platforms } => {
            format!("↓ {image} [{}]", platforms.join(", "))
        }
        Event::ImageFetched {
            image,
            platforms,
            bytes,
            seconds,
        } => {
            let (bytes, seconds) = (size::bytes(*bytes), size::seconds(*seconds));
            format!("✓ {image} [{}] {bytes} in {seconds}", platforms.join(", "))
        }
        _ => return None,
    })
}

fn network(event: &Event, verbose: u8) -> Option<String> {
    let more = verbose > 0;
    Some(match event {
        Event::Attempt(failed) if more => attempt(failed),
        Event::Endpoint {
            image,
            host,
            mirror,
        } if more => {
            let kind = if *mirror {
                "the mirror"
            } else {
                "the registry"
            };
            format!("  {image} comes from {kind} {host}")
        }
        Event::Waiting {
            host,
            reason,
            seconds,
        } if *seconds >= WAIT_SHOWN || more => {
            format!("Waiting {} for {host}: {reason}", size::seconds(*seconds))
        }
        Event::Request {
            phase,
            image,
            host,
            bytes,
            seconds,
            ..
        } if verbose > 1 => {
            let (bytes, seconds) = (size::bytes(*bytes), size::seconds(*seconds));
            format!("request: {phase} {image} at {host}: {bytes} in {seconds}")
        }
        Event::HostTotal(total) => host_total(total),
        _ => return None,
    })
}

fn attempt(failed: &Attempt) -> String {
    let Attempt {
        phase,
        image,
        host,
        text,
        attempt,
        decision,
        ..
    } = failed;
    format!("retry: {phase} {image} at {host}: {text}, attempt {attempt}: {decision}")
}

fn host_total(total: &HostTotal) -> String {
    let requests = size::count(total.requests, "request");
    let mut text = format!("{}: {requests}, {}", total.host, size::bytes(total.bytes));
    if total.sent > 0 {
        text += &format!(", {} sent", size::bytes(total.sent));
    }
    if !total.failures.is_empty() {
        let failures = total.failures.iter();
        let failures: Vec<String> = failures
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        let lost = size::seconds(total.lost_seconds);
        text += &format!(", failures: {}, {lost} lost to them", failures.join(", "));
    }
    text
}

fn builds(event: &Event) -> Option<String> {
    Some(match event {
        Event::BuildStarted {
            unit,
            image,
            contexts,
        } => {
            let (component, target, platform) = (&unit.component, unit.target(), &unit.platform);
            let images = size::count(*contexts as u64, "image");
            format!(
                "Building: {component} [{target}] -> {image} ({platform}, {images} from the store)"
            )
        }
        Event::BuildRepeated { unit, reason } => {
            format!(
                "Building {} for {} again: {reason}",
                unit.component, unit.platform
            )
        }
        Event::BuildFinished { .. } => return finished(event),
        Event::Delivered {
            output,
            destination,
            digest,
        } => {
            let digest = digest
                .as_deref()
                .map(|digest| format!(" {digest}"))
                .unwrap_or_default();
            let verb = match output {
                Output::Registry => "Pushed",
                Output::Docker => "Loaded into docker",
                Output::Store => "Stored",
                Output::Archive | Output::Folder => "Wrote",
            };
            format!("{verb} {destination}{digest}")
        }
        _ => return None,
    })
}

fn finished(event: &Event) -> Option<String> {
    let Event::BuildFinished {
        unit,
        digest,
        seconds,
        sealed,
        blobs_read,
        tokens_asked,
    } = event
    else {
        return None;
    };

    let digest = digest
        .as_deref()
        .map(|digest| format!(" {digest}"))
        .unwrap_or_default();
    let proof = if *sealed {
        format!(
            "sealed: {} of blobs from the store, {} asked for",
            size::count(*blobs_read, "read"),
            size::count(*tokens_asked, "token")
        )
    } else {
        "not sealed".to_owned()
    };
    let UnitId {
        component,
        platform,
        ..
    } = unit;
    Some(format!(
        "✓ {component} {platform}{digest} in {} ({proof})",
        size::seconds(*seconds)
    ))
}

fn run(event: &Event) -> Option<String> {
    Some(match event {
        Event::Note { text } => text.clone(),
        Event::Warning { text } => format!("warning: {text}"),
        Event::StepWarning {
            text, detail, url, ..
        } => {
            let mut lines = vec![format!("warning: {text}")];
            let read_on = (!url.is_empty()).then(|| format!("read on: {url}"));
            lines.extend(detail.iter().cloned().chain(read_on));
            lines.join("\n  ")
        }
        Event::Builder { address, platforms } => {
            format!("Using builder {address} ({})", platforms.join(", "))
        }
        Event::Finished {
            ending,
            seconds,
            fetched,
        } => {
            let (seconds, fetched) = (size::seconds(*seconds), size::bytes(*fetched));
            let ended = match ending {
                Ending::Done => "Done in",
                Ending::Failed => "Failed after",
                Ending::Stopped => "Stopped after",
            };
            format!("{ended} {seconds}; {fetched} came over the network")
        }
        _ => return None,
    })
}
