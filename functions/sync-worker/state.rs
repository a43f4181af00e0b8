//! The account's row after a run: status, counts, freshness, trouble, poll class. Written once per run and only when
//! something differs, so that an idle poll writes nothing. Changes that people must hear of go to the event bus.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use shared::{
    ambient,
    domain::{
        account::{AccountStatus, LinkedAccount, SyncFacts, Trouble, TroubleCode, UnreadableList},
        health::{self, HealthState},
        message::AccountRef,
        schedule::{Due, PollFacts, poll_class},
        sync_status::{self, SyncState, SyncStatus},
        window::Checkpoint,
    },
    merge::{AccountDetails, MergeError, Retry},
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
    },
    telemetry::{self, Metric},
};

use super::{
    WorkError, Worker,
    account_sync::trouble_of,
    bus::Notice,
    endpoint_sync::{End, Report},
};

/// How long Merge is left alone when it does not say how long it wants to be.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);

/// What a run found out about the account.
#[derive(Debug, Default)]
pub struct Findings {
    /// Merge's own words about the account.
    pub details: Option<AccountDetails>,
    pub trouble: Option<TroubleCode>,
    /// Merge asked to be left alone; the run ended early.
    pub backpressure: Option<MergeError>,
    pub resume_at: Option<Timestamp>,
    /// Lists that could not be read to their end.
    pub broken: BTreeSet<String>,
    /// Lists that could.
    pub read: BTreeSet<String>,
    /// Every list was read as far as Merge allows.
    pub through: bool,
    /// A continuation follows.
    pub chain_moves: bool,
}

impl Findings {
    /// Takes up how one endpoint's work ended.
    pub async fn learn(
        &mut self,
        worker: &Worker,
        account: &LinkedAccount,
        report: &mut Report,
    ) -> Result<(), WorkError> {
        let model = report.endpoint.key();
        for window in &report.finished {
            telemetry::count(Metric::WindowFinished, 1);
            let counts = window.counts;
            if counts.added + counts.updated + counts.deleted == 0 {
                continue;
            }
            let event = Event::new(worker.now(), EventKind::SyncFinished, SYSTEM)
                .model(&model)
                .with("added", counts.added)
                .with("updated", counts.updated)
                .with("unchanged", counts.unchanged)
                .with("deleted", counts.deleted);
            add_event(worker, account, &event).await?;
        }
        match std::mem::replace(&mut report.end, End::Finished) {
            End::Backpressure(error) => {
                // An outage is told once, when it begins.
                if account.facts.trouble.is_none() && self.backpressure.is_none() {
                    let event = Event::new(worker.now(), EventKind::SyncFailed, SYSTEM).model(&model);
                    add_event(worker, account, &event.with("reason", error.label())).await?;
                }
                self.backpressure = Some(error);
            }
            End::Broken(what) => {
                tracing::error!(account = %account.id, model, what, "Merge's answers cannot be read to the end");
                telemetry::count_by(Metric::ModelDegraded, &model, 1);
                let slug = report.endpoint.slug();
                // A broken list is told once, when it begins.
                if !account.facts.unreadable.contains_key(&slug) {
                    let event = Event::new(worker.now(), EventKind::SyncFailed, SYSTEM).model(&model);
                    let event = event.with("reason", "contract_broken").with("detail", what);
                    add_event(worker, account, &event).await?;
                }
                self.broken.insert(slug);
            }
            End::NotBefore(at) => self.resume_at = self.resume_at.max(Some(at)),
            End::Fenced => tracing::info!(account = %account.id, model, "another worker has taken the model up"),
            // Stays as it is for the caller, who sends the continuation.
            End::OutOfTime => report.end = End::OutOfTime,
            End::Finished => drop(self.read.insert(report.endpoint.slug())),
        }
        Ok(())
    }
}

/// Merge does not serve us: notes why, and when to try again.
pub async fn hold_back(
    worker: &Worker,
    account: &LinkedAccount,
    error: &MergeError,
    findings: &mut Findings,
) -> Result<(), WorkError> {
    telemetry::count_by(Metric::MergeError, error.label(), 1);
    tracing::warn!(account = %account.id, error = telemetry::chain(error), "Merge does not serve this account now");
    // A 401 blames the key or the token: the key alone can be asked.
    let key_refused = match error.kind() {
        shared::merge::ErrorKind::Unauthorized => {
            let listed = worker.merge.linked_account(&account.merge_id).await;
            listed.is_err_and(|error| error.is_api_key_refused())
        }
        _ => false,
    };
    if key_refused {
        telemetry::count(Metric::MergeApiKeyRefused, 1);
    }
    findings.trouble = Some(trouble_of(error, key_refused));
    let pause = match error.retry() {
        Retry::After(pause) => pause,
        Retry::Backoff | Retry::Never => DEFAULT_PAUSE,
    };
    findings.resume_at = worker.now().checked_add(SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)).ok();
    Ok(())
}

/// Writes what a run found, if it differs from what stands. `checkpoints`: `None` when nothing was fetched. Answers the
/// account as it now stands, `None` if it is gone.
pub async fn save(
    worker: &Worker,
    of: &AccountRef,
    checkpoints: Option<&HashMap<String, Checkpoint>>,
    rows: &[SyncStatus],
    findings: Findings,
) -> Result<Option<LinkedAccount>, WorkError> {
    let now = worker.now();
    let mut before = None;
    let saved = worker
        .store
        .change_account(&of.organization, of.account, |account| {
            before = Some(account.clone());
            let read = account.clone();
            apply(worker, account, checkpoints, rows, &findings, now);
            if *account == read {
                return Change::Keep;
            }
            account.updated_at = now;
            Change::Write
        })
        .await?;
    if let (Some(before), Some(after)) = (before, &saved) {
        announce(worker, &before, after, now).await?;
    }
    Ok(saved)
}

fn apply(
    worker: &Worker,
    account: &mut LinkedAccount,
    checkpoints: Option<&HashMap<String, Checkpoint>>,
    rows: &[SyncStatus],
    findings: &Findings,
    now: Timestamp,
) {
    if !account.status.connected() {
        return;
    }
    if let Some(details) = &findings.details {
        if details.status.connected() {
            set_status(account, details.status, now);
        }
        account.is_duplicate = details.is_duplicate;
        account.deletion.missing_since = None;
    }
    let first_sync_failed = rows.iter().any(SyncStatus::first_sync_failed).then_some(TroubleCode::FirstSyncFailed);
    account.facts.unreadable.retain(|slug, _| !findings.read.contains(slug));
    for slug in &findings.broken {
        let found = UnreadableList::found(account.facts.unreadable.get(slug), now);
        account.facts.unreadable.insert(slug.clone(), found);
    }
    let broken = (!account.facts.unreadable.is_empty()).then_some(TroubleCode::ContractBroken);
    let trouble = findings.trouble.or(broken).or(first_sync_failed);
    account.facts.trouble = trouble.map(|code| match &account.facts.trouble {
        Some(standing) if standing.code == code => standing.clone(),
        _ => Trouble { code, since: now },
    });
    if let Some(checkpoints) = checkpoints {
        account.facts = facts(worker, account, checkpoints, rows);
    }
    if findings.through && account.facts.unreadable.is_empty() {
        account.facts.full_read = None;
    }
    account.chain += u64::from(findings.chain_moves);
    let class = poll_class(PollFacts {
        status: account.status,
        first_sync_completed: account.facts.initial_sync_completed,
        age_seconds: now.as_second() - account.created_at.as_second(),
        sync_interval_seconds: sync_status::interval_seconds(rows)
            .map(|seconds| (seconds as f64 * worker.settings.clock.speed) as i64),
    });
    // Without Merge's answer the interval is unknown: the class stays.
    let due = if rows.is_empty() {
        Due { key: account.due.class.clone(), class: account.due.class.clone() }
    } else {
        Due::every(class, account.id)
    };
    let retry_at = account.facts.unreadable.values().map(|list| list.retry_at).min();
    account.due = match findings.resume_at.or(retry_at) {
        Some(at) => due.wake(worker.settings.clock.minute(at) + 1),
        None => due,
    };
}

/// Moves an account to another of Merge's statuses.
pub fn set_status(account: &mut LinkedAccount, status: AccountStatus, now: Timestamp) {
    if account.status != status {
        account.status = status;
        account.status_since = now;
    }
}

/// The account as a whole, from its endpoints.
fn facts(
    worker: &Worker,
    account: &LinkedAccount,
    checkpoints: &HashMap<String, Checkpoint>,
    rows: &[SyncStatus],
) -> SyncFacts {
    let enabled: Vec<Option<&Checkpoint>> = sync_status::pair(rows, account.category, &worker.settings.models.filter)
        .into_iter()
        .filter(|(_, row)| row.status != SyncState::Disabled)
        .map(|(endpoint, _)| checkpoints.get(&endpoint.slug()))
        .collect();
    let finished = || enabled.iter().flatten().filter_map(|c| c.upper);
    let all_completed = !enabled.is_empty() && enabled.iter().all(|c| c.is_some_and(|c| c.initial_completed));
    SyncFacts {
        records: checkpoints.values().map(|c| c.records.max(0).unsigned_abs()).sum(),
        // Once complete, a model that is enabled later does not take that back.
        initial_sync_completed: account.facts.initial_sync_completed || all_completed,
        partial: enabled.iter().flatten().any(|c| c.partial),
        data_fresh_as_of: if finished().count() == enabled.len() { finished().min() } else { None },
        last_successful_sync_at: enabled.iter().flatten().filter_map(|c| c.last_synced_at).max(),
        trouble: account.facts.trouble.clone(),
        unreadable: account.facts.unreadable.clone(),
        full_read: account.facts.full_read.clone(),
    }
}

/// Writes to the timeline what changed, and tells the host product what its users should hear.
async fn announce(
    worker: &Worker,
    before: &LinkedAccount,
    after: &LinkedAccount,
    now: Timestamp,
) -> Result<(), WorkError> {
    if before.status != after.status {
        let event = Event::new(now, EventKind::StatusChanged, SYSTEM)
            .with("from", before.status.as_str())
            .with("to", after.status.as_str());
        add_event(worker, after, &event).await?;
    }
    if after.facts.initial_sync_completed && !before.facts.initial_sync_completed {
        add_event(worker, after, &Event::new(now, EventKind::FirstSyncCompleted, SYSTEM)).await?;
        worker.bus.put(after, Notice::FirstSyncCompleted).await;
    }
    let (was, is) = (health::of_account(before, now), health::of_account(after, now));
    let matters = |state| state == HealthState::ActionNeeded;
    if was.state != is.state && (matters(was.state) || matters(is.state)) {
        worker.bus.put(after, Notice::HealthChanged(is)).await;
    }
    Ok(())
}

/// Adds an event to an account's timeline.
pub async fn add_event(worker: &Worker, account: &LinkedAccount, event: &Event) -> Result<(), WorkError> {
    let retention = worker.settings.retention.history;
    worker.store.add_event(account.id, event, ambient::uuid(), retention).await?;
    Ok(())
}
