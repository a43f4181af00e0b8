//! Chance: everything that is left to it, drawn from the seed: which choices are made, and what goes wrong.

use std::time::Duration;

/// How likely each fault is, per effect, message, delivery or tick; from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The process dies at this effect: before it, or after it.
    pub crash: f64,
    /// What the process sent before it died still arrives.
    pub outlives: f64,
    /// The effect happens and the answer is lost.
    pub lost: f64,
    /// The answer is lost, and the effect happens long after its caller gave it up.
    pub stray: f64,
    /// Nothing is sent.
    pub unsent: f64,
    pub throttle: f64,
    pub conflict: f64,
    /// Half of a batch is left undone.
    pub unprocessed: f64,
    pub stale: f64,
    /// An effect takes seconds.
    pub slow: f64,
    /// A commit does. In no world that is drawn; in some that are made.
    pub slow_commit: f64,
    pub merge_429: f64,
    pub merge_5xx: f64,
    /// No answer at all.
    pub merge_silent: f64,
    pub merge_truncated: f64,
    pub merge_repeat: f64,
    /// A cursor is not known any more, now or for good.
    pub merge_expired: f64,
    /// A page without records that has a next.
    pub merge_empty: f64,
    pub webhook_lost: f64,
    pub webhook_twice: f64,
    pub webhook_late: f64,
    /// An earlier webhook comes again, a forged one comes, or one comes many times at once.
    pub webhook_strange: f64,
    /// A message is delivered to two workers at once.
    pub delivery_twice: f64,
    /// A message is on its way to its worker for up to a minute.
    pub delivery_late: f64,
    /// A worker's success does not reach the queue.
    pub ack_lost: f64,
    /// Somebody queues, or redrives, what nobody can read.
    pub poison: f64,
    pub tick_missed: f64,
    pub tick_late: f64,
    pub tick_twice: f64,
}

/// The dice of one run.
#[derive(Debug)]
pub struct Chance(fastrand::Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub fn hits(&mut self, probability: f64) -> bool {
        // No draw for what cannot happen: a calm world draws the same whatever it was before.
        probability > 0.0 && self.0.f64() < probability
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(0..bound.max(1))
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.u64(least..=most)
    }

    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())]
    }

    pub fn wide(&mut self) -> u128 {
        self.0.u128(..)
    }

    /// Each family of faults is off in half of the worlds, so that every family is also met without the others.
    pub fn faults(&mut self) -> Faults {
        let mut some = |choices: &[f64]| if self.0.bool() { choices[self.0.usize(0..choices.len())] } else { 0.0 };
        Faults {
            crash: some(&[0.000_5, 0.002, 0.006]),
            outlives: some(&[0.3, 0.8]),
            lost: some(&[0.001, 0.004, 0.02]),
            stray: some(&[0.001, 0.005, 0.02]),
            unsent: some(&[0.001, 0.01]),
            throttle: some(&[0.005, 0.03]),
            conflict: some(&[0.01, 0.1]),
            unprocessed: some(&[0.05, 0.4]),
            stale: some(&[0.1, 0.5]),
            slow: some(&[0.001, 0.005]),
            slow_commit: 0.0,
            merge_429: some(&[0.01, 0.05]),
            merge_5xx: some(&[0.01, 0.05]),
            merge_silent: some(&[0.005, 0.02]),
            merge_truncated: some(&[0.01, 0.03]),
            merge_repeat: some(&[0.01, 0.05]),
            merge_expired: some(&[0.01, 0.1]),
            merge_empty: some(&[0.05, 0.3]),
            webhook_lost: some(&[0.1, 0.5, 1.0]),
            webhook_twice: some(&[0.1, 0.5]),
            webhook_late: some(&[0.2, 0.8]),
            webhook_strange: some(&[0.02, 0.2]),
            delivery_twice: some(&[0.02, 0.2]),
            delivery_late: some(&[0.05, 0.3]),
            ack_lost: some(&[0.01, 0.05]),
            poison: some(&[0.000_5, 0.002]),
            tick_missed: some(&[0.1, 0.5]),
            tick_late: some(&[0.1, 0.5]),
            tick_twice: some(&[0.1, 0.5]),
        }
    }
}
