//! The poller: every minute, queues the accounts that are due. It is the backstop for lost webhooks and the only thing
//! that wakes what was put off: back-pressure, deletions, first syncs.
//!
//! It decides nothing about an account: the worker skips what was just synced. A run queues no more than it may and
//! takes no longer than it has; what is left, and minutes that no run polled, the next runs make up for. Overlapping
//! runs are harmless: a message that both queue is one, and a poll that is done twice finds nothing new.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    ambient, config,
    domain::{
        health::ABANDONED_AFTER,
        message::{CensusStep, Message, Work},
        progress::{Place, Progress},
        schedule::{keys_missed, keys_now, minute_of, rank},
    },
    queue::{Queue, QueueError},
    store::{Store, StoreError, tick::Due},
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
    /// Nothing is left over; otherwise the next run goes on.
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
    pub settings: config::Poller,
}

/// The most that is read of a slot at once.
const PAGE: usize = 500;
/// Ends of wakes under way at once.
const WAKES_AT_ONCE: usize = 16;
/// While minutes are missing, the present one leaves a fourth of the run to them.
const LEFT_TO_MISSED: usize = 4;
/// An attempt of this age is old: nobody is coming back by themselves.
const OLD_ATTEMPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// Queues what is due at the tick's minute, then what earlier minutes left.
pub async fn poll(poller: &Poller, tick: &Tick, deadline: Instant) -> Result<Polled, PollError> {
    let minute = minute_of(tick.scheduled_time);

    // 1. How far have earlier runs come?
    let read = poller.store.progress().await?;
    let mut progress = read.as_ref().map_or_else(|| Progress::starting(minute), |read| read.progress.clone());
    let mut run = Run { poller, deadline, left: poller.settings.rate, queued: 0 };

    // 2. This minute, unless a later one was polled already.
    if progress.is_new(minute) {
        let missing = progress.missed(minute).is_some();
        let reserved = if missing { poller.settings.rate / LEFT_TO_MISSED } else { 0 };
        match run.keys(keys_now(minute), minute, None, reserved).await? {
            None => progress.polled(minute),
            Some(place) => progress.stopped(minute, place),
        }
    }

    // 3. Minutes that no run polled to their end, oldest first.
    let latest = progress.latest(minute);
    while let Some(missed) = progress.missed(minute) {
        match run.keys(keys_missed(missed, latest), missed, progress.place.take(), 0).await? {
            None => progress.caught_up(),
            Some(place) => {
                progress.place = Some(place);
                break;
            }
        }
    }

    // 4. Note how far this run came.
    let behind = progress.behind(latest);
    let changed = read.as_ref().is_none_or(|read| read.progress != progress);
    if changed && !poller.store.put_progress(read.as_ref(), &progress).await? {
        tracing::info!(minute, "another run was faster");
    }
    telemetry::count(Metric::AccountsPolled, run.queued);
    telemetry::count(Metric::PollerLag, behind.unsigned_abs() * 60);
    if behind > 0 {
        tracing::warn!(minute, behind, queued = run.queued, "the poller is behind; the next runs make up for it");
    }
    Ok(Polled { queued: run.queued, finished: behind == 0 })
}

/// One run: what it may still do.
struct Run<'a> {
    poller: &'a Poller,
    deadline: Instant,
    /// Accounts that may still be queued.
    left: usize,
    queued: u64,
}

impl Run<'_> {
    /// Queues what is due under the keys of a minute, from `place` on. Answers where it stopped, `None` at the end.
    async fn keys(
        &mut self,
        keys: Vec<String>,
        minute: i64,
        mut place: Option<Place>,
        reserved: usize,
    ) -> Result<Option<Place>, PollError> {
        if place.is_none() && minute.rem_euclid(self.poller.settings.census_every) == 0 {
            let step = CensusStep::Theirs { tests: false, cursor: None };
            self.poller.queue.send(&Message::census(minute, step)).await?;
        }
        for key in keys {
            // Slots that have come round again since are not in the list any more: the next one goes on.
            let reached = place.as_ref().is_none_or(|place| place.key == key || rank(&place.key) < rank(&key));
            if !reached {
                continue;
            }
            let mut after = place.take().filter(|place| place.key == key).and_then(|place| place.after);
            loop {
                let room = self.left.saturating_sub(reserved).min(PAGE);
                if room == 0 || Instant::now() + self.poller.reserve >= self.deadline {
                    return Ok(Some(Place { key, after }));
                }
                let page = self.poller.store.due(&key, after.as_ref(), room).await?;
                self.take(&page.due, &key, minute).await?;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(None)
    }

    /// Queues a page; a wake is over once its message is queued.
    async fn take(&mut self, due: &[Due], key: &str, minute: i64) -> Result<(), PollError> {
        let (store, queue) = (&self.poller.store, &self.poller.queue);
        let mut messages = Vec::new();
        let mut accounts = Vec::new();
        for due in due {
            match due {
                Due::Account { of, merge_id } => {
                    messages.push(Message::new(merge_id.clone(), Work::Poll { of: of.clone(), minute }));
                    accounts.push(of);
                }
                Due::Parked(merge_id) => messages.push(Message::new(merge_id.clone(), Work::Parked { minute })),
                Due::Pending(since) => telemetry::count_by(Metric::PendingAttempt, age(*since), 1),
            }
        }
        queue.send_all(&messages).await?;
        self.left = self.left.saturating_sub(messages.len());
        self.queued += messages.len() as u64;
        if key.starts_with("at#") {
            let ends = stream::iter(accounts).map(|of| store.end_wake(of, key));
            let ends = ends.buffer_unordered(WAKES_AT_ONCE);
            ends.try_for_each(|_| std::future::ready(Ok(()))).await?;
        }
        Ok(())
    }
}

/// A word for how old an attempt is. None is ever removed: the next click takes it up again.
fn age(since: Timestamp) -> &'static str {
    let age = ambient::now().duration_since(since);
    if age < ABANDONED_AFTER {
        "open"
    } else if age < OLD_ATTEMPT {
        "abandoned"
    } else {
        "old"
    }
}
