//! Chance: everything that is left to it, drawn from the seed: how the world is made, and what goes wrong in it.

use std::time::Duration;

use crate::planted::Bug;

/// How likely each fault is, per effect, delivery or tick; from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The process dies at this effect: before it, or after it.
    pub crash: f64,
    /// What the process sent before it died still arrives.
    pub outlives: f64,
    /// The effect happens and the answer is lost.
    pub lost: f64,
    /// Nothing is sent.
    pub unsent: f64,
    pub throttle: f64,
    pub conflict: f64,
    pub unprocessed: f64,
    pub stale: f64,
    /// An effect takes seconds.
    pub slow: f64,
    pub merge_429: f64,
    pub merge_5xx: f64,
    pub merge_truncated: f64,
    pub merge_repeat: f64,
    pub webhook_lost: f64,
    pub webhook_twice: f64,
    pub webhook_late: f64,
    /// A message is delivered to two workers at once.
    pub delivery_twice: f64,
    /// A worker's success does not reach the queue.
    pub ack_lost: f64,
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

    /// Each family of faults is off in some worlds, so that every family is also met alone.
    pub fn faults(&mut self) -> Faults {
        let mut some = |choices: &[f64]| if self.0.bool() { choices[self.0.usize(0..choices.len())] } else { 0.0 };
        Faults {
            crash: some(&[0.000_5, 0.002, 0.006]),
            outlives: some(&[0.3, 0.8]),
            lost: some(&[0.001, 0.004, 0.02]),
            unsent: some(&[0.001, 0.01]),
            throttle: some(&[0.005, 0.03]),
            conflict: some(&[0.01, 0.1]),
            unprocessed: some(&[0.05, 0.4]),
            stale: some(&[0.1, 0.5]),
            slow: some(&[0.001, 0.005]),
            merge_429: some(&[0.01, 0.05]),
            merge_5xx: some(&[0.01, 0.05]),
            merge_truncated: some(&[0.01, 0.03]),
            merge_repeat: some(&[0.01, 0.05]),
            webhook_lost: some(&[0.1, 0.5, 1.0]),
            webhook_twice: some(&[0.1, 0.5]),
            webhook_late: some(&[0.2, 0.8]),
            delivery_twice: some(&[0.02, 0.2]),
            ack_lost: some(&[0.01, 0.05]),
            tick_missed: some(&[0.1, 0.5]),
            tick_late: some(&[0.1, 0.5]),
            tick_twice: some(&[0.1, 0.5]),
        }
    }
}

/// How a world is made.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub faults: Faults,
    /// How long things go wrong.
    pub chaos: Duration,
    /// The worker's slice and its timeout at AWS.
    pub slice: Duration,
    pub timeout: Duration,
    /// Seconds for which a received message is invisible.
    pub visibility: u64,
    pub plan_limit: u32,
    pub max_page_size: usize,
    /// Records of each model at the start.
    pub records: u64,
    pub sync_duration_ms: i64,
    pub sync_interval_ms: i64,
    pub webhooks: bool,
    pub record_events: bool,
    /// How far the clock of a process may be off, in seconds.
    pub skew: u64,
    /// Category of the second system of the first organization.
    pub other: &'static str,
    /// How often, on average, something happens at Merge and to each user, in seconds.
    pub pace: u64,
    pub deletes: bool,
    pub full_reads: bool,
    pub relinks: bool,
    pub removals: bool,
    /// A mistake that is made for the worker.
    pub bug: Option<Bug>,
}

impl Scenario {
    pub fn of(chance: &mut Chance) -> Self {
        let yes = |chance: &mut Chance| chance.below(2) == 1;
        Self {
            faults: chance.faults(),
            chaos: Duration::from_secs(chance.between(8, 25) * 60),
            slice: Duration::from_secs(chance.of(&[1, 2, 5, 20, 100])),
            timeout: Duration::from_secs(120),
            visibility: chance.of(&[20, 60, 720, 720]),
            plan_limit: chance.of(&[100, 400, 600]),
            max_page_size: chance.of(&[5, 10, 25, 100]) as usize,
            records: chance.of(&[0, 3, 20, 60]),
            sync_duration_ms: chance.of(&[500, 4_000, 20_000]),
            sync_interval_ms: chance.of(&[150_000, 300_000, 600_000]),
            webhooks: chance.below(3) > 0,
            record_events: yes(chance),
            skew: chance.of(&[0, 0, 30, 600]),
            other: chance.of(&["accounting", "ats", "crm"]),
            pace: chance.of(&[15, 60]),
            deletes: yes(chance),
            full_reads: yes(chance),
            relinks: yes(chance),
            removals: chance.below(4) == 0,
            bug: None,
        }
    }

    /// A short world in which this mistake is made and everything happens that it should stand up to.
    pub fn planted(self, bug: Bug) -> Self {
        // Two workers with two versions of a record: syncs and changes in quick succession, and slow writes.
        let races = bug == Bug::OlderOverNewer;
        let crash = if matches!(bug, Bug::OlderOverNewer | Bug::NoFencing) { 0.0 } else { 0.006 };
        let faults = Faults {
            crash,
            outlives: 0.5,
            slow: if races {
                0.15
            } else if crash > 0.0 {
                0.002
            } else {
                0.05
            },
            delivery_twice: if crash > 0.0 { 0.05 } else { 0.6 },
            webhook_lost: 0.2,
            ..Faults::default()
        };
        Self {
            faults,
            chaos: Duration::from_secs(15 * 60),
            slice: Duration::from_secs(2),
            visibility: if crash > 0.0 { 720 } else { 20 },
            plan_limit: 600,
            max_page_size: 5,
            records: 20,
            sync_duration_ms: if races { 500 } else { 4_000 },
            sync_interval_ms: if races { 20_000 } else { 150_000 },
            webhooks: true,
            record_events: false,
            skew: 0,
            pace: if races { 4 } else { 15 },
            deletes: false,
            full_reads: bug == Bug::UnfinishedGeneration,
            relinks: false,
            removals: false,
            bug: Some(bug),
            ..self
        }
    }

    /// The smallest world: nothing goes wrong.
    pub fn calm(mut self) -> Self {
        self.faults = Faults::default();
        self.skew = 0;
        self.visibility = 720;
        self
    }
}
