//! The poller: every minute, queues the accounts that are due. It is the backstop for lost webhooks and the only thing
//! that wakes what was put off: back-pressure, deletions, first syncs.
//!
//! It decides nothing about an account: the worker skips what was just synced. Overlapping runs are harmless, a missed
//! minute is caught up by the next run.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{
        message::{Message, Work},
        schedule::{keys_due, minute_of},
    },
    queue::{Queue, QueueError},
    store::{Store, StoreError, tick::DuePage},
    telemetry::{self, Metric},
};
use tokio::time::Instant;

/// What EventBridge Scheduler sends.
#[derive(Debug, Clone, Deserialize)]
pub struct Tick {
    /// The minute this run is for, not the moment it started.
    pub scheduled_time: Timestamp,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Polled {
    pub queued: u64,
    /// Every slot was read to its end; otherwise the next run goes on.
    pub finished: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error("the time wheel could not be read")]
    Store(#[from] StoreError),
    #[error("due accounts could not be queued")]
    Queue(#[from] QueueError),
}

/// The time wheel and the queue it feeds.
#[derive(Clone)]
pub struct Poller {
    pub store: Store,
    pub queue: Queue,
    /// Left for the last batch when no more slots are read.
    pub reserve: Duration,
}

/// Queues what is due at the tick's minute, and since the last finished one.
pub async fn poll(poller: &Poller, tick: &Tick, deadline: Instant) -> Result<Polled, PollError> {
    let minute = minute_of(tick.scheduled_time);
    let mut polled = Polled { queued: 0, finished: false };

    // 1. Which slots: this minute's, and those of minutes that no run finished.
    let last = poller.store.last_tick().await?;
    for slot in keys_due(last, minute) {
        // 2. Each slot page by page; a wake is over once its message is queued.
        let mut page: Option<DuePage> = None;
        loop {
            if Instant::now() + poller.reserve >= deadline {
                tracing::warn!(minute, queued = polled.queued, "the poller ran out of time; the next run goes on");
                return Ok(polled);
            }
            let read = poller.store.due(&slot, page.as_ref()).await?;
            queue(poller, &read, minute).await?;
            polled.queued += read.accounts.len() as u64;
            if slot.starts_with("at#") {
                for account in &read.accounts {
                    poller.store.end_wake(&account.of, &slot).await?;
                }
            }
            if !read.has_more() {
                break;
            }
            page = Some(read);
        }
    }

    // 3. The minute is done.
    poller.store.put_tick(minute).await?;
    polled.finished = true;
    telemetry::count(Metric::AccountsPolled, polled.queued);
    Ok(polled)
}

async fn queue(poller: &Poller, page: &DuePage, minute: i64) -> Result<(), PollError> {
    let messages: Vec<Message> = page
        .accounts
        .iter()
        .map(|due| Message::new(due.merge_id.clone(), Work::Poll { of: due.of.clone(), minute }))
        .collect();
    if !messages.is_empty() {
        poller.queue.send_all(&messages).await?;
    }
    Ok(())
}
