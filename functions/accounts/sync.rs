//! Syncs: where each model stands, and asking for a sync now.
//!
//! While the first sync runs, or on request, Merge is asked where it stands: at most every 15 seconds for one account,
//! however many people look at the page, and so often in a minute for one organization, however many accounts it has.
//! What has become readable is queued at once.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use lambda_http::Request;
use shared::{
    ambient,
    api::{
        access,
        allowance::Risked,
        once::{Asked, Once},
        sync::{ModelSync, ProviderResync, RequestSync, SyncRequested, SyncStatusView},
    },
    domain::{
        account::{AccountStatus, LinkedAccount},
        endpoint::Endpoint,
        ids::RequestedId,
        message::{AccountRef, Message, SyncMode, Work},
        sync_status::{SyncState, SyncStatus, pair},
        window::Checkpoint,
    },
    http::{self, Answer, Caller, Problem},
    store::{
        events::{Event, EventKind},
        limits::Counter,
        status::StoredSyncStatus,
    },
    telemetry,
};
use uuid::Uuid;

use super::Accounts;

/// How often Merge is asked about one account, on the schedule's clock.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// How often the same sync is queued, on the schedule's clock.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// How often the connected system is read again, on the schedule's clock.
const RESYNC_EVERY: Duration = Duration::from_secs(60);

/// `GET /v1/linked-accounts/{id}/sync-status`.
pub async fn status(
    accounts: &Accounts,
    caller: &Caller,
    id: RequestedId,
    request: &Request,
) -> Result<Answer, Problem> {
    let store = &accounts.linking.store;
    let refresh = http::query(request).flag("refresh")?;
    let account = access::readable(store, &caller.organization, id).await?;
    let id = account.id;
    let stored = store.sync_status(id).await?;
    let checkpoints = store.checkpoints(id).await?;

    let wanted = refresh || !account.facts.initial_sync_completed;
    let fresh = if wanted && account.status.connected() {
        ask(accounts, &account, stored.as_ref(), &checkpoints).await?
    } else {
        None
    };
    let rows = fresh.or(stored.map(|stored| stored.rows)).unwrap_or_default();
    http::ok(&view(accounts, &account, &rows, &checkpoints))
}

fn view(
    accounts: &Accounts,
    account: &LinkedAccount,
    rows: &[SyncStatus],
    checkpoints: &HashMap<String, Checkpoint>,
) -> SyncStatusView {
    let listed: HashMap<&str, &SyncStatus> =
        pair(rows, account.category, &accounts.models.filter).into_iter().map(|(e, row)| (e.path, row)).collect();
    let endpoints = accounts.models.filter.endpoints(account.category);
    let results: Vec<ModelSync> = endpoints
        .iter()
        .map(|endpoint| {
            let status = listed.get(endpoint.path).copied();
            ModelSync::new(endpoint, status, checkpoints.get(&endpoint.slug()))
        })
        .collect();
    let stored = |endpoint: &Endpoint| {
        let off = listed.get(endpoint.path).is_none_or(|row| row.status == SyncState::Disabled);
        off || checkpoints.get(&endpoint.slug()).is_some_and(|checkpoint| checkpoint.initial_completed)
    };
    let all_stored = !listed.is_empty() && endpoints.iter().all(|endpoint| stored(endpoint));
    SyncStatusView { results, sync_complete: account.facts.initial_sync_completed || all_stored }
}

/// Merge's answer, if it is this request's turn to ask. Trouble at Merge's side is not the caller's, nor is it that the
/// organization has asked often: what is stored is shown instead.
async fn ask(
    accounts: &Accounts,
    account: &LinkedAccount,
    stored: Option<&StoredSyncStatus>,
    checkpoints: &HashMap<String, Checkpoint>,
) -> Result<Option<Vec<SyncStatus>>, Problem> {
    let (store, now) = (&accounts.linking.store, ambient::now());
    // Merge would refuse the token again, and counts that.
    if account.facts.token_refused() {
        return Ok(None);
    }
    let turn = store.take_turn(account.id, "sync-status", accounts.clock.real(ASK_EVERY), now).await?;
    if !turn.is_new {
        return Ok(None);
    }
    let asked = store.count(&account.organization, Counter::Status, 1, now).await?;
    if asked > i64::from(accounts.limit.0.per_minute) {
        return Ok(None);
    }
    let token = accounts.linking.token_of(account).await?;
    let Ok(risked) = Risked::take(store, &account.organization, accounts.refused, now).await else {
        return Ok(None);
    };
    let rows = match accounts.linking.merge.sync_status(account.category, &token, None).await {
        Ok(rows) => {
            risked.accepted(store).await?;
            rows
        }
        Err(error) => {
            tracing::warn!(error = telemetry::chain(&error), "Merge's sync status cannot be read now");
            return Ok(None);
        }
    };
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    if stored.is_none_or(|stored| stored.rows != rows) {
        store.put_sync_status(&of, &StoredSyncStatus { rows: rows.clone(), read_at: now }).await?;
    }
    let ready: Vec<String> = pair(&rows, account.category, &accounts.models.filter)
        .into_iter()
        .filter(|(endpoint, row)| {
            let have = checkpoints.get(&endpoint.slug()).and_then(|checkpoint| checkpoint.upper);
            row.readable(have).is_some()
        })
        .map(|(endpoint, _)| endpoint.key())
        .collect();
    if !ready.is_empty() {
        send(accounts, account, SyncMode::Changes, ready, turn.at, turn.id).await?;
    }
    Ok(Some(rows))
}

/// `POST /v1/linked-accounts/{id}/sync`.
pub async fn request(
    accounts: &Accounts,
    caller: &Caller,
    id: RequestedId,
    request: &Request,
) -> Result<Answer, Problem> {
    // 1. What is asked for.
    let asked: RequestSync = http::body_or_default(request)?;
    let store = &accounts.linking.store;
    let account = access::connected(store, &caller.organization, id).await?;
    let models = known(accounts, &account, asked.models.clone().unwrap_or_default())?;
    accounts.count(caller, Counter::Refresh).await?;

    // 2. A repeat that names itself is answered as the first one was.
    let route = format!("POST /v1/linked-accounts/{}/sync", account.id);
    match Once::begin(store, &caller.organization, &route, request).await? {
        Asked::Again(requested) => http::accepted::<SyncRequested>(&requested),
        Asked::First(once) => {
            let requested = start(accounts, caller, &account, &asked, models).await;
            http::accepted(&once.end(requested, Clone::clone).await?)
        }
    }
}

/// Does what was asked for.
async fn start(
    accounts: &Accounts,
    caller: &Caller,
    account: &LinkedAccount,
    asked: &RequestSync,
    models: Vec<String>,
) -> Result<SyncRequested, Problem> {
    let (store, now) = (&accounts.linking.store, ambient::now());
    let mode = asked.mode.unwrap_or(SyncMode::Changes);

    // 1. The connected system, if it is to be read again.
    let provider_resync = if asked.ask_provider { Some(resync(accounts, account, now).await?) } else { None };

    // 2. Our own fetch, once for all who ask within a moment. Whoever took the turn may have failed before the queue
    // had
    //    the message: so everybody sends it, under the turn's id, of which the queue makes one.
    let name = if mode == SyncMode::Full { "full" } else { "changes" };
    let purpose = format!("sync#{name}#{}", models.join(","));
    let turn = store.take_turn(account.id, &purpose, accounts.clock.real(SYNC_EVERY), now).await?;
    if turn.is_new {
        let event = Event::new(now, EventKind::SyncRequested, &caller.subject).with("mode", name);
        store.add_event(account.id, &event, turn.id, accounts.retention.history).await?;
    }
    send(accounts, account, mode, models, turn.at, turn.id).await?;
    Ok(SyncRequested { mode, provider_resync })
}

/// The models, each once and in order; 400 if one is not synced for this account.
fn known(accounts: &Accounts, account: &LinkedAccount, models: Vec<String>) -> Result<Vec<String>, Problem> {
    let synced = accounts.models.filter.endpoints(account.category);
    let mut known = Vec::new();
    for model in models {
        let endpoint = Endpoint::by_key(&model).filter(|endpoint| synced.contains(endpoint));
        known.push(endpoint.ok_or_else(|| Problem::invalid("models names a model that is not synced."))?.key());
    }
    known.sort_unstable();
    known.dedup();
    Ok(known)
}

/// Has the connected system read again. Our own fetch goes on without it. A plan may count how often that is done: of
/// several who ask, one does it.
async fn resync(accounts: &Accounts, account: &LinkedAccount, now: Timestamp) -> Result<ProviderResync, Problem> {
    if account.status == AccountStatus::RelinkNeeded {
        return Ok(ProviderResync::Unavailable);
    }
    let (store, every) = (&accounts.linking.store, accounts.clock.real(RESYNC_EVERY));
    // Before the turn is taken: a repeat of what fails here is not told that it was asked for.
    let token = accounts.linking.token_of(account).await?;
    if !store.take_turn(account.id, "resync", every, now).await?.is_new {
        return Ok(ProviderResync::Debounced);
    }
    // A plan without resyncs refuses every one of them.
    let Ok(risked) = Risked::take(store, &account.organization, accounts.refused, now).await else {
        return Ok(ProviderResync::Unavailable);
    };
    match accounts.linking.merge.resync(account.category, &token).await {
        Ok(_) => {
            risked.accepted(store).await?;
            Ok(ProviderResync::Requested)
        }
        Err(error) => {
            tracing::info!(error = telemetry::chain(&error), "the connected system is not read again");
            Ok(ProviderResync::Unavailable)
        }
    }
}

/// Queues a sync; the same `request`, within five minutes, is one.
pub async fn send(
    accounts: &Accounts,
    account: &LinkedAccount,
    mode: SyncMode,
    models: Vec<String>,
    requested_at: Timestamp,
    request: Uuid,
) -> Result<(), Problem> {
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    let work = Work::Sync { of, mode, models, requested_at, request };
    accounts.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
    Ok(())
}
