//! A run: everything there is to fetch of one account now. Ask Merge how far its syncs are, fetch what became readable
//! with the models side by side, then say on the account's row what that means.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use shared::{
    domain::{
        account::{AccountStatus, LinkedAccount, TroubleCode},
        endpoint::Endpoint,
        message::{AccountRef, Message, SyncMode, Work},
        secret::AccountToken,
        sync_status::{self, SyncState, SyncStatus},
        window::Checkpoint,
    },
    merge::{ErrorKind, MergeError},
    store::{accounts::Change, status::StoredSyncStatus},
    telemetry::{self, Metric},
};

use super::{
    Invocation, WorkError, Worker,
    absence::{self, Standing},
    deletion,
    endpoint_sync::{End, EndpointSync, Readable, Report},
    known,
    lanes::{self, Lanes},
    page_fetch::take_budget,
    parking, signals,
    state::{self, Findings, Trigger},
};

/// Which of Merge's answers a run needs anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// How far the syncs are, and whether the account is well: its status and its issues.
    StatusAndAccount,
    Status,
    /// Nothing: what was stored says enough.
    Stored,
}

/// A run and what it was asked for.
struct Run<'a> {
    worker: &'a Worker,
    of: &'a AccountRef,
    invocation: &'a Invocation,
    ask: Ask,
    trigger: Trigger,
    /// Empty: all.
    only: Vec<&'static Endpoint>,
    /// A person asked: lists that rest because they are broken are tried all the same.
    insists: bool,
}

impl<'a> Run<'a> {
    fn new(worker: &'a Worker, of: &'a AccountRef, invocation: &'a Invocation, ask: Ask, trigger: Trigger) -> Self {
        Self { worker, of, invocation, ask, trigger, only: Vec::new(), insists: false }
    }
}

/// The poller found the account due: unfinished deletions go on, live accounts are looked at.
pub async fn poll(worker: &Worker, of: &AccountRef, invocation: &Invocation) -> Result<(), WorkError> {
    let Some(account) = worker.store.account(&of.organization, of.account).await? else { return Ok(()) };
    match account.status {
        AccountStatus::Deleting => deletion::delete(worker, of, invocation).await,
        AccountStatus::Deleted => deletion::retire(worker, account, invocation).await,
        _ => run(Run::new(worker, of, invocation, Ask::StatusAndAccount, Trigger::Poll), account, 0).await,
    }
}

/// A webhook hinted that something became readable, or that the account itself changed.
pub async fn hinted(
    worker: &Worker,
    account: LinkedAccount,
    ask: Ask,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    telemetry::about_account(&account.organization, account.id);
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    run(Run::new(worker, &of, invocation, ask, Trigger::Webhook), account, 0).await
}

/// What somebody asked for.
pub struct Request<'a> {
    pub mode: SyncMode,
    /// Model keys; empty: all.
    pub models: &'a [String],
    pub at: Timestamp,
}

/// Somebody asked: a first sync, a refresh, a catch-up after a relink.
pub async fn requested(
    worker: &Worker,
    of: &AccountRef,
    request: Request<'_>,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    let only: Vec<_> = request.models.iter().filter_map(|key| Endpoint::by_key(key)).collect();
    let account = match request.mode {
        SyncMode::Changes => worker.store.account(&of.organization, of.account).await?,
        SyncMode::Full => ask_in_full(worker, of, &only, request.at).await?,
    };
    let Some(account) = account else { return Ok(()) };
    parking::release_for(worker, &account, invocation).await?;
    let mut asked = Run::new(worker, of, invocation, Ask::StatusAndAccount, Trigger::Request);
    asked.only = only;
    asked.insists = true;
    run(asked, account, 0).await
}

/// Notes on the account that a full read was asked for, so that neither the end of a slice nor an outage of Merge's
/// forgets it.
async fn ask_in_full(
    worker: &Worker,
    of: &AccountRef,
    only: &[&'static Endpoint],
    asked_at: Timestamp,
) -> Result<Option<LinkedAccount>, WorkError> {
    let ask = |account: &mut LinkedAccount| {
        if !account.facts.ask_in_full(only.iter().map(|endpoint| endpoint.slug()).collect(), asked_at) {
            return Change::Keep;
        }
        account.updated_at = worker.now();
        Change::Write
    };
    Ok(worker.store.change_account(&of.organization, of.account, ask).await?)
}

/// The next hop of a chain. An older hop than the account's chain is a copy; a hop whose parent moved nothing is the
/// last.
pub async fn go_on(
    worker: &Worker,
    of: &AccountRef,
    chain: u64,
    pages: u64,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    let Some(account) = worker.store.account(&of.organization, of.account).await? else { return Ok(()) };
    if account.chain != chain {
        return Ok(());
    }
    run(Run::new(worker, of, invocation, Ask::Stored, Trigger::Continuation), account, pages).await
}

/// `pages_before`: committed pages when the message was sent, zero at the start of a chain.
async fn run(asked: Run<'_>, mut account: LinkedAccount, pages_before: u64) -> Result<(), WorkError> {
    if !account.status.connected() {
        return Ok(());
    }
    let worker = asked.worker;
    let mut findings = Findings { trigger: asked.trigger, ..Findings::default() };
    let stored = worker.store.sync_status(account.id).await?;
    let checkpoints = worker.store.checkpoints(account.id).await?;
    if asked.trigger == Trigger::Poll && known::poll_is_needless(worker, &account, stored.as_ref(), &checkpoints) {
        telemetry::count_by(Metric::LookSkipped, "poll", 1);
        return Ok(());
    }

    // 1. The account's token, and what Merge says about its syncs and the account itself.
    let token = worker.linking.token_of(&account).await?;
    let rows = match statuses(&asked, &account, &token, stored, &mut findings).await? {
        Statuses::Rows(rows) => rows,
        Statuses::Refused(error) => return put_off(worker, &account, &error).await,
        Statuses::NotBefore(at) => {
            let trouble = Some(TroubleCode::MergeUnavailable);
            findings = Findings { resume_at: Some(at), trouble, ..Findings::default() };
            state::save(worker, asked.of, None, &[], findings).await?;
            return Ok(());
        }
    };
    if let Some(details) = &findings.details {
        account = worker.linking.guarded(account, details, worker.now()).await?;
    }
    findings.missed = known::was_missed(worker, &account, &rows, &checkpoints);

    // 2. Fetch what is readable, models side by side within the account's allowance.
    let mut reports = fetch(&asked, &account, &token, &rows, checkpoints.clone()).await?;

    // 3. Say on the account's row what that means.
    let mut after = checkpoints;
    // A run of some lists only says nothing of the others.
    let through = asked.only.is_empty() && reports.iter().all(|report| matches!(report.end, End::Finished));
    findings.full_read_over = account.facts.standing_full_read().cloned().filter(|_| through && !reports.is_empty());
    for report in &mut reports {
        findings.learn(worker, &account, report).await?;
        if let Some(checkpoint) = report.checkpoint.take() {
            after.insert(report.endpoint.slug(), checkpoint);
        }
    }
    if let Some(error) = findings.backpressure.take() {
        let trouble = state::trouble_of(worker, &account, &error).await;
        state::hold_back(worker, &account, &error, trouble, &mut findings);
    }
    let out_of_time = reports.iter().any(|report| matches!(report.end, End::OutOfTime));
    findings.chain_moves = out_of_time;
    let saved = state::save(worker, asked.of, Some(&after), &rows, findings).await?;

    // 4. The time was up before the work was done: the next invocation goes on.
    if let (true, Some(saved)) = (out_of_time, saved) {
        go_on_later(&asked, &saved, pages_before, &after).await?;
    }
    Ok(())
}

/// Merge does not serve us now: a wake takes the account up again. A refused token may also mean that the account is
/// gone; then nothing calls for it any more.
pub async fn put_off(worker: &Worker, account: &LinkedAccount, error: &MergeError) -> Result<(), WorkError> {
    let mut findings = Findings::default();
    let listed = match error.kind() {
        ErrorKind::Unauthorized => Some(absence::look(worker, account).await?),
        _ => None,
    };
    match listed {
        Some(Ok(Standing::Gone)) => return signals::gone(worker, account).await,
        // Neither the account nor its token is to blame before that is certain.
        Some(Ok(Standing::Missing(look_at))) => {
            findings.trouble = Some(TroubleCode::MergeUnavailable);
            findings.resume_at = Some(look_at);
        }
        Some(listed) => state::hold_back(worker, account, error, state::refused(&listed), &mut findings),
        None => {
            let trouble = state::trouble_of(worker, account, error).await;
            state::hold_back(worker, account, error, trouble, &mut findings);
        }
    }
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    state::save(worker, &of, None, &[], findings).await?;
    Ok(())
}

/// What came of asking Merge how far its syncs are.
enum Statuses {
    Rows(Vec<SyncStatus>),
    Refused(MergeError),
    /// Merge wants the account left alone for longer than a worker should wait.
    NotBefore(Timestamp),
}

/// Merge's sync status, stored when it differs; and the account's own status when asked for.
async fn statuses(
    asked: &Run<'_>,
    account: &LinkedAccount,
    token: &AccountToken,
    stored: Option<StoredSyncStatus>,
    findings: &mut Findings,
) -> Result<Statuses, WorkError> {
    let worker = asked.worker;
    if let (Ask::Stored, Some(stored)) = (asked.ask, &stored) {
        return Ok(Statuses::Rows(stored.rows.clone()));
    }
    let budget = worker.budget(account.id);
    if let Err(at) = take_budget(worker, &budget).await {
        return Ok(Statuses::NotBefore(at));
    }
    let rows = match worker.merge.sync_status(account.category, token, Some(&budget)).await {
        Ok(rows) => rows,
        Err(error) => return Ok(Statuses::Refused(error)),
    };
    if asked.ask == Ask::StatusAndAccount {
        if let Err(at) = take_budget(worker, &budget).await {
            return Ok(Statuses::NotBefore(at));
        }
        match worker.merge.account_details(account.category, token).await {
            Ok(details) => findings.details = Some(details),
            Err(error) => return Ok(Statuses::Refused(error)),
        }
        signals::look_around(worker, account, findings).await;
    }
    for model in sync_status::unknown_models(&rows, account.category) {
        tracing::info!(model, "Merge names a model that this build does not know");
        telemetry::count_by(Metric::MergeContractDrift, "model", 1);
    }
    if stored.as_ref().is_none_or(|stored| stored.rows != rows) {
        let status = StoredSyncStatus { rows: rows.clone(), read_at: worker.now() };
        worker.store.put_sync_status(asked.of, &status).await?;
    }
    Ok(Statuses::Rows(rows))
}

/// Syncs the lists at the top, side by side, then those nested below them, which follow what the others brought.
async fn fetch(
    asked: &Run<'_>,
    account: &LinkedAccount,
    token: &AccountToken,
    rows: &[SyncStatus],
    mut checkpoints: HashMap<String, Checkpoint>,
) -> Result<Vec<Report>, WorkError> {
    let worker = asked.worker;
    let filter = &worker.settings.models.filter;
    let budget = worker.budget(account.id);
    let lanes = &Lanes::new();
    let mut met = HashSet::new();
    let (facts, now) = (&account.facts, worker.now());
    let rests = |slug: &str| !asked.insists && facts.unreadable.get(slug).is_some_and(|list| list.retry_at > now);
    let wanted = |endpoint: &&'static Endpoint| {
        (asked.only.is_empty() || asked.only.contains(endpoint)) && !rests(&endpoint.slug())
    };
    let mut work: Vec<_> = sync_status::pair(rows, account.category, filter)
        .into_iter()
        // Two rows may name one model in Merge's two spellings.
        .filter(|(endpoint, _)| met.insert(endpoint.slug()) && wanted(endpoint))
        .map(|(endpoint, status)| (endpoint, Readable::Status(status)))
        .collect();
    let deletions_held = account.notes.deletions_held_since.is_some();
    let mut reports: Vec<Report> = Vec::new();
    for depth in 1.. {
        let level = stream::iter(work).map(|(endpoint, readable)| {
            let slug = endpoint.slug();
            let checkpoint = checkpoints.get(&slug).cloned();
            let sync = EndpointSync {
                worker,
                of: asked.of,
                token,
                budget: &budget,
                lanes,
                invocation: asked.invocation,
                endpoint,
                again: facts.unreadable.contains_key(&slug),
                deletions_held,
            };
            let asked = facts.full_read_of(&slug);
            async move {
                let _lane = lanes.enter().await;
                sync.run(checkpoint, &readable, asked).await
            }
        });
        let level: Vec<Report> = level.buffer_unordered(lanes::MOST).try_collect().await?;
        let after = level.iter().filter_map(|report| Some((report.endpoint.slug(), report.checkpoint.clone()?)));
        checkpoints.extend(after);
        reports.extend(level);
        let below = filter.endpoints(account.category).into_iter().filter(|e| e.depth() == depth && wanted(e));
        let below: Vec<_> = below.collect();
        if below.is_empty() {
            break;
        }
        work = below
            .into_iter()
            .filter_map(|endpoint| {
                let own = sync_status::own_status(rows, endpoint);
                let parents = checkpoints.get(&endpoint.parent()?.slug())?;
                let enabled = own.is_none_or(|own| own.status != SyncState::Disabled);
                enabled.then(|| (endpoint, Readable::Parents(Box::new(parents.clone()), own)))
            })
            .collect();
    }
    Ok(reports)
}

async fn go_on_later(
    asked: &Run<'_>,
    account: &LinkedAccount,
    pages_before: u64,
    checkpoints: &HashMap<String, Checkpoint>,
) -> Result<(), WorkError> {
    let pages: u64 = checkpoints.values().map(|checkpoint| checkpoint.pages).sum();
    if pages <= pages_before {
        telemetry::count(Metric::ContinuationStuck, 1);
        tracing::error!(account = %account.id, "a work slice committed nothing; the chain ends and the poller takes over");
        return Ok(());
    }
    let work = Work::Continue { of: asked.of.clone(), chain: account.chain, pages };
    asked.worker.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
    Ok(())
}
