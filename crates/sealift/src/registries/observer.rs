//! Translates what transport and registries report into our events.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sealift_registry as registry;
use sealift_transport as transport;

use crate::event::{Attempt, Event, Events, HostTotal, now};

#[derive(Debug, Default)]
struct State {
    /// The image that each blob under way is fetched for.
    blobs: HashMap<String, String>,
    /// Images under way.
    images: HashMap<String, Fetching>,
    /// The host that each image's content comes from.
    hosts: HashMap<String, String>,
}

#[derive(Debug)]
struct Fetching {
    since: Instant,
    platforms: Vec<String>,
    missing: u64,
}

/// Translates reports.
#[derive(Debug)]
pub struct Observer {
    events: Events,
    state: Mutex<State>,
}

impl Observer {
    /// Translates into these events.
    #[must_use]
    pub fn new(events: &Events) -> Self {
        Self {
            events: events.clone(),
            state: Mutex::default(),
        }
    }
}

impl Observer {
    fn attempt(&self, event: &transport::Event) {
        let transport::Event::AttemptFailed {
            subject,
            attempt,
            class,
            text,
            decision,
            ..
        } = event
        else {
            return;
        };
        self.events.tell(&Event::Attempt(Attempt {
            time: now(),
            phase: subject.phase,
            image: subject.label.to_string(),
            host: subject.host.to_string(),
            class: *class,
            text: text.clone(),
            attempt: *attempt,
            decision: decision.to_string(),
        }));
    }

    /// Tells where an image's content comes from, whenever that changes.
    fn endpoint(&self, image: &str, host: &str, mirror: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.hosts.get(image).is_some_and(|known| known == host) {
            return;
        }
        state.hosts.insert(image.to_owned(), host.to_owned());
        drop(state);
        let (image, host) = (image.to_owned(), host.to_owned());
        self.events.tell(&Event::Endpoint {
            image,
            host,
            mirror,
        });
    }
}

impl transport::Observer for Observer {
    fn event(&self, event: &transport::Event) {
        let told = match event {
            transport::Event::AttemptFailed { .. } => return self.attempt(event),
            transport::Event::AttemptEnded {
                subject,
                attempt,
                bytes,
                millis,
            } => Event::Request {
                phase: subject.phase,
                image: subject.label.to_string(),
                host: subject.host.to_string(),
                attempt: *attempt,
                bytes: *bytes,
                seconds: seconds(*millis),
            },
            transport::Event::Waiting {
                subject,
                reason,
                millis,
            } => Event::Waiting {
                host: subject.host.to_string(),
                reason: reason_of(reason),
                seconds: seconds(*millis),
            },
            transport::Event::RateLimit {
                host,
                limit,
                remaining,
                ..
            } => Event::RateLimit {
                host: host.to_string(),
                limit: *limit,
                remaining: *remaining,
            },
            transport::Event::EndpointChosen { subject, mirror }
                if subject.phase == transport::Phase::Blob =>
            {
                return self.endpoint(&subject.label, &subject.host, *mirror);
            }
            _ => match remark(event) {
                Some(remark) => remark,
                None => return,
            },
        };
        self.events.tell(&told);
    }
}

/// Returns what is said about a host.
fn remark(event: &transport::Event) -> Option<Event> {
    Some(match event {
        transport::Event::BreakerOpened { host, millis } => {
            let time = crate::size::seconds(seconds(*millis));
            let text = format!("{host} fails again and again; it is left alone for {time}");
            Event::Note { text }
        }
        transport::Event::Unanswered { subject, millis } => Event::Note {
            text: format!(
                "still waiting for {} ({} of {}): no answer for {}",
                subject.host,
                subject.phase,
                subject.label,
                crate::size::seconds(seconds(*millis))
            ),
        },
        transport::Event::Downgraded { from, host } => Event::Warning {
            text: format!(
                "{from} redirects to plain HTTP at {host}: the content's digest is checked, but others on the way can see it"
            ),
        },
        transport::Event::Quarantined { host, text } => Event::Warning {
            text: format!("{host} is not asked again in this run: {text}"),
        },
        _ => return None,
    })
}

impl registry::Watcher for Observer {
    fn event(&self, event: &registry::Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match event {
            registry::Event::Resolved {
                image,
                platforms,
                missing,
                ..
            } => {
                let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
                let (since, missing) = (Instant::now(), *missing);
                let fetching = Fetching {
                    since,
                    platforms: platforms.clone(),
                    missing,
                };
                state.images.insert(image.clone(), fetching);
                Event::ImageFetching {
                    image: image.clone(),
                    platforms,
                }
            }
            registry::Event::ImageDone { image, .. } => {
                let Some(fetching) = state.images.remove(image) else {
                    return;
                };
                Event::ImageFetched {
                    image: image.clone(),
                    platforms: fetching.platforms,
                    bytes: fetching.missing,
                    seconds: fetching.since.elapsed().as_secs_f64(),
                }
            }
            registry::Event::BlobMismatch { digest, hosts } => Event::Warning {
                text: format!(
                    "{digest} from {} has the wrong content; fetching it again",
                    hosts.join(", ")
                ),
            },
            _ => match state.blob(event) {
                Some(told) => told,
                None => return,
            },
        };
        drop(state);
        self.events.tell(&told);
    }
}

impl State {
    fn blob(&mut self, event: &registry::Event) -> Option<Event> {
        let (digest, done, total) = match event {
            registry::Event::BlobStarted {
                image,
                digest,
                size,
                resumed,
            } => {
                self.blobs.insert(digest.to_string(), image.clone());
                (digest, *resumed, *size)
            }
            registry::Event::BlobProgress { digest, done, size } => (digest, *done, *size),
            registry::Event::BlobDone {
                digest,
                size,
                cached: false,
            } => (digest, *size, *size),
            _ => return None,
        };
        let digest = digest.to_string();
        let image = self.blobs.get(&digest)?.clone();
        Some(Event::BlobProgress {
            image,
            digest,
            done,
            total,
        })
    }
}

/// Tells each host's traffic, and returns the bytes that came in over all of them.
pub fn totals(transport: &transport::Transport, events: &Events) -> u64 {
    let mut fetched = 0;
    // A host whose name could not be looked up was never asked.
    let asked = transport.totals().into_iter();
    for (host, total) in asked.filter(|(_, total)| total.requests > 0) {
        fetched += total.received;
        events.tell(&Event::HostTotal(HostTotal {
            host,
            requests: total.requests,
            bytes: total.received,
            sent: total.sent,
            failures: total.failures,
            lost_seconds: seconds(total.lost_ms),
        }));
    }
    fetched
}

fn reason_of(reason: &transport::Reason) -> String {
    match reason {
        transport::Reason::Backoff { class } => format!("the last attempt failed ({class})"),
        transport::Reason::RetryAfter { asked } => format!("it asked for {asked} s"),
        transport::Reason::Paced => "it limits how often it is asked".to_owned(),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a wait of 2^53 milliseconds never ends"
)]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
