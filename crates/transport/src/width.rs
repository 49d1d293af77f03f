//! How many connections downloads have to one host: as many as bring more bytes, up to a cap.
//!
//! The width starts small and doubles while the host's total throughput grows with it. Where
//! doubling brought nothing, it is taken back and tried again later. A 429 halves it, a broken
//! connection takes one away. All downloads of a run share a host's width, first come, first
//! served, one range at a time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Connections that every host gets without having shown what it can do.
pub(crate) const START: usize = 4;
/// By how much throughput must grow for a doubling to stay.
const WORTH: f64 = 1.15;
/// How long a width that was found good is kept before more is tried.
const HOLD: Duration = Duration::from_secs(5);

/// One host's connections for downloads.
pub(crate) struct Width {
    pub(crate) slots: Semaphore,
    cap: usize,
    waiting: AtomicUsize,
    bytes: AtomicU64,
    control: Mutex<Control>,
}

struct Control {
    goal: usize,
    /// Slots in use that are to vanish when they come back.
    debt: usize,
    window: Instant,
    /// The width and the rate before the last growth, until it has proven itself.
    trial: Option<(usize, f64)>,
    hold: Instant,
    latency: Duration,
}

impl Width {
    pub(crate) fn new(cap: usize) -> Self {
        let cap = cap.max(1);
        let goal = START.min(cap);
        Self {
            slots: Semaphore::new(goal),
            cap,
            waiting: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            control: Mutex::new(Control {
                goal,
                debt: 0,
                window: Instant::now(),
                trial: None,
                hold: Instant::now(),
                latency: Duration::ZERO,
            }),
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the present width.
    pub(crate) fn goal(&self) -> usize {
        self.control().goal
    }

    /// Takes note of bytes that arrived, and of the time when a window is over.
    pub(crate) fn arrived(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Ok(mut control) = self.control.try_lock() {
            self.tick(&mut control, Instant::now());
        }
    }

    fn tick(&self, control: &mut Control, now: Instant) {
        let length =
            (control.latency * 4).clamp(Duration::from_millis(200), Duration::from_millis(1500));
        let passed = now.saturating_duration_since(control.window);
        if passed < length {
            return;
        }
        let rate = self.bytes.swap(0, Ordering::Relaxed) as f64 / passed.as_secs_f64();
        control.window = now;
        if let Some((old, before)) = control.trial.take()
            && rate < before * WORTH
        {
            self.set(control, old);
            control.hold = now + HOLD;
            return;
        }
        // A window much longer than it should be saw idle time: its rate says nothing.
        let idle = passed > length * 3;
        let wanted = self.waiting.load(Ordering::Relaxed) > 0;
        if wanted && !idle && now >= control.hold && control.goal < self.cap {
            control.trial = Some((control.goal, rate));
            let goal = (control.goal * 2).min(self.cap);
            self.set(control, goal);
        }
    }

    fn set(&self, control: &mut Control, goal: usize) {
        let goal = goal.clamp(1, self.cap);
        if goal > control.goal {
            let more = goal - control.goal;
            let paid = more.min(control.debt);
            control.debt -= paid;
            self.slots.add_permits(more - paid);
        } else {
            let less = control.goal - goal;
            control.debt += less - self.slots.forget_permits(less);
        }
        control.goal = goal;
    }

    /// Takes note of the time that a response took to begin.
    pub(crate) fn began(&self, latency: Duration) {
        let mut control = self.control();
        control.latency = if control.latency.is_zero() {
            latency
        } else {
            (control.latency * 4 + latency) / 5
        };
    }

    /// The host asks for fewer requests.
    pub(crate) fn halve(&self) {
        self.shrink(|goal| goal / 2, HOLD * 2);
    }

    /// A connection broke.
    pub(crate) fn lose_one(&self) {
        self.shrink(|goal| (goal - 1).max(2), HOLD / 5);
    }

    fn shrink(&self, to: impl FnOnce(usize) -> usize, hold: Duration) {
        let mut control = self.control();
        let goal = to(control.goal).min(control.goal);
        self.set(&mut control, goal);
        control.trial = None;
        control.hold = control.hold.max(Instant::now() + hold);
    }

    pub(crate) async fn acquire(&self) {
        let _waiting = Waiting::new(&self.waiting);
        let permit = self.slots.acquire().await;
        permit.expect("the semaphore is never closed").forget();
    }

    pub(crate) fn release(&self) {
        let mut control = self.control();
        if control.debt > 0 {
            control.debt -= 1;
        } else {
            self.slots.add_permits(1);
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(width: &Width, at: &mut Instant, bytes: u64) {
        *at += Duration::from_millis(201);
        width.bytes.store(bytes, Ordering::Relaxed);
        width.tick(&mut width.control(), *at);
    }

    #[test]
    fn the_width_grows_while_throughput_grows() {
        let width = Width::new(16);
        width.waiting.store(1, Ordering::Relaxed);
        let mut at = Instant::now();
        window(&width, &mut at, 4_000_000);
        assert_eq!(width.goal(), 8, "a first doubling on trial");
        window(&width, &mut at, 8_000_000);
        assert_eq!(width.goal(), 16, "it was worth it");
        window(&width, &mut at, 8_100_000);
        assert_eq!(width.goal(), 8, "the second was not");
        window(&width, &mut at, 8_000_000);
        assert_eq!(width.goal(), 8, "and is not tried again at once");
        at += HOLD;
        window(&width, &mut at, 8_000_000);
        assert_eq!(width.goal(), 8, "an idle stretch says nothing");
        window(&width, &mut at, 8_000_000);
        assert_eq!(width.goal(), 16, "later it is");
    }

    #[test]
    fn nobody_waiting_means_no_growth() {
        let width = Width::new(16);
        let mut at = Instant::now();
        window(&width, &mut at, 4_000_000);
        assert_eq!(width.goal(), START);
    }
}
