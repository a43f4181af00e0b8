//! Sim: the world that a run lives in: its clock, its dice, its trace, AWS and Merge. Cheap to share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use merge_sandbox::clock::{Clock, Time};
use merge_sandbox::service::Service;
use merge_sandbox::settings::Settings;
use merge_sandbox::world::{Config, Store as MergeStore, World};
use shared::ambient::{self, Ambient};
use tokio::time::Instant;

use crate::chance::{Chance, Faults};
use crate::cloud::Cloud;
use crate::cursors::Cursors;
use crate::happenings::{Happening, Happenings};
use crate::process;
use crate::scenario::Scenario;
use crate::tally::Tally;
use crate::trace::Trace;
use crate::watch::Watch;

/// The moment at which every run starts.
const START: i64 = 1_790_000_040;

/// Models that are synced, over the categories that a run may link.
pub const MODELS: [&str; 9] = [
    "hris.Employee",
    "hris.Team",
    "hris.TimeOff",
    "accounting.PaymentTerm",
    "accounting.Account",
    "ats.Tag",
    "ats.Candidate",
    "crm.EngagementType",
    "crm.CRMContact",
];

/// See the module.
#[derive(Clone)]
pub struct Sim(Arc<Inner>);

struct Inner {
    pub scenario: Scenario,
    zero: Instant,
    calm: AtomicBool,
    chance: Mutex<Chance>,
    trace: Mutex<Trace>,
    watch: Mutex<Watch>,
    happenings: Mutex<Happenings>,
    cursors: Mutex<Cursors>,
    tally: Mutex<Tally>,
    cloud: Cloud,
    merge: Arc<Service>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sim")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A run ends with the first panic; what it leaves is not looked at.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sim {
    /// A world of this seed; it takes over the surroundings of the thread. Within a runtime whose time is paused.
    pub fn new(seed: u64, shown: bool, adjust: impl FnOnce(Scenario) -> Scenario) -> Self {
        let mut chance = Chance::new(seed);
        let scenario = adjust(Scenario::of(&mut chance));
        let start = Time(START * 1_000_000);
        let config = Config {
            seed,
            speed: 1.0,
            employees: 2,
            webhook_url: Some("http://127.0.0.1:1/".to_owned()),
            webhooks: scenario.webhooks,
            base: "http://127.0.0.1:2".to_owned(),
        };
        let mut world = World::new(config, MergeStore::default());
        let records = MODELS.iter().map(|model| ((*model).to_owned(), scenario.records)).collect();
        let settings = Settings {
            plan_limit: scenario.plan_limit,
            max_page_size: scenario.max_page_size,
            records,
            sync_duration_ms: scenario.sync_duration_ms,
            sync_interval_ms: scenario.sync_interval_ms,
            record_events: scenario.record_events,
            changes_at_bound: scenario.changes_at_bound,
            inclusive_bounds: scenario.inclusive_bounds,
            ..Settings::default()
        };
        world.set_settings(settings, start);
        let sim = Self(Arc::new(Inner {
            zero: Instant::now(),
            calm: AtomicBool::new(false),
            trace: Mutex::new(Trace::new(shown)),
            watch: Mutex::default(),
            happenings: Mutex::default(),
            cursors: Mutex::default(),
            tally: Mutex::default(),
            cloud: Cloud::new(scenario.visibility),
            merge: Service::new(world, Clock::manual(start), None),
            chance: Mutex::new(chance),
            scenario,
        }));
        sim.surround(seed);
        sim
    }

    /// Time, ids and lines of this thread come from and go to this world.
    fn surround(&self, seed: u64) {
        fastrand::seed(seed);
        let (clock, printer) = (self.clone(), self.clone());
        let mut ids = Chance::new(seed ^ 0x5eed);
        ambient::replace(Some(Ambient {
            now: Box::new(move || clock.now().saturating_add(process::skew()).unwrap_or(Timestamp::MAX)),
            random: Box::new(move || ids.wide()),
            print: Box::new(move |line| printer.printed(line)),
        }));
    }

    pub fn scenario(&self) -> &Scenario {
        &self.0.scenario
    }

    pub fn cloud(&self) -> &Cloud {
        &self.0.cloud
    }

    pub fn elapsed(&self) -> Duration {
        self.0.zero.elapsed()
    }

    pub fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
        let elapsed = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    pub fn chance(&self) -> MutexGuard<'_, Chance> {
        locked(&self.0.chance)
    }

    pub fn watch(&self) -> MutexGuard<'_, Watch> {
        locked(&self.0.watch)
    }

    /// Cursors that were given in place of Merge's own.
    pub fn cursors(&self) -> MutexGuard<'_, Cursors> {
        locked(&self.0.cursors)
    }

    /// What has been used of AWS and of Merge.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        locked(&self.0.tally)
    }

    /// Counts that something happened.
    pub fn happened(&self, what: Happening) {
        locked(&self.0.happenings).count(what);
    }

    /// What has happened so far.
    pub fn happenings(&self) -> Happenings {
        locked(&self.0.happenings).clone()
    }

    /// What may go wrong now.
    pub fn faults(&self) -> Faults {
        if self.is_calm() { Faults::default() } else { self.0.scenario.faults }
    }

    pub fn is_calm(&self) -> bool {
        self.0.calm.load(Ordering::Relaxed)
    }

    /// From now on nothing goes wrong any more.
    pub fn calm_down(&self) {
        self.note("faults stop");
        self.0.cloud.hide_long();
        self.0.calm.store(true, Ordering::Relaxed);
    }

    /// Merge, brought up to the present.
    pub fn merge(&self) -> &Arc<Service> {
        self.0.merge.clock.set(Time(self.now().as_microsecond()));
        &self.0.merge
    }

    /// Adds a line to the trace.
    pub fn note(&self, text: &str) {
        locked(&self.0.trace).line(self.elapsed(), text);
    }

    /// A line that a function printed or logged.
    pub fn printed(&self, line: &str) {
        locked(&self.0.trace).remark(line);
        self.watch().public("a log line", line);
    }

    pub fn fingerprint(&self) -> (u64, u64) {
        let trace = locked(&self.0.trace);
        (trace.fingerprint(), trace.lines())
    }
}
