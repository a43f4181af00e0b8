//! The sync worker: applies what the queue holds, one message at a time: webhook events, polls, sync jobs, deletions.
//!
//! A message is a hint or an order about one linked account; what is true is asked of Merge. Trouble at Merge's side
//! is an outcome (the account is woken later); only what nobody expected fails a message and is received again.

mod absence;
mod account_sync;
mod announce;
mod bus;
mod census;
mod deletion;
mod endpoint_sync;
mod held;
mod known;
mod lanes;
mod nested_sync;
mod outcome;
mod page_fetch;
mod page_write;
mod parking;
mod rotation;
mod signals;
mod state;
mod sweep;

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use shared::{
    ambient, config,
    domain::{
        contract::{Contract, Drift},
        endpoint::Endpoint,
        ids::AccountId,
        message::{Message, Work},
        window::{Brake, Cadence},
    },
    linking::Linking,
    merge::{MergeClient, MergeError, RateBudget},
    queue::Queue,
    store::Store,
    telemetry::{self, Metric},
};

use tokio::time::Instant;

pub use bus::Bus;
pub use outcome::WorkError;

/// Everything the worker works with; built once per process.
pub struct Worker {
    pub store: Store,
    pub merge: MergeClient,
    pub linking: Linking,
    pub queue: Queue,
    pub bus: Bus,
    pub settings: Settings,
    budgets: Mutex<HashMap<AccountId, Arc<RateBudget>>>,
    /// Contract drift that this process has told, by model.
    told: Mutex<HashSet<(&'static str, Drift)>>,
}

/// The worker's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub models: config::Models,
    pub requests_per_minute: u32,
    pub slice: Duration,
    /// How long after the first sweep of a deletion the second follows: longer than any worker lives.
    pub second_sweep_after: Duration,
    /// Deletions by absence beyond this are held.
    pub brake: Brake,
    /// How far a window reaches back into the one before.
    pub overlap: Duration,
    pub retention: config::Retention,
    pub clock: config::Clock,
}

/// One invocation: its name, which fences workers apart, and when it has to stop taking up work.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub request_id: String,
    pub stop_at: Instant,
}

impl Invocation {
    pub fn time_is_up(&self) -> bool {
        Instant::now() >= self.stop_at
    }
}

/// How often a model is read in full that cannot say what changed.
const FULL_READ_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// A list that differs in everything is told of only so far.
const MOST_TOLD: usize = 1_000;

/// A warm process keeps the budgets of this many accounts; then it starts over.
const MOST_BUDGETS: usize = 1_000;

impl Worker {
    pub fn new(store: Store, merge: MergeClient, linking: Linking, queue: Queue, bus: Bus, settings: Settings) -> Self {
        Self { store, merge, linking, queue, bus, settings, budgets: Mutex::default(), told: Mutex::default() }
    }

    /// How windows follow one another; a day is shorter on a faster schedule.
    fn cadence(&self) -> Cadence {
        let signed = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Cadence {
            overlap: signed(self.settings.overlap),
            full_read_every: signed(self.settings.clock.real(FULL_READ_EVERY)),
            feed_kept: signed(self.settings.retention.history),
        }
    }

    fn now(&self) -> Timestamp {
        ambient::now()
    }

    /// Compares a record with what Merge publishes. What differs is counted and told once in a process: the first
    /// record of a page is looked at, so every page of every sync would say the same.
    fn look_for_drift(&self, endpoint: &'static Endpoint, record: &str) {
        let Some(contract) = Contract::of(endpoint) else { return };
        for drift in contract.drift(record) {
            let name = (endpoint.path, drift);
            let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if told.len() < MOST_TOLD && told.insert(name.clone()) {
                let (model, (_, drift)) = (endpoint.key(), name);
                let (kind, member) = (drift.label(), drift.member());
                tracing::info!(model, kind, member, "Merge sends what it does not publish");
                telemetry::count_by(Metric::MergeContractDrift, kind, 1);
            }
        }
    }

    /// What is left of Merge's allowance for an account, shared by everything this process does for it.
    fn budget(&self, account: AccountId) -> Arc<RateBudget> {
        let mut budgets = self.budgets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if budgets.len() >= MOST_BUDGETS && !budgets.contains_key(&account) {
            budgets.clear();
        }
        let fresh = || Arc::new(RateBudget::new(self.settings.requests_per_minute));
        budgets.entry(account).or_insert_with(fresh).clone()
    }
}

/// Works through a batch. A message that fails is named, so that only it is received again; a panic fails one message.
pub async fn handle(worker: &Worker, event: SqsEvent, invocation: &Invocation) -> SqsBatchResponse {
    let mut answer = SqsBatchResponse::default();
    for record in event.records {
        let work = AssertUnwindSafe(apply(worker, &record, invocation)).catch_unwind();
        let pause = match work.await {
            Ok(Ok(())) => continue,
            Ok(Err(WorkError::NotNow(error))) => match waits(worker, &record, &error) {
                Some(pause) => pause,
                None => continue,
            },
            Ok(Err(error)) => failed(&record, &telemetry::chain(&error)),
            Err(_) => failed(&record, "the worker panicked"),
        };
        put_off(worker, &record, pause).await;
        let mut item = BatchItemFailure::default();
        item.item_identifier = record.message_id.unwrap_or_default();
        answer.batch_item_failures.push(item);
    }
    answer
}

/// The longest that a failed message waits for its next receive.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The first pause of a message that waits for Merge, on the schedule's clock.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// How often such a message is tried; with the next receive but one it would be a dead letter.
const TRIES: u32 = 4;

fn receives(record: &SqsMessage) -> u32 {
    record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// A failed message is seen again soon, and later each time: four more receives reach the dead-letter queue after some
/// seven minutes. The pause until then.
fn failed(record: &SqsMessage, why: &str) -> Duration {
    tracing::error!(error = why, message_id = record.message_id, "a message failed");
    telemetry::count(Metric::MessageFailed, 1);
    Duration::from_secs(5) * 4_u32.saturating_pow(receives(record).clamp(1, 5) - 1)
}

/// A message waits as long as Merge says, or longer each time. `None`: no more; the next one of its kind comes by
/// itself.
fn waits(worker: &Worker, record: &SqsMessage, error: &MergeError) -> Option<Duration> {
    let (tries, error_text) = (receives(record), telemetry::chain(error));
    if tries >= TRIES {
        tracing::warn!(
            error = error_text,
            message_id = record.message_id,
            "Merge has not served a message; it is let go"
        );
        return None;
    }
    tracing::info!(error = error_text, message_id = record.message_id, "a message waits until Merge serves it");
    let longer_each_time = FIRST_WAIT * 4_u32.saturating_pow(tries.max(1) - 1);
    Some(error.retry_after().unwrap_or_else(|| worker.settings.clock.real(longer_each_time)))
}

/// Shows a message again after a pause. If this fails, the queue's own timeout applies.
async fn put_off(worker: &Worker, record: &SqsMessage, pause: Duration) {
    let Some(handle) = &record.receipt_handle else { return };
    if let Err(error) = worker.queue.put_off(handle, pause.min(LONGEST_PAUSE)).await {
        tracing::warn!(error = telemetry::chain(&error), "a message keeps the queue's visibility timeout");
    }
}

/// Does what one message says.
async fn apply(worker: &Worker, record: &SqsMessage, invocation: &Invocation) -> Result<(), WorkError> {
    let message = Message::parse(record.body.as_deref().unwrap_or_default())?;
    let merge_id = &message.merge_id;
    if let Some(of) = message.work.of() {
        telemetry::about_account(&of.organization, of.account);
    }
    tracing::debug!(%merge_id, work = ?message.work, "message");
    match message.work {
        Work::Linked { .. } | Work::Issue { .. } => parking::parkable(worker, &message, invocation).await,
        Work::Census { minute, step } => census::take(worker, minute, step, invocation).await,
        Work::Parked { .. } => parking::release(worker, merge_id, invocation).await,
        Work::Synced { models, finished } => signals::hint(worker, merge_id, &models, &finished, invocation).await,
        Work::RecordsChanged {} => signals::hint(worker, merge_id, &[], &Default::default(), invocation).await,
        Work::Deleted {} => signals::deleted(worker, merge_id).await,
        Work::Poll { of, .. } => account_sync::poll(worker, &of, invocation).await,
        Work::Sync { of, mode, models, requested_at, .. } => {
            let request = account_sync::Request { mode, models: &models, at: requested_at };
            account_sync::requested(worker, &of, request, invocation).await
        }
        Work::Continue { of, chain, pages } => account_sync::go_on(worker, &of, chain, pages, invocation).await,
        Work::Delete { of, .. } => deletion::delete(worker, &of, invocation).await,
        Work::RotateToken { of, .. } => rotation::rotate(worker, &of).await,
        Work::Held { of, model, generation, decision, actor, .. } => {
            let decided = held::Decided { model: &model, generation, decision, actor: &actor };
            held::decided(worker, &of, decided, invocation).await
        }
    }
}
