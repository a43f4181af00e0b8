//! Aftermath: what must hold once faults have stopped and everything has had time to come to rest.

use std::collections::BTreeMap;

use merge_sandbox::sync::SyncStatus;
use serde_json::{Value, json};
use shared::domain::account::{AccountStatus, LinkedAccount};
use shared::domain::endpoint::{Endpoint, Rule};
use shared::domain::health::{self, HealthState};
use shared::domain::window::Checkpoint;
use shared::store::{Store, StoreError};

use crate::actors;
use crate::cloud::{ACCOUNTS, RECORDS};
use crate::follower::{Follower, endpoints, stored};
use crate::merge;
use crate::sim::Sim;
use crate::watch;

/// The organizations of a run.
pub const ORGANIZATIONS: [&str; 2] = ["org_acme", "org_globex"];

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
    // A full read is daily or on request: it may be older than the last sync, but not than the request.
    let upper = checkpoint.upper.map(|upper| upper.as_microsecond());
    (endpoint.rule() == Rule::Windows && upper != *finished).then(|| format!("read up to {upper:?} of {finished:?}"))
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
        let mut found: Vec<&str> = table.values().filter(|(_, live)| *live).map(|(data, _)| data.as_str()).collect();
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

/// At any moment: what lives at Merge, where nothing comes back to life, is no tombstone here.
pub async fn deletes_nothing_alive(sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
    for endpoint in endpoints(account).into_iter().filter(|endpoint| endpoint.ids) {
        let table = stored(store, account.id, endpoint).await?;
        // Merge is asked last: what lives there now lived before.
        for text in merge::records(sim, account.merge_id.as_str(), &endpoint.key()).await {
            let record: Value = serde_json::from_str(&text).unwrap_or_default();
            let gone = record["remote_was_deleted"] == Value::Bool(true);
            let here = record["id"].as_str().and_then(|id| table.get(id));
            if !gone && here.is_some_and(|(_, live)| !live) {
                let what =
                    format!("I1: {} {} {}: deleted here, alive at Merge", account.id, endpoint.slug(), record["id"]);
                sim.watch().broken(what);
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
        let count = table.values().filter(|(_, live)| *live).count() as i64;
        let counted = checkpoints.get(&endpoint.slug()).map_or(0, |checkpoint| checkpoint.records);
        if counted != count {
            sim.watch().broken(format!("I11: {} {}: counted {counted}, stored {count}", account.id, endpoint.slug()));
        }
        live += count;
    }
    if i64::try_from(account.facts.records) != Ok(live) {
        sim.watch().broken(format!("I11: {} shows {} records and has {live}", account.id, account.facts.records));
    }
    let health = health::of_account(account, sim.now());
    if health.state != HealthState::Healthy {
        sim.watch().broken(format!("I11: {} is well and shown as {health:?}", account.id));
    }
    Ok(())
}

/// I5 and I2: whoever has no account row has no row at all, but for a receipt; and a Merge account has one owner.
fn no_rows_left(sim: &Sim, accounts: &[LinkedAccount]) {
    let known: Vec<String> = accounts.iter().map(|account| account.id.to_string()).collect();
    let mut pending = Vec::new();
    let mut rows = Vec::new();
    for table in [ACCOUNTS, RECORDS] {
        let (_, answer) = sim.cloud().dynamodb("Scan", &json!({"TableName": table}));
        for item in answer["Items"].as_array().into_iter().flatten() {
            let (pk, sk) = watch::key(item);
            if sk.starts_with("PENDING#") {
                pending.push(item["account"]["S"].as_str().unwrap_or_default().to_owned());
            }
            rows.push((pk, sk, item["account"]["S"].as_str().unwrap_or_default().to_owned()));
        }
    }
    for (pk, sk, of) in rows {
        let text = match pk.split_once('#') {
            Some(("ACCOUNT", id)) => id.to_owned(),
            Some(("MERGE", _)) => of,
            Some(("ORG" | "EXCHANGE" | "PARKED" | "POLLER", _)) | None => continue,
            Some((id, _)) => id.to_owned(),
        };
        if !known.contains(&text) && !pending.contains(&text) {
            sim.watch().broken(format!("I5: {pk} {sk} is left of an account that is erased"));
        }
    }
    let mut owners: Vec<&str> = accounts.iter().map(|account| account.merge_id.as_str()).collect();
    owners.sort_unstable();
    if owners.windows(2).any(|pair| pair[0] == pair[1]) {
        sim.watch().broken("I2: two accounts share one of Merge's");
    }
}

/// I7: nothing waits, and nothing died that was not made to.
fn queue_is_empty(sim: &Sim) {
    let now = sim.now().as_millisecond().unsigned_abs();
    let waiting = sim.cloud().waiting(now);
    if waiting > 0 {
        sim.watch().broken(format!("I7: {waiting} messages wait for ever"));
    }
    while let Some(message) = sim.cloud().receive_dead(now) {
        sim.note(&format!("in the dead-letter queue: {}", message["Body"]));
    }
}
