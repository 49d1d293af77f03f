//! Units built side by side, each once all that it depends on is built.

use std::collections::HashMap;
use std::panic::resume_unwind;

use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::unit::UnitId;

/// How many units are built at once, and what a failure stops.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many solves run side by side, at least one.
    pub parallel: usize,
    /// What a failure stops.
    pub on_failure: OnFailure,
}

/// What a unit's failure stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The units that depend on it.
    StopDependents,
    /// Every other unit.
    FailFast,
}

/// What became of a unit.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was built.
    Built(T),
    /// It failed.
    Failed(Error),
    /// It was not built, or stopped, because of this unit's failure.
    Stopped(UnitId),
}

impl<T> Outcome<T> {
    /// Returns what was built, if it was.
    pub const fn built(&self) -> Option<&T> {
        match self {
            Self::Built(built) => Some(built),
            _ => None,
        }
    }
}

/// A unit in the queue.
pub trait Job {
    /// Names it.
    fn id(&self) -> &UnitId;
    /// Names the units that must be built before it.
    fn after(&self) -> &[UnitId];
}

/// Runs every job once what it depends on is built. Returns an outcome for each, in their order.
pub async fn run<J: Job, T: Send + 'static, F>(
    jobs: &[J],
    bounds: Bounds,
    start: impl Fn(&J) -> F,
) -> Vec<Outcome<T>>
where
    F: Future<Output = Result<T>> + Send + 'static,
{
    let positions: HashMap<&UnitId, usize> = (jobs.iter().map(Job::id)).zip(0..).collect();
    let mut outcomes: Vec<Option<Outcome<T>>> = jobs.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = (0..jobs.len()).collect();
    let mut running = JoinSet::new();
    loop {
        let before = waiting.len();
        waiting.retain(|&position| {
            let job = &jobs[position];
            let earlier = || (job.after().iter()).filter_map(|id| Some((id, *positions.get(id)?)));
            let failed = earlier().find_map(|(id, at)| match &outcomes[at] {
                Some(Outcome::Failed(_)) => Some(id.clone()),
                Some(Outcome::Stopped(cause)) => Some(cause.clone()),
                _ => None,
            });
            if let Some(cause) = failed {
                outcomes[position] = Some(Outcome::Stopped(cause));
                return false;
            }
            let ready = earlier().all(|(_, at)| outcomes[at].is_some());
            if !ready || running.len() >= bounds.parallel.max(1) {
                return true;
            }
            let work = start(job);
            running.spawn(async move { (position, work.await) });
            false
        });
        if running.is_empty() && waiting.len() < before {
            // What was stopped may stop more.
            continue;
        }
        let (position, result) = match running.join_next().await {
            None => break,
            Some(Ok(ended)) => ended,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => continue,
            },
        };
        if result.is_err() && bounds.on_failure == OnFailure::FailFast {
            let cause = jobs[position].id();
            running.shutdown().await;
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
                *outcome = Some(Outcome::Stopped(cause.clone()));
            }
            waiting.clear();
        }
        outcomes[position] = Some(result.map_or_else(Outcome::Failed, Outcome::Built));
    }
    outcomes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use sealift_oci::Platform;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Named(UnitId, Vec<UnitId>);

    impl Job for Named {
        fn id(&self) -> &UnitId {
            &self.0
        }
        fn after(&self) -> &[UnitId] {
            &self.1
        }
    }

    fn id(name: &str) -> UnitId {
        UnitId {
            component: name.to_owned(),
            target: None,
            platform: Platform::host(),
        }
    }

    fn jobs(list: &[(&str, &[&str])]) -> Vec<Named> {
        let after = |names: &[&str]| names.iter().map(|name| id(name)).collect();
        let jobs = list
            .iter()
            .map(|(name, names)| Named(id(name), after(names)));
        jobs.collect()
    }

    async fn outcomes(
        jobs: &[Named],
        parallel: usize,
        on_failure: OnFailure,
    ) -> (Vec<String>, usize) {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let bounds = Bounds {
            parallel,
            on_failure,
        };
        let ended = run(jobs, bounds, |job| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            let name = job.0.component.clone();
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                match name.starts_with("bad") {
                    true => Err(Error::new(Kind::Build, name)),
                    false => Ok(name),
                }
            }
        });
        let ended = ended.await.into_iter().map(|outcome| match outcome {
            Outcome::Built(name) => format!("{name} built"),
            Outcome::Failed(error) => format!("{} failed", error.message()),
            Outcome::Stopped(id) => format!("stopped by {}", id.component),
        });
        (ended.collect(), most.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_failure_stops_what_depends_on_it_and_nothing_else() {
        // The dependents stand before what they need: the order of the list does not matter.
        let jobs = jobs(&[
            ("leaf", &["middle"]),
            ("middle", &["bad"]),
            ("bad", &[]),
            ("own", &[]),
        ]);
        let (ended, most) = outcomes(&jobs, 8, OnFailure::StopDependents).await;
        assert_eq!(
            ended,
            [
                "stopped by bad",
                "stopped by bad",
                "bad failed",
                "own built"
            ]
        );
        assert_eq!(most, 2);
    }

    #[tokio::test]
    async fn the_bound_holds_and_fail_fast_stops_all() {
        let list = jobs(&[
            ("a", &[]),
            ("b", &[]),
            ("c", &[]),
            ("d", &["a"]),
            ("e", &[]),
        ]);
        let (ended, most) = outcomes(&list, 2, OnFailure::StopDependents).await;
        assert_eq!(
            ended,
            ["a built", "b built", "c built", "d built", "e built"]
        );
        assert_eq!(most, 2);
        let list = jobs(&[("bad", &[]), ("b", &[]), ("c", &["b"])]);
        let (ended, _) = outcomes(&list, 1, OnFailure::FailFast).await;
        assert_eq!(ended, ["bad failed", "stopped by bad", "stopped by bad"]);
    }
}
