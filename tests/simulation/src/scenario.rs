//! Scenario: how the world of a run is made: its sizes, its pace, who lives in it, and how likely each fault is.

use std::time::Duration;

use crate::chance::{Chance, Faults};
use crate::planted::Bug;

/// See the module.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub faults: Faults,
    /// How long things go wrong.
    pub chaos: Duration,
    /// The worker's slice and its timeout at AWS.
    pub slice: Duration,
    pub timeout: Duration,
    /// How long a sweep waits for an overtaken worker to be surely gone, if not as long as at AWS.
    pub second_sweep: Option<Duration>,
    /// Seconds for which a received message is invisible.
    pub visibility: u64,
    pub plan_limit: u32,
    pub max_page_size: usize,
    /// Records of each model at the start.
    pub records: u64,
    pub sync_duration_ms: i64,
    pub sync_interval_ms: i64,
    /// Merge's changes bear the very time at which their sync finished.
    pub changes_at_bound: bool,
    /// Merge's bounds of a window belong to it.
    pub inclusive_bounds: bool,
    pub webhooks: bool,
    pub record_events: bool,
    /// How far the clock of a process may be off, in seconds.
    pub skew: u64,
    /// Category of the second system of the first organization.
    pub other: &'static str,
    /// How many users live in the world, each with a system, and which of the three comes first.
    pub users: usize,
    pub first_user: usize,
    /// How often, on average, something happens at Merge and to each user, in seconds.
    pub pace: u64,
    pub deletes: bool,
    pub full_reads: bool,
    pub relinks: bool,
    pub removals: bool,
    /// Somebody asks about what is not theirs.
    pub strangers: bool,
    /// At the end, what one sync brings vanishes with the next, minutes later. In no world that is drawn.
    pub fleeting: bool,
    /// A mistake that is made for the worker.
    pub bug: Option<Bug>,
}

impl Scenario {
    /// Most worlds are small and short, so that thousands can be seen; some are not.
    pub fn of(chance: &mut Chance) -> Self {
        let yes = |chance: &mut Chance| chance.below(2) == 1;
        let mut drawn = Self {
            faults: chance.faults(),
            chaos: Duration::from_secs(chance.of(&[3, 4, 5, 6, 8, 20]) * 60),
            slice: Duration::from_secs(chance.of(&[1, 2, 5, 20, 100])),
            timeout: Duration::from_secs(chance.of(&[30, 120, 120])),
            second_sweep: None,
            visibility: chance.of(&[20, 20, 60, 720]),
            plan_limit: chance.of(&[100, 400, 600]),
            max_page_size: chance.of(&[5, 10, 25, 100]) as usize,
            records: chance.of(&[0, 3, 3, 12, 40]),
            sync_duration_ms: chance.of(&[500, 4_000, 20_000]),
            sync_interval_ms: chance.of(&[150_000, 300_000, 600_000]),
            changes_at_bound: chance.below(3) == 0,
            inclusive_bounds: yes(chance),
            webhooks: chance.below(3) > 0,
            record_events: yes(chance),
            skew: chance.of(&[0, 0, 30, 600]),
            other: chance.of(&["accounting", "ats", "crm"]),
            users: chance.of(&[1, 1, 1, 3]),
            first_user: chance.below(3) as usize,
            pace: chance.of(&[15, 30, 60]),
            deletes: chance.below(3) == 0,
            full_reads: yes(chance),
            relinks: yes(chance),
            removals: chance.below(4) == 0,
            strangers: yes(chance),
            fleeting: false,
            bug: None,
        };
        // How far Merge's syncs are is read in pages, too, of some thirty models, and must leave time for a record.
        let least_slice = 30_u64.div_ceil(drawn.max_page_size as u64);
        drawn.slice = drawn.slice.max(Duration::from_secs(least_slice));
        if drawn.deletes {
            // A deletion sweeps again after three minutes, and that must still meet faults.
            drawn.chaos = drawn.chaos.max(Duration::from_secs(6 * 60));
        }
        if drawn.strangers && chance.below(2) == 0 {
            // They need somebody else's account.
            drawn.users = 3;
        }
        drawn
    }

    /// A short world in which this mistake is made and everything happens that it should stand up to.
    pub fn planted(self, bug: Bug) -> Self {
        let calm = Faults { webhook_lost: 0.2, ..Faults::default() };
        // Workers that die at every turn and are taken over.
        let deadly = Faults { crash: 0.006, outlives: 0.5, slow: 0.002, delivery_twice: 0.05, ..calm };
        let faults = match bug {
            // A worker that is overtaken while it is alive and goes on.
            Bug::NoFencing => Faults { slow: 0.05, delivery_twice: 0.6, ..calm },
            // The same, over its deletions.
            Bug::StaleSweep => Faults { slow_commit: 0.6, delivery_twice: 0.6, ..calm },
            // A version that is still on its way when the next one is stored.
            Bug::OlderOverNewer => Faults { stray: 0.05, ..calm },
            _ => deadly,
        };
        let overtakes = matches!(bug, Bug::NoFencing | Bug::StaleSweep);
        let sweeps = bug == Bug::StaleSweep;
        // Syncs and changes of few records in quick succession.
        let races = bug == Bug::OlderOverNewer;
        Self {
            faults,
            chaos: Duration::from_secs(15 * 60),
            slice: Duration::from_secs(2),
            timeout: Duration::from_secs(120),
            // Nothing that an overtaken worker does takes longer here.
            second_sweep: sweeps.then_some(Duration::from_secs(40)),
            visibility: if overtakes { 20 } else { 720 },
            plan_limit: 600,
            max_page_size: 5,
            records: if races { 5 } else { 20 },
            sync_duration_ms: if races { 500 } else { 4_000 },
            sync_interval_ms: if races { 20_000 } else { 150_000 },
            changes_at_bound: false,
            webhooks: true,
            record_events: false,
            skew: 0,
            // Its records are deleted without a word, so that only a sweep finds it.
            other: if sweeps { "accounting" } else { self.other },
            users: 3,
            pace: if races {
                4
            } else if sweeps {
                8
            } else {
                15
            },
            deletes: false,
            full_reads: sweeps || bug == Bug::UnfinishedGeneration,
            relinks: false,
            removals: false,
            strangers: false,
            bug: Some(bug),
            ..self
        }
    }

    /// A world so slow that workers are ended at their timeout, in the midst of whatever they do.
    pub fn sluggish(self) -> Self {
        Self {
            faults: Faults { slow: 0.3, merge_silent: 0.1, ..Faults::default() },
            users: 3,
            chaos: Duration::from_secs(15 * 60),
            slice: Duration::from_secs(100),
            timeout: Duration::from_secs(25),
            visibility: 60,
            max_page_size: 5,
            records: 20,
            full_reads: true,
            ..self
        }
    }

    /// The smallest world: nothing goes wrong.
    pub fn calm(mut self) -> Self {
        self.users = 3;
        self.faults = Faults::default();
        self.skew = 0;
        self.visibility = 720;
        self
    }
}
