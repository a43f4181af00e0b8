//! Announcing: what changed about an account is written to its timeline; what the host product's users should hear of
//! is put on the event bus, and noted on the row once it was, so that whoever changed the account, it is told once.

use jiff::Timestamp;
use shared::{
    ambient,
    domain::{
        account::LinkedAccount,
        health::{self, HealthState},
        issue::Turn,
    },
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
    },
    telemetry::{self, Metric},
};

use super::{WorkError, Worker, bus::Notice};

/// Writes to the timeline what differs between two states of an account, and tells the host product.
pub async fn announce(
    worker: &Worker,
    before: &LinkedAccount,
    after: &LinkedAccount,
    turns: &[Turn],
) -> Result<(), WorkError> {
    let now = worker.now();
    if before.status != after.status {
        let event = Event::new(now, EventKind::StatusChanged, SYSTEM)
            .with("from", before.status.as_str())
            .with("to", after.status.as_str());
        add_event(worker, after, &event).await?;
    }
    for turn in turns {
        add_event(worker, after, &turned(*turn, now)).await?;
    }
    if is_minded(after) && !is_minded(before) {
        add_event(worker, after, &Event::new(now, EventKind::DuplicateFound, SYSTEM)).await?;
    }
    if after.facts.initial_sync_completed && !before.facts.initial_sync_completed {
        add_event(worker, after, &Event::new(now, EventKind::FirstSyncCompleted, SYSTEM)).await?;
    }
    tell(worker, after).await
}

fn turned(turn: Turn, now: Timestamp) -> Event {
    if let Turn::Opened(kind) | Turn::Reopened(kind) | Turn::Became { is: kind, .. } = turn {
        telemetry::count_by(Metric::IssueOpened, kind.word(), 1);
    }
    match turn {
        Turn::Opened(kind) => Event::new(now, EventKind::IssueOpened, SYSTEM).with("kind", kind.word()),
        Turn::Reopened(kind) => {
            Event::new(now, EventKind::IssueOpened, SYSTEM).with("kind", kind.word()).with("again", true)
        }
        Turn::Became { was, is } => {
            Event::new(now, EventKind::IssueOpened, SYSTEM).with("kind", is.word()).with("was", was.word())
        }
        Turn::Resolved(kind) => Event::new(now, EventKind::IssueResolved, SYSTEM).with("kind", kind.word()),
    }
}

fn is_minded(account: &LinkedAccount) -> bool {
    account.is_duplicate == Some(true) && !account.duplicate_ignored
}

/// Puts on the bus what the host product was not told yet. What cannot be put there now is told after the next run.
pub async fn tell(worker: &Worker, account: &LinkedAccount) -> Result<(), WorkError> {
    let health = health::of_account(account, worker.now());
    let action_needed = health.state == HealthState::ActionNeeded;
    let first_sync = account.facts.initial_sync_completed;
    let news = [
        (account.notes.told_action_needed != action_needed).then_some(Notice::HealthChanged(health)),
        (first_sync && !account.notes.told_first_sync).then_some(Notice::FirstSyncCompleted),
    ];
    let mut told = false;
    for notice in news.into_iter().flatten() {
        if !worker.bus.put(account, notice).await {
            return Ok(());
        }
        told = true;
    }
    if told {
        let noted = worker.store.change_account(&account.organization, account.id, |account| {
            account.notes.told_action_needed = action_needed;
            account.notes.told_first_sync |= first_sync;
            Change::Write
        });
        noted.await?;
    }
    Ok(())
}

/// Adds an event to an account's timeline.
pub async fn add_event(worker: &Worker, account: &LinkedAccount, event: &Event) -> Result<(), WorkError> {
    let retention = worker.settings.retention.history;
    worker.store.add_event(account.id, event, ambient::uuid(), retention).await?;
    Ok(())
}
