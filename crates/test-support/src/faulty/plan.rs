//! What goes wrong, and when. A plan is a value; the same plan and the same requests give the same
//! faults, in whatever order connections run: each decision comes from the seed, the rule, the
//! request's target and the number of requests that this target has had.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use fastrand::Rng;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A token, from the token endpoint.
    Token,
    /// `GET /v2/`.
    Ping,
    /// Reading a manifest or an index.
    Manifest,
    /// Reading a blob.
    Blob,
    /// Any step of an upload.
    Upload,
    /// Writing a manifest.
    Publish,
    /// Anything else.
    Other,
}

impl Kind {
    /// Tells what a request is for.
    #[must_use]
    pub fn of(method: &str, target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        if path == "/token" {
            Self::Token
        } else if path == "/v2/" || path == "/v2" {
            Self::Ping
        } else if path.contains("/manifests/") {
            if method == "PUT" {
                Self::Publish
            } else {
                Self::Manifest
            }
        } else if path.contains("/blobs/uploads/") {
            Self::Upload
        } else if path.contains("/blobs/") {
            Self::Blob
        } else {
            Self::Other
        }
    }
}

/// One way in which an answer goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset (RST) in place of an answer.
    Reset,
    /// The connection is closed (FIN) in place of an answer.
    Close,
    /// No answer ever comes.
    Silence,
    /// This status, with an error document in the distribution spec's form.
    Status(u16),
    /// Status 429, with `Retry-After` in seconds where there is one.
    TooMany(Option<u64>),
    /// Status 200 with a page of HTML, as captive portals answer.
    Html,
    /// The connection is closed (FIN) after a random number of the body's bytes.
    Cut,
    /// The connection is reset (RST) after a random number of the body's bytes.
    CutReset,
    /// Nothing more comes after a random number of the body's bytes; the connection stays.
    Stall,
    /// One random byte of the body is changed.
    Corrupt,
    /// Nothing goes wrong: for [`FaultPlan::first`], to let a request through before a later rule.
    None,
}

/// How requests for a part of a blob are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ranges {
    /// As the registry answers them.
    #[default]
    Honest,
    /// With the whole blob and status 200.
    Ignored,
    /// With status 416.
    Refused,
    /// With the bytes from the blob's start, declared to be those that were asked for.
    Lying,
    /// With the bytes from the blob's start, declared as such.
    Shifted,
}

/// What goes wrong, how often, and how slow the line is.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    seed: u64,
    rules: Vec<Rule>,
    ranges: Ranges,
    rate: Option<u64>,
    delay: Duration,
}

#[derive(Debug, Clone)]
struct Rule {
    kind: Option<Kind>,
    fault: Fault,
    when: When,
}

#[derive(Debug, Clone, Copy)]
enum When {
    /// With this probability.
    Chance(f64),
    /// For the first requests of the kind, counted since the plan began.
    First(u64),
}

impl FaultPlan {
    /// Makes a plan in which nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes a plan without rules, with a seed for those to come.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Spoils requests of a kind with this probability. The first rule that applies decides.
    #[must_use]
    pub fn chance(mut self, kind: Kind, probability: f64, fault: Fault) -> Self {
        self.push(Some(kind), When::Chance(probability), fault);
        self
    }

    /// Spoils the first `count` requests of a kind, those counted that other rules spoiled.
    #[must_use]
    pub fn first(mut self, kind: Kind, count: u64, fault: Fault) -> Self {
        self.push(Some(kind), When::First(count), fault);
        self
    }

    /// Spoils every request to the registry, whatever it is for; tokens are issued all the same.
    #[must_use]
    pub fn always(mut self, fault: Fault) -> Self {
        self.push(None, When::Chance(1.0), fault);
        self
    }

    /// Sets how requests for parts of blobs are answered.
    #[must_use]
    pub const fn ranges(mut self, ranges: Ranges) -> Self {
        self.ranges = ranges;
        self
    }

    /// Gives each connection this many bytes of body a second.
    #[must_use]
    pub const fn bytes_per_second(mut self, rate: u64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Lets each request wait so long before anything is done for it.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn push(&mut self, kind: Option<Kind>, when: When, fault: Fault) {
        self.rules.push(Rule { kind, fault, when });
    }
}

/// A plan at work: what it has counted so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    plan: FaultPlan,
    kinds: HashMap<Kind, u64>,
    targets: HashMap<(Kind, String), u64>,
}

/// What is to happen to one request.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) fault: Fault,
    pub(super) ranges: Ranges,
    pub(super) rate: Option<u64>,
    pub(super) delay: Duration,
    /// For places in the body.
    pub(super) random: Rng,
}

impl Course {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Self {
            plan,
            ..Self::default()
        }
    }

    /// Decides about the next request.
    pub(super) fn decide(&mut self, kind: Kind, target: &str) -> Fate {
        let of_kind = self.kinds.entry(kind).or_default();
        let number = *of_kind;
        *of_kind += 1;
        let of_target = self.targets.entry((kind, target.to_owned())).or_default();
        let visit = *of_target;
        *of_target += 1;
        let mut fault = Fault::None;
        for (place, rule) in self.plan.rules.iter().enumerate() {
            let concerned = match rule.kind {
                Some(wanted) => wanted == kind,
                None => kind != Kind::Token,
            };
            let applies = match rule.when {
                When::First(count) => number < count,
                When::Chance(probability) => {
                    random(&(self.plan.seed, place, target, visit)).f64() < probability
                }
            };
            if concerned && applies {
                fault = rule.fault;
                break;
            }
        }
        Fate {
            fault,
            ranges: self.plan.ranges,
            rate: self.plan.rate,
            delay: self.plan.delay,
            random: random(&(self.plan.seed, "body", target, visit)),
        }
    }
}

fn random(key: &impl Hash) -> Rng {
    // The default hasher has fixed keys: the same value gives the same hash in every run.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::{Course, Fault, FaultPlan, Kind};

    fn faults(course: &mut Course, count: usize) -> Vec<Fault> {
        (0..count)
            .map(|_| course.decide(Kind::Token, "/token?scope=a").fault)
            .collect()
    }

    #[test]
    fn the_same_plan_gives_the_same_faults_at_about_its_rate() {
        let plan = FaultPlan::seeded(7).chance(Kind::Token, 0.8, Fault::Reset);
        let first = faults(&mut Course::new(plan.clone()), 1000);
        assert_eq!(first, faults(&mut Course::new(plan), 1000));
        let resets = first.iter().filter(|fault| **fault == Fault::Reset).count();
        assert!((760..840).contains(&resets), "{resets}");
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let plan = FaultPlan::none()
            .first(Kind::Blob, 1, Fault::Cut)
            .first(Kind::Blob, 2, Fault::Status(503))
            .always(Fault::Status(404));
        let mut course = Course::new(plan);
        let mut next = |kind| course.decide(kind, "/x").fault;
        assert_eq!(next(Kind::Blob), Fault::Cut);
        assert_eq!(next(Kind::Blob), Fault::Status(503));
        assert_eq!(next(Kind::Blob), Fault::Status(404));
        assert_eq!(next(Kind::Token), Fault::None);
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(Kind::of("GET", "/v2/"), Kind::Ping);
        assert_eq!(Kind::of("GET", "/v2/a/b/manifests/1"), Kind::Manifest);
        assert_eq!(Kind::of("PUT", "/v2/a/b/manifests/1"), Kind::Publish);
        assert_eq!(Kind::of("HEAD", "/v2/a/blobs/sha256:1"), Kind::Blob);
        assert_eq!(
            Kind::of("PATCH", "/v2/a/blobs/uploads/1?x=/manifests/"),
            Kind::Upload
        );
        assert_eq!(Kind::of("GET", "/token?service=s"), Kind::Token);
    }
}
