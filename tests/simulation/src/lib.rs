//! The simulation: the production handlers of worker, poller, webhook, exchange, relink and delete on one thread, under
//! a clock that moves only when everybody waits. The AWS SDK's HTTP client and Merge's transport are answered in
//! process, and at each effect the dice of the seed say what goes wrong. Then faults stop, and what must hold is looked
//! at.
//!
//! One seed is one run: [`run`] twice with one seed gives the same fingerprint.

// Handlers within hosts within worlds: the compiler counts how deep their futures lie in each other.
#![recursion_limit = "256"]

mod actors;
mod aftermath;
mod chance;
mod cloud;
mod cursors;
mod deliveries;
mod follower;
mod happenings;
mod host;
mod logs;
mod machine;
mod merge;
mod planted;
mod process;
mod scenario;
mod sim;
mod tally;
mod trace;
mod watch;
pub mod wheel;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use merge_sandbox::account::Status;
use serde_json::json;
use shared::ambient;
use shared::domain::account::LinkedAccount;
use shared::domain::endpoint::Rule;
use shared::domain::message::SyncMode;
use shared::store::{Store, StoreError};

pub use happenings::{Happening, Happenings};
pub use planted::Bug;
pub use scenario::Scenario;

use actors::User;
use aftermath::{ORGANIZATIONS, all_accounts};
use follower::Follower;
use host::Host;
use sim::Sim;

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub seed: u64,
    /// What was found broken; empty when everything held.
    pub broken: Vec<String>,
    pub fingerprint: u64,
    /// Lines of the trace: how much happened.
    pub lines: u64,
    /// What happened.
    pub happenings: Happenings,
}

/// How long the world may take to come to rest after the last fault. The slowest poll is daily.
const REST: Duration = Duration::from_secs(25 * 60 * 60);

/// Runs one seed. `shown`: prints the trace.
pub fn run(seed: u64, shown: bool) -> Outcome {
    run_in(seed, shown, |scenario| scenario)
}

/// A handler's work is deep here: below it lies the AWS SDK, and below its connection the emulator, none of it
/// optimised.
const STACK: usize = 16 << 20;

/// Runs one seed in a world that is adjusted first.
pub fn run_in(seed: u64, shown: bool, adjust: impl FnOnce(Scenario) -> Scenario + Send) -> Outcome {
    timed_in(seed, shown, adjust).0
}

/// The same, and how much of a processor's time it took, where the system tells.
pub fn timed_in(
    seed: u64,
    shown: bool,
    adjust: impl FnOnce(Scenario) -> Scenario + Send,
) -> (Outcome, Option<Duration>) {
    thread::scope(|scope| {
        let run = || (run_here(seed, shown, adjust), processor_time());
        let deep = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run);
        deep.expect("a thread").join().expect("no run panics")
    })
}

/// What this thread has had of a processor so far. A run lives on one thread, so that this is its own time, however
/// much else the machine does.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn run_here(seed: u64, shown: bool, adjust: impl FnOnce(Scenario) -> Scenario) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    // Handlers are run as Lambda runs them: nothing asks whether they could move to another thread.
    let ran = catch_unwind(AssertUnwindSafe(|| {
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let sim = Sim::new(seed, shown, adjust);
            let _logging = logs::to(&sim);
            sim.note(&format!("seed {seed} {:?}", sim.scenario()));
            if let Err(error) = live(&sim).await {
                sim.watch().broken(format!("the watch could not read: {error}"));
            }
            let (fingerprint, lines) = sim.fingerprint();
            let broken = sim.watch().found().to_vec();
            Outcome { seed, broken, fingerprint, lines, happenings: sim.happenings() }
        })
    }));
    ambient::replace(None);
    // Whoever runs many seeds must learn which one it was.
    ran.unwrap_or_else(|_| Outcome { seed, broken: vec!["the run panicked".to_owned()], ..Outcome::default() })
}

async fn live(sim: &Sim) -> Result<(), StoreError> {
    let host = Host::new(sim);
    let store = machine::quiet_store(sim);
    let user = |organization, category| User { sim: sim.clone(), host: host.clone(), organization, category };
    let mut users = vec![
        user(ORGANIZATIONS[0], "hris"),
        user(ORGANIZATIONS[0], sim.scenario().other),
        user(ORGANIZATIONS[1], "hris"),
    ];
    users.rotate_left(sim.scenario().first_user);
    users.truncate(sim.scenario().users);
    sim.watch().secret("dev-api-key");
    sim.watch().secret("dev-webhook-key");

    actors::neighbour(sim).await;

    // 1. Everybody lives, and things go wrong.
    tokio::task::spawn_local(host.clone().event_source());
    tokio::task::spawn_local(deliveries::deliver_all(host.clone()));
    tokio::task::spawn_local(host.clone().schedule());
    tokio::task::spawn_local(actors::provider(sim.clone()));
    for user in &users {
        tokio::task::spawn_local(user.clone().live());
    }
    let mut follower = Follower::default();
    while sim.elapsed() < sim.scenario().chaos {
        let wait = sim.chance().millis(5_000, (sim.scenario().chaos / 4).as_millis() as u64);
        tokio::time::sleep(wait).await;
        for account in all_accounts(&store).await.iter().filter(|account| account.status.connected()) {
            follower.follow(sim, &store, account).await?;
            aftermath::not_ahead(sim, &store, account).await?;
            aftermath::nothing_lost(sim, &store, account).await?;
        }
        // What follows from something broken says nothing more.
        if !sim.watch().found().is_empty() {
            return Ok(());
        }
    }

    // 2. Faults stop; users repair what only they can, and Merge syncs once more.
    sim.calm_down();
    host.recycle();
    host.redrive();
    tokio::time::sleep(Duration::from_secs(200)).await;
    last_sync(sim, &users, &store).await;
    if sim.scenario().fleeting {
        come_and_go(sim, &users, &store).await;
    }

    // 3. Everything comes to rest, and then must be as it should. What had its last receive while there were faults
    // became a dead letter only since.
    come_to_rest(sim, &store).await?;
    if host.redrive() > 0 {
        come_to_rest(sim, &store).await?;
    }

    // 4. What the last full reads kept, as too new to be missed, goes with Merge's next sync and without a word.
    if aftermath::spared(&store).await? {
        tokio::time::sleep(aftermath::OVERLAP).await;
        sync_all(sim).await;
        come_to_rest(sim, &store).await?;
    }
    aftermath::check(sim, &store, &mut follower).await
}

async fn come_to_rest(sim: &Sim, store: &Store) -> Result<(), StoreError> {
    let until = sim.elapsed() + REST;
    while let Some(why) = aftermath::unrest(sim, store).await? {
        if sim.elapsed() > until {
            sim.watch().broken(format!("it does not come to rest: {why}"));
            break;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Ok(())
}

/// Relinks what needs it, lets Merge sync everything, and has read in full what is only read so.
async fn last_sync(sim: &Sim, users: &[User], store: &Store) {
    for user in users {
        for _ in 0..3 {
            let Some(account) = user.account().await else { break };
            let ill = {
                let (world, _) = sim.merge().world();
                let found = world.store.accounts.get(account.merge_id.as_str());
                found.is_some_and(|found| found.status == Status::RelinkNeeded)
            };
            if !(ill && account.status.connected()) {
                break;
            }
            user.reconnect(&account).await;
        }
    }
    {
        let (mut world, now) = sim.merge().world();
        let mut settings = world.store.settings.clone();
        settings.sync_interval_ms = 30 * 24 * 3_600_000;
        // Else what the last sync brings would wait for the next one.
        settings.changes_at_bound = false;
        world.set_settings(settings, now);
    }
    sync_all(sim).await;
    read_in_full(users, store).await;
}

/// What one sync of Merge's brings to lists that are read in full, the next takes away, a minute or two later.
async fn come_and_go(sim: &Sim, users: &[User], store: &Store) {
    let accounts = all_accounts(store).await;
    let lists: Vec<_> = accounts
        .iter()
        .flat_map(|account| full_lists(account).into_iter().map(move |model| (account, model)))
        .collect();
    lists.iter().for_each(|(_, model)| actors::grow(sim, model, 3));
    sync_all(sim).await;
    read_in_full(users, store).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    for (account, model) in &lists {
        let path = format!("accounts/{}/delete-records", account.merge_id.as_str());
        merge::control(sim, &path, json!({"model_id": model, "count": 1_000})).await;
    }
    sync_all(sim).await;
    read_in_full(users, store).await;
}

/// Models of an account's lists that are read in full.
fn full_lists(account: &LinkedAccount) -> Vec<String> {
    let full = follower::endpoints(account).into_iter().filter(|endpoint| endpoint.rule() == Rule::Full);
    full.map(|endpoint| endpoint.key()).collect()
}

/// Has everything read in full that is only read so.
async fn read_in_full(users: &[User], store: &Store) {
    for account in all_accounts(store).await.iter().filter(|account| account.status.connected()) {
        let models = full_lists(account);
        if !models.is_empty()
            && let Some(user) = users.iter().find(|user| user.organization == account.organization.as_str())
        {
            user.refresh(account, SyncMode::Full, models).await;
        }
    }
}

/// Lets Merge sync everything.
async fn sync_all(sim: &Sim) {
    let ids: Vec<String> = {
        let (world, _) = sim.merge().world();
        let linked = world.store.accounts.values().filter(|account| account.status != Status::Incomplete);
        linked.map(|account| account.id.clone()).collect()
    };
    for id in ids {
        merge::control(sim, &format!("accounts/{id}/resolve-issue"), json!({})).await;
        merge::control(sim, &format!("accounts/{id}/start-sync"), json!({"duration_ms": 5_000})).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
}
