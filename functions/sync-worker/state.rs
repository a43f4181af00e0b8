//! The account's row after a run: status, counts, freshness, trouble, poll class. Written once per run and only when
//! something differs, so that an idle poll writes nothing.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use shared::{
    domain::{
        account::{
            AccountStatus, FullRead, LinkedAccount, SyncFacts, Trouble, TroubleCode, UnreadableList, fingerprint,
        },
        ids::MergeLinkedAccountId,
        issue::{self, Turn},
        message::{AccountRef, IssueEvent},
        schedule::{Due, PollFacts, poll_class},
        sync_status::{self, SyncState, SyncStatus},
        window::Checkpoint,
    },
    merge::{AccountDetails, ErrorKind, MergeError, Retry},
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
    },
    telemetry::{self, Metric},
};

use super::{
    WorkError, Worker,
    announce::{add_event, announce},
    endpoint_sync::{End, Report},
    known,
};

/// How long Merge is left alone when it does not say how long it wants to be.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);

/// A sync of Merge's that has been running for so long is not expected to end well.
const LONGEST_SYNC: Duration = Duration::from_secs(24 * 60 * 60);

/// Webhooks count as arriving for so long after the last one: two of the rarest rounds.
const WEBHOOK_EVERY: Duration = Duration::from_secs(48 * 60 * 60);

/// That one arrived is not noted more often than this.
const NOTE_WEBHOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// A relink and the sync that follows it begin at about the same time, by two clocks.
const RELINK_SYNC_BEFORE: SignedDuration = SignedDuration::from_mins(2);

/// What led to a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trigger {
    Webhook,
    Poll,
    Request,
    #[default]
    Continuation,
}

impl Trigger {
    /// A word for metrics.
    fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Poll => "poll",
            Self::Request => "request",
            Self::Continuation => "continuation",
        }
    }
}

/// What a run found out about the account.
#[derive(Debug, Default)]
pub struct Findings {
    pub trigger: Trigger,
    /// Merge's own words about the account.
    pub details: Option<AccountDetails>,
    /// All of its issues.
    pub issues: Option<Vec<IssueEvent>>,
    /// The set of duplicates that it belongs to.
    pub duplicates: Option<Vec<MergeLinkedAccountId>>,
    /// The system had not been offered any more, and is.
    pub offered_again: bool,
    /// A sync of Merge's had ended that no webhook told of.
    pub missed: bool,
    pub trouble: Option<TroubleCode>,
    /// Merge asked to be left alone; the run ended early.
    pub backpressure: Option<MergeError>,
    pub resume_at: Option<Timestamp>,
    /// Lists that could not be read to their end.
    pub broken: BTreeSet<String>,
    /// Lists that could.
    pub read: BTreeSet<String>,
    /// The full read that stood when the run began, if every list is through with it.
    pub full_read_over: Option<FullRead>,
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
            measure_lag(worker, account, window.upper);
            if counts.added + counts.updated + counts.deleted == 0 {
                continue;
            }
            telemetry::count_by(Metric::ChangesSeen, self.trigger.word(), 1);
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

/// How late what Merge had finished at `finished` is here, and whether the account's class promises better.
fn measure_lag(worker: &Worker, account: &LinkedAccount, finished: Timestamp) {
    let Some(class) = account.due.poll_class().filter(|_| account.facts.initial_sync_completed) else { return };
    let lag = worker.now().duration_since(finished).as_secs().max(0);
    let promised = worker.settings.clock.real(class.promised()).as_secs() as i64;
    telemetry::count_by(Metric::DataLag, class.label(), lag.unsigned_abs());
    if lag > promised {
        telemetry::count_by(Metric::DataLate, class.label(), 1);
    }
}

/// Merge does not serve us: notes why, and when to try again.
pub fn hold_back(
    worker: &Worker,
    account: &LinkedAccount,
    error: &MergeError,
    trouble: TroubleCode,
    findings: &mut Findings,
) {
    tracing::warn!(account = %account.id, error = telemetry::chain(error), "Merge does not serve this account now");
    findings.trouble = Some(trouble);
    let pause = match error.retry() {
        Retry::After(pause) => pause,
        Retry::Backoff | Retry::Never => DEFAULT_PAUSE,
    };
    findings.resume_at = worker.now().checked_add(SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)).ok();
}

/// The trouble that a refusal by Merge stands for.
pub async fn trouble_of(worker: &Worker, account: &LinkedAccount, error: &MergeError) -> TroubleCode {
    match error.kind() {
        ErrorKind::Unauthorized => match worker.merge.linked_account(&account.merge_id).await {
            // Perhaps the key is another environment's, and perhaps the account is gone: the next look tells.
            Ok(None) => TroubleCode::MergeUnavailable,
            listed => refused(&listed),
        },
        ErrorKind::RateLimited | ErrorKind::Unavailable => TroubleCode::MergeUnavailable,
        _ => TroubleCode::ContractBroken,
    }
}

/// What a 401 refused: the key or the account's token. A call with the key alone tells, if it is answered; else nobody
/// is to blame. `Ok`: it was, and Merge has the account.
pub fn refused<T>(with_key_alone: &Result<T, MergeError>) -> TroubleCode {
    match with_key_alone {
        Ok(_) => TroubleCode::AccountTokenRefused,
        Err(error) if error.is_api_key_refused() => TroubleCode::ApiKeyRefused,
        Err(_) => TroubleCode::MergeUnavailable,
    }
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
    let (mut before, mut turns) = (None, Vec::new());
    let saved = worker
        .store
        .change_account(&of.organization, of.account, |account| {
            before = Some(account.clone());
            let read = account.clone();
            turns = apply(worker, account, checkpoints, rows, &findings, now);
            if *account == read {
                return Change::Keep;
            }
            account.updated_at = now;
            Change::Write
        })
        .await?;
    if let (Some(before), Some(after)) = (before, &saved) {
        announce(worker, &before, after, &turns).await?;
    }
    Ok(saved)
}

/// What the findings make of the account. Answers how its issues turned.
fn apply(
    worker: &Worker,
    account: &mut LinkedAccount,
    checkpoints: Option<&HashMap<String, Checkpoint>>,
    rows: &[SyncStatus],
    findings: &Findings,
    now: Timestamp,
) -> Vec<Turn> {
    if !account.status.connected() {
        return Vec::new();
    }
    if let Some(details) = &findings.details {
        if details.status.connected() {
            set_status(account, details.status, now);
        }
        account.is_duplicate = details.is_duplicate;
        account.deletion.missing_since = None;
    }
    if findings.offered_again {
        account.notes.unavailable_since = None;
    }
    note_duplicates(account, findings.duplicates.as_deref());
    note_webhooks(worker, account, findings, now);
    let turns = findings.issues.as_ref().map(|listed| issue::compare(&mut account.issues, listed, now));
    account.facts.unreadable.retain(|slug, _| !findings.read.contains(slug));
    for slug in &findings.broken {
        let found = UnreadableList::found(account.facts.unreadable.get(slug), now);
        account.facts.unreadable.insert(slug.clone(), found);
    }
    let broken = (!account.facts.unreadable.is_empty()).then_some(TroubleCode::ContractBroken);
    let trouble = findings.trouble.or(broken).or(trouble_at_merge(worker, rows));
    account.facts.trouble = trouble.map(|code| match &account.facts.trouble {
        Some(standing) if standing.code == code => standing.clone(),
        _ => Trouble { code, since: now },
    });
    if let Some(checkpoints) = checkpoints {
        account.facts = facts(worker, account, checkpoints, rows);
    }
    if account.facts.full_read == findings.full_read_over && account.facts.unreadable.is_empty() {
        account.facts.full_read = findings.full_read_over.clone().map(|read| FullRead { over: true, ..read });
    }
    account.chain += u64::from(findings.chain_moves);
    account.due = due(worker, account, rows, findings.resume_at, now);
    turns.unwrap_or_default()
}

/// A duplicate that was not there when the others were ignored is to be minded again.
fn note_duplicates(account: &mut LinkedAccount, set: Option<&[MergeLinkedAccountId]>) {
    let Some(set) = set else { return };
    let known = |id: &MergeLinkedAccountId| {
        *id == account.merge_id || account.notes.ignored_duplicates.contains(&fingerprint(id.as_str()))
    };
    if !set.iter().all(known) {
        account.duplicate_ignored = false;
        account.notes.ignored_duplicates.clear();
    }
}

fn note_webhooks(worker: &Worker, account: &mut LinkedAccount, findings: &Findings, now: Timestamp) {
    let seen_at = &mut account.notes.webhook_seen_at;
    match findings.trigger {
        Trigger::Webhook if seen_at.is_none_or(|at| at < known::before(worker, NOTE_WEBHOOK_EVERY)) => {
            *seen_at = Some(now);
        }
        Trigger::Poll if findings.missed && seen_at.take().is_some() => {
            telemetry::count(Metric::WebhookMissing, 1);
            tracing::warn!(account = %account.id, "a webhook did not come");
        }
        _ => {}
    }
}

/// Trouble that Merge's own syncs are in.
fn trouble_at_merge(worker: &Worker, rows: &[SyncStatus]) -> Option<TroubleCode> {
    if rows.iter().any(SyncStatus::first_sync_failed) {
        return Some(TroubleCode::FirstSyncFailed);
    }
    sync_status::overlong(rows, known::before(worker, LONGEST_SYNC)).then_some(TroubleCode::SyncTimeout)
}

/// When the account is looked at next.
fn due(
    worker: &Worker,
    account: &LinkedAccount,
    rows: &[SyncStatus],
    resume_at: Option<Timestamp>,
    now: Timestamp,
) -> Due {
    let arrived_since = known::before(worker, WEBHOOK_EVERY);
    let class = poll_class(PollFacts {
        status: account.status,
        first_sync_completed: account.facts.initial_sync_completed,
        age_seconds: now.as_second() - account.created_at.as_second(),
        sync_interval_seconds: sync_status::interval_seconds(rows)
            .map(|seconds| (seconds as f64 * worker.settings.clock.speed) as i64),
        webhooks_arrive: account.notes.webhook_seen_at.is_some_and(|at| at >= arrived_since),
    });
    // Without Merge's answer the interval is unknown: the class stays.
    let due = if rows.is_empty() {
        Due { key: account.due.class.clone(), class: account.due.class.clone() }
    } else {
        Due::every(class, account.id)
    };
    let retry_at = account.facts.unreadable.values().map(|list| list.retry_at).min();
    match resume_at.or(retry_at) {
        Some(at) => due.wake(worker.settings.clock.minute(at) + 1),
        None => due,
    }
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
        failing: sync_status::failing(rows, account.facts.failing.as_ref()),
        synced_since_relink: account.relinked_at.is_some_and(|at| {
            sync_status::synced_since(rows, at.saturating_sub(RELINK_SYNC_BEFORE).unwrap_or(Timestamp::MIN))
        }),
        last_successful_sync_at: enabled.iter().flatten().filter_map(|c| c.last_synced_at).max(),
        trouble: account.facts.trouble.clone(),
        unreadable: account.facts.unreadable.clone(),
        full_read: account.facts.full_read.clone(),
    }
}
