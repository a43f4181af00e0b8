//! Aftermath: what must hold once faults have stopped and everything has had time to come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use merge_sandbox::account::Status;
use merge_sandbox::sync::SyncStatus;
use serde_json::{Value, json};
use shared::domain::account::{AccountStatus, LinkedAccount};
use shared::domain::endpoint::{Endpoint, Rule};
use shared::domain::health::{self, HealthState};
use shared::domain::time;
use shared::domain::window::Checkpoint;
use shared::store::{Store, StoreError};

use crate::actors;
use crate::cloud::{ACCOUNTS, POISON, RECORDS};
use crate::follower::{Follower, endpoints, stored};
use crate::happenings::Happening;
use crate::merge;
use crate::sim::Sim;
use crate::watch;

/// The organizations of a run.
pub const ORGANIZATIONS: [&str; 2] = ["org_acme", "org_globex"];

/// How long before a sync of Merge's something was changed when it is not too new to be missed any more.
pub const OVERLAP: Duration = Duration::from_secs(5 * 60);

/// Accounts of every organization.
pub async fn all_accounts(store: &Store) -> Vec<LinkedAccount> {
    let mut all = Vec::new();
    for organization in ORGANIZATIONS {
        all.extend(actors::accounts(store, organization).await);
    }
    all
}

/// What keeps the world from being at rest; `None` when it is.
pub async fn unrest(sim: &Sim, store: &Store) -> Result<Option<String>, StoreError> {
    let waiting = sim.cloud().waiting(sim.now().as_millisecond().unsigned_abs());
    if waiting > 0 {
        return Ok(Some(format!("{waiting} messages wait")));
    }
    for account in all_accounts(store).await {
        if account.status == AccountStatus::Deleting {
            return Ok(Some(format!("{} is being deleted", account.id)));
        }
        let Some(syncs) = syncs(sim, &account) else {
            if account.status.connected() {
                return Ok(Some(format!("{} is gone at Merge and still {:?}", account.id, account.status)));
            }
            continue;
        };
        if !account.status.connected() {
            continue;
        }
        let checkpoints = store.checkpoints(account.id).await?;
        for endpoint in endpoints(&account) {
            let checkpoint = checkpoints.get(&endpoint.slug());
            if let Some(why) = behind(endpoint, checkpoint, &syncs) {
                return Ok(Some(format!("{} {}: {why}", account.id, endpoint.slug())));
            }
        }
        if !account.facts.initial_sync_completed {
            return Ok(Some(format!("{} has not completed its first sync", account.id)));
        }
        if account.facts.trouble.is_some() {
            return Ok(Some(format!("{} is in trouble: {:?}", account.id, account.facts.trouble)));
        }
    }
    Ok(None)
}

/// When each model's last sync finished, by model id; `None` when Merge does not know the account.
fn syncs(sim: &Sim, account: &LinkedAccount) -> Option<BTreeMap<String, (Option<i64>, SyncStatus)>> {
    let (world, _) = sim.merge().world();
    let found = world.store.accounts.get(account.merge_id.as_str())?;
    let each = found
        .syncs
        .iter()
        .map(|sync| (sync.model_id.clone(), (sync.last_sync_finished.map(|time| time.0), sync.status)));
    Some(each.collect())
}

fn behind(
    endpoint: &Endpoint,
    checkpoint: Option<&Checkpoint>,
    syncs: &BTreeMap<String, (Option<i64>, SyncStatus)>,
) -> Option<String> {
    let (finished, status) = syncs.get(endpoint.model_id)?;
    if *status != SyncStatus::Done {
        return Some(format!("Merge's sync is {status:?}"));
    }
    let Some(checkpoint) = checkpoint else { return Some("never read".to_owned()) };
    if checkpoint.window.is_some() {
        return Some("a window is open".to_owned());
    }
    // A full read is daily or on request: it may be older than the last sync, but not than the request, unless it kept
    // what was too new to be missed.
    let upper = checkpoint.upper.map(|upper| upper.as_microsecond());
    let overlap = OVERLAP.as_micros() as i64;
    let missed = |at: Timestamp| finished.is_some_and(|finished| at.as_microsecond() + overlap < finished);
    let readable = endpoint.rule() == Rule::Windows || checkpoint.spared.is_some_and(missed);
    (readable && upper != *finished).then(|| format!("read up to {upper:?} of {finished:?}"))
}

/// Whether a full read kept what it did not see, as too new to be missed.
pub async fn spared(store: &Store) -> Result<bool, StoreError> {
    for account in all_accounts(store).await.iter().filter(|account| account.status.connected()) {
        let checkpoints = store.checkpoints(account.id).await?;
        let full = endpoints(account).into_iter().filter(|endpoint| endpoint.rule() == Rule::Full);
        if full.filter_map(|endpoint| checkpoints.get(&endpoint.slug())).any(|checkpoint| checkpoint.spared.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every invariant that is about the end.
pub async fn check(sim: &Sim, store: &Store, follower: &mut Follower) -> Result<(), StoreError> {
    let accounts = all_accounts(store).await;
    for account in &accounts {
        if account.status.connected() {
            same_records(sim, store, account).await?;
            told(sim, store, account).await?;
        }
        if account.status != AccountStatus::Deleting {
            follower.check(sim, store, account).await?;
        }
    }
    no_rows_left(sim, &accounts);
    queue_is_empty(sim);
    sim.watch().asked_in_vain();
    Ok(())
}

/// I1: records equal Merge's, in count and bytes.
async fn same_records(sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
    for endpoint in endpoints(account) {
        let table = stored(store, account.id, endpoint).await?;
        let theirs = merge::records(sim, account.merge_id.as_str(), &endpoint.key()).await;
        let is_deleted = |text: &str| {
            serde_json::from_str::<Value>(text).is_ok_and(|record| record["remote_was_deleted"] == Value::Bool(true))
        };
        let mut expected: Vec<&str> = theirs.iter().map(String::as_str).filter(|text| !is_deleted(text)).collect();
        let mut found: Vec<&str> = table.values().filter(|here| here.live).map(|here| here.data.as_str()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        if expected == found {
            continue;
        }
        let missing = expected.iter().find(|text| found.binary_search(text).is_err());
        let surplus = found.iter().find(|text| expected.binary_search(text).is_err());
        let (slug, id) = (endpoint.slug(), account.id);
        sim.watch().broken(format!(
            "I1: {id} {slug}: Merge has {}, we have {}; missing {missing:?}; surplus {surplus:?}",
            expected.len(),
            found.len()
        ));
    }
    Ok(())
}

/// I3, at any moment: nothing counts as read up to a time that no sync of Merge's has reached.
pub async fn not_ahead(sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
    let checkpoints = store.checkpoints(account.id).await?;
    // Merge is asked after our own rows: it can only have gone further.
    let Some(syncs) = syncs(sim, account) else { return Ok(()) };
    for endpoint in endpoints(account) {
        let upper = checkpoints.get(&endpoint.slug()).and_then(|checkpoint| checkpoint.upper);
        let finished = syncs.get(endpoint.model_id).and_then(|(finished, _)| *finished);
        if upper.is_some() && upper.map(|upper| upper.as_microsecond()) > finished {
            let what = format!("I3: {} {}: read up to {upper:?} of {finished:?}", account.id, endpoint.slug());
            sim.watch().broken(what);
        }
    }
    Ok(())
}

/// I1 and I3, at any moment: what counts as read is stored, in this version or a later one; and what lives at Merge,
/// where nothing comes back to life, is no tombstone here.
pub async fn nothing_lost(sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
    let checkpoints = store.checkpoints(account.id).await?;
    for endpoint in endpoints(account).into_iter().filter(|endpoint| endpoint.ids) {
        let upper = checkpoints.get(&endpoint.slug()).and_then(|checkpoint| checkpoint.upper);
        // The table is read after the checkpoint and before Merge is asked: no step between can make this worse.
        let table = stored(store, account.id, endpoint).await?;
        for text in merge::records(sim, account.merge_id.as_str(), &endpoint.key()).await {
            let record: Value = serde_json::from_str(&text).unwrap_or_default();
            let gone = record["remote_was_deleted"] == Value::Bool(true);
            let here = record["id"].as_str().and_then(|id| table.get(id));
            let what = format!("{} {} {}", account.id, endpoint.slug(), record["id"]);
            if !gone && here.is_some_and(|here| !here.live) {
                sim.watch().broken(format!("I1: {what}: deleted here, alive at Merge"));
            }
            let modified_at = record["modified_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let (Some(modified_at), Some(upper), Rule::Windows) = (modified_at, upper, endpoint.rule()) else {
                continue;
            };
            if modified_at == upper {
                sim.happened(Happening::ChangedAtTheBound);
            }
            let read = modified_at < upper;
            if read && here.is_none_or(|here| here.modified_at < time::fixed(modified_at)) {
                let have = here.map(|here| &here.modified_at);
                sim.watch()
                    .broken(format!("I3: {what}: read up to {upper}, modified at {modified_at}, stored {have:?}"));
            }
        }
    }
    Ok(())
}

/// I11: what is shown of the account is what is stored, and what Merge says.
async fn told(sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
    let mut live = 0;
    let checkpoints = store.checkpoints(account.id).await?;
    for endpoint in endpoints(account) {
        let table = stored(store, account.id, endpoint).await?;
        let count = table.values().filter(|here| here.live).count() as i64;
        let counted = checkpoints.get(&endpoint.slug()).map_or(0, |checkpoint| checkpoint.records);
        if counted != count {
            sim.watch().broken(format!("I11: {} {}: counted {counted}, stored {count}", account.id, endpoint.slug()));
        }
        live += count;
    }
    if i64::try_from(account.facts.records) != Ok(live) {
        sim.watch().broken(format!("I11: {} shows {} records and has {live}", account.id, account.facts.records));
    }
    // An account that came to be known late was ill when users repaired theirs.
    let ill = {
        let (world, _) = sim.merge().world();
        world.store.accounts.get(account.merge_id.as_str()).is_some_and(|found| found.status == Status::RelinkNeeded)
    };
    let health = health::of_account(account, sim.now());
    let (expected, is) = if ill { (HealthState::ActionNeeded, "ill") } else { (HealthState::Healthy, "well") };
    if health.state != expected {
        sim.watch().broken(format!("I11: {} is {is} and shown as {health:?}", account.id));
    }
    Ok(())
}

/// I5 and I2: whoever has no account row has no row at all, but for a receipt; and a Merge account has one owner.
fn no_rows_left(sim: &Sim, accounts: &[LinkedAccount]) {
    let mut known: Vec<String> = accounts.iter().map(|account| account.id.to_string()).collect();
    let mut merge_ids: Vec<&str> = accounts.iter().map(|account| account.merge_id.as_str()).collect();
    let rows: Vec<Row> = [ACCOUNTS, RECORDS].into_iter().flat_map(|table| Row::all(sim, table)).collect();
    known.extend(rows.iter().filter(|row| row.sk.starts_with("PENDING#") && row.pending).map(|row| row.of.clone()));
    for row in rows.iter().filter(|row| !row.expired) {
        let of = match row.pk.split_once('#') {
            Some(("ACCOUNT", id)) => id,
            Some(("MERGE", _)) => &row.of,
            // An exchange that was never finished goes with the account that Merge's is here, or else within the hour.
            Some(("EXCHANGE" | "EXCHANGED", _)) if row.of.is_empty() => {
                let erased = !merge_ids.contains(&row.merge_id.as_str()) && sim.watch().was_owned(&row.merge_id);
                if erased {
                    sim.watch().broken(format!("I5: {} of {} is left of what is erased", row.pk, row.merge_id));
                }
                continue;
            }
            Some(("EXCHANGE", _)) => &row.of,
            Some(("ORG", _)) if row.sk.starts_with("PENDING#") => &row.of,
            Some(("ORG" | "PARKED" | "POLLER", _)) | None => continue,
            Some((id, _)) => id,
        };
        if !known.iter().any(|id| id == of) {
            sim.watch().broken(format!("I5: {} {} is left of an account that is erased", row.pk, row.sk));
        }
    }
    merge_ids.sort_unstable();
    if merge_ids.windows(2).any(|pair| pair[0] == pair[1]) {
        sim.watch().broken("I2: two accounts share one of Merge's");
    }
}

/// A row of any kind, as far as it tells whose it is.
struct Row {
    pk: String,
    sk: String,
    /// The account that it names, if it names one.
    of: String,
    /// Merge's account that it names or lies under, if any.
    merge_id: String,
    pending: bool,
    expired: bool,
}

impl Row {
    fn all(sim: &Sim, table: &str) -> Vec<Row> {
        let now = sim.now().as_second();
        let (_, answer) = sim.cloud().dynamodb("Scan", &json!({"TableName": table}));
        let row = |item: &Value| {
            let (pk, sk) = watch::key(item);
            let ttl = item["ttl"]["N"].as_str().and_then(|text| text.parse::<i64>().ok());
            let merge_id = item["merge_id"]["S"].as_str().or(pk.strip_prefix("EXCHANGED#")).unwrap_or_default();
            Row {
                merge_id: merge_id.to_owned(),
                pk,
                sk,
                of: item["account"]["S"].as_str().unwrap_or_default().to_owned(),
                pending: item["state"]["S"] == "pending",
                expired: ttl.is_some_and(|ttl| ttl <= now),
            }
        };
        answer["Items"].as_array().into_iter().flatten().map(row).collect()
    }
}

/// I7: nothing waits, and after the faults nothing died but what nobody can read.
fn queue_is_empty(sim: &Sim) {
    let now = sim.now().as_millisecond().unsigned_abs();
    let waiting = sim.cloud().waiting(now);
    if waiting > 0 {
        sim.watch().broken(format!("I7: {waiting} messages wait for ever"));
    }
    let dead = sim.cloud().take_dead(now);
    for body in dead.iter().filter(|body| *body != POISON) {
        sim.watch().broken(format!("I7: redriven after the faults, and dead again: {body}"));
    }
    let (poison, dead) = (sim.happenings().of(Happening::Poison), dead.len() as u64);
    if poison != dead {
        sim.watch().broken(format!("I7: of {poison} messages that nobody can read, {dead} are dead letters"));
    }
}
