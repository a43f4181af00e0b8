//! The wheel: many accounts of mixed poll classes for days, without a webhook. Are all of them looked at in their
//! class's interval, at which cost, and what happens when pollers are missing, late, doubled or killed?

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use merge_sandbox::account::Status;
use merge_sandbox::linking::{Attempt, Ending, Linked};
use merge_sandbox::sync::Round;
use serde_json::json;
use shared::ambient;
use shared::domain::account::LinkedAccount;
use shared::domain::schedule::PollClass;
use shared::store::accounts::Change;
use tokio::runtime::Builder;

use crate::actors;

use crate::host::Host;
use crate::logs;
use crate::machine::{self, Api};
use crate::merge::control;
use crate::scenario::Scenario;
use crate::sim::{MODELS, Sim};
use crate::tally::Tally;

/// Accounts of each class.
pub const CLASSES: [(PollClass, usize); 5] = [
    (PollClass::FiveMinutes, 6),
    (PollClass::ThirtyMinutes, 24),
    (PollClass::OneHour, 60),
    (PollClass::SixHours, 90),
    (PollClass::Daily, 120),
];

/// A poller that is killed has come about half-way by now: it reads ten keys, each in about ten milliseconds.
const HALF_WAY: Duration = Duration::from_millis(60);
/// No run takes as long.
const UNHURRIED: Duration = Duration::from_secs(50);

/// A running world of many accounts.
pub struct Wheel {
    sim: Sim,
    host: Host,
    accounts: Vec<(PollClass, LinkedAccount, String)>,
    /// Accounts that a run of the poller queues at most; as many as ever when absent.
    pub rate: Option<usize>,
}

/// How a minute's tick goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticks {
    Once,
    Twice,
    KilledHalfWay,
    Missed,
}

/// Runs `test` in a world of many accounts.
pub fn run(test: impl AsyncFnOnce(&mut Wheel)) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let sim = Sim::new(1, false, |scenario| Scenario {
            webhooks: false,
            record_events: false,
            records: 1,
            max_page_size: 100,
            plan_limit: 600,
            sync_duration_ms: 500,
            sync_interval_ms: 30 * 24 * 3_600_000,
            ..scenario.calm()
        });
        let _logging = logs::to(&sim);
        let host = Host::new(&sim);
        tokio::task::spawn_local(host.clone().event_source());
        let mut wheel = Wheel { sim, host, accounts: Vec::new(), rate: None };
        wheel.connect_all().await;
        // What the last minute queued is worked on before anything is counted.
        tokio::time::sleep(Duration::from_secs(30)).await;
        test(&mut wheel).await;
        let broken = wheel.sim.watch().found().to_vec();
        assert!(broken.is_empty(), "{broken:#?}");
    });
    ambient::replace(None);
}

impl Wheel {
    /// Connects every account, waits for its first sync, and makes it one of its class.
    async fn connect_all(&mut self) {
        let classes = CLASSES.iter().flat_map(|(class, count)| std::iter::repeat_n(*class, *count));
        for (number, class) in classes.enumerate() {
            let organization: &'static str = format!("org_{number}").leak();
            self.connect(organization).await;
            let account = actors::accounts(&machine::quiet_store(&self.sim), organization).await.remove(0);
            self.accounts.push((class, account, String::new()));
        }
        // First syncs are polled every minute, then every five.
        for _ in 0..40 {
            self.minute(Ticks::Once).await;
        }
        self.settle().await;
        // Every account is looked at once more in the class of one that nothing is known of, and moves to its own.
        for _ in 0..65 {
            self.minute(Ticks::Once).await;
        }
    }

    async fn connect(&self, organization: &'static str) {
        let body = json!({"category": "hris"});
        let answer = self.host.ask(Api::Link, organization, "POST /v1/link-tokens", body).await.expect("an answer").1;
        let token = answer["link_token"].as_str().expect("a link token").to_owned();
        let linked = {
            let (mut world, now) = self.sim.merge().world();
            if let Some(token) = world.store.link_tokens.get_mut(&token) {
                token.readable = Some(MODELS.map(str::to_owned).to_vec());
            }
            let slug = Some("bamboohr".to_owned());
            let attempt =
                Attempt { link_token: token, integration_slug: slug, credentials: None, outcome: Ending::Success };
            world.link(&attempt, now)
        };
        let Ok(Linked::Success { public_token, .. }) = linked else { panic!("the dialog failed") };
        let body = json!({"public_token": public_token, "category": "hris"});
        let answer = self.host.ask(Api::Exchange, organization, "POST /v1/linked-accounts", body).await;
        assert!(answer.is_some_and(|(status, _)| status < 300), "the exchange");
    }

    /// What makes an account one of its class: how often Merge syncs it, whether its webhooks arrive, whether it rests.
    /// From here on no sync runs by itself: every poll is an idle one.
    async fn settle(&mut self) {
        let (store, now) = (machine::quiet_store(&self.sim), self.sim.now());
        for (class, account, token) in &mut self.accounts {
            let found = store.account(&account.organization, account.id).await.expect("a read").expect("an account");
            assert!(found.facts.initial_sync_completed, "the first sync of {} is complete", found.id);
            {
                let (mut world, now) = self.sim.merge().world();
                let id = account.merge_id.as_str();
                let at_merge = world.store.accounts.get_mut(id).expect("Merge's account");
                let hours = match class {
                    PollClass::FiveMinutes => 0.5,
                    PollClass::ThirtyMinutes => 2.0,
                    _ => 48.0,
                };
                let begun = at_merge.syncs.iter().filter_map(|sync| sync.last_sync_start).max().unwrap_or(now);
                let interval_ms = (hours * 3_600_000.0) as i64;
                at_merge.interval_ms = Some(interval_ms);
                at_merge.next_round = Some(begun.plus_millis(interval_ms));
                // A round that never ends: none begins by itself.
                at_merge.round = Some(Round::default());
                if *class == PollClass::Daily {
                    at_merge.status = Status::RelinkNeeded;
                }
                *token = at_merge.account_token.clone();
                world.touch(id);
            }
            if *class == PollClass::SixHours {
                let noted = store.change_account(&account.organization, account.id, |account| {
                    account.notes.webhook_seen_at = Some(now);
                    Change::Write
                });
                noted.await.expect("a write");
            }
        }
    }

    /// One minute of the schedule; what the poller queued in its runs that lived.
    pub async fn minute(&self, ticks: Ticks) -> Vec<u64> {
        let left = 60 - self.sim.now().as_second().rem_euclid(60).unsigned_abs();
        tokio::time::sleep(Duration::from_secs(left)).await;
        let scheduled = self.sim.now();
        let polled = match ticks {
            Ticks::Once => vec![self.host.poll(scheduled, UNHURRIED, self.rate).await],
            Ticks::Twice => {
                let both = futures::join!(
                    self.host.poll(scheduled, UNHURRIED, self.rate),
                    self.host.poll(scheduled, UNHURRIED, self.rate)
                );
                vec![both.0, both.1]
            }
            Ticks::KilledHalfWay => vec![self.host.poll(scheduled, HALF_WAY, self.rate).await],
            Ticks::Missed => Vec::new(),
        };
        polled.into_iter().flatten().map(|polled| polled.queued).collect()
    }

    /// A tick that comes so many minutes after its own.
    pub async fn late_tick(&self, minutes: i64) {
        let scheduled = self.sim.now().checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MIN);
        self.host.poll(scheduled, UNHURRIED, self.rate).await;
    }

    /// Forgets what was used so far.
    pub fn start_counting(&self) {
        *self.sim.tally() = Tally::default();
    }

    pub fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.sim.tally()
    }

    /// The longest time between two looks at an account of each class, and how many looks each had at least, since
    /// `from`; the time until now counts.
    pub fn gaps(&self, from: Duration) -> BTreeMap<&'static str, (Duration, usize)> {
        let (tally, now) = (self.sim.tally(), self.sim.elapsed());
        let mut gaps: BTreeMap<&'static str, (Duration, usize)> = BTreeMap::new();
        for (class, _, token) in &self.accounts {
            let looks = tally.looks.get(token).cloned().unwrap_or_default();
            let times: Vec<Duration> = std::iter::once(from).chain(looks.iter().copied()).chain([now]).collect();
            let longest = times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
            let known = gaps.entry(class.label()).or_insert((Duration::ZERO, usize::MAX));
            *known = (known.0.max(longest), known.1.min(looks.len()));
        }
        gaps
    }

    pub fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Merge syncs the employees of every account that it syncs at all; how many those are.
    pub async fn sync_all(&self) -> u64 {
        let mut count = 0;
        for (class, account, _) in &self.accounts {
            if *class != PollClass::Daily {
                let body = json!({"models": ["hris.Employee"], "duration_ms": 1_000});
                control(&self.sim, &format!("accounts/{}/start-sync", account.merge_id), body).await;
                count += 1;
            }
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (mut world, _) = self.sim.merge().world();
        for (_, account, _) in &self.accounts {
            // And no further round begins by itself.
            if let Some(at_merge) = world.store.accounts.get_mut(account.merge_id.as_str()) {
                at_merge.round = Some(Round::default());
            }
            world.touch(account.merge_id.as_str());
        }
        count
    }

    /// Calls of the list of employees.
    pub fn employee_pages(&self) -> u64 {
        self.sim.tally().merge.get("employees").copied().unwrap_or_default()
    }
}
