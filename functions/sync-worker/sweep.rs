//! The sweep: what a finished full read did not see is gone at Merge's side and becomes a tombstone, shard by shard,
//! inside the committing transaction, so that only the current worker can delete. Behind the mass-delete brake.

use jiff::{SignedDuration, Timestamp};
use shared::{
    ambient,
    domain::{
        change::{Action, Change, Counts, Presence, Stored},
        time,
        window::{Checkpoint, Left, OpenWindow, Sweep},
    },
    store::{
        brake::Held,
        checkpoint::{Gone, Page, TOMBSTONES},
        events::{Event, EventKind, SYSTEM},
        keys::SHARDS,
        seen::SeenKeys,
    },
    telemetry::{self, Metric},
};

use super::{WorkError, endpoint_sync::EndpointSync};

/// Records that a full read did not see.
#[derive(Default)]
struct Missing {
    gone: Vec<Gone>,
    /// Others are as new as Merge's last sync and stay for now: when the oldest of them was changed.
    spared: Option<Timestamp>,
    /// Something that was looked at and stays was never announced.
    unannounced: bool,
    /// The place to go on from, if the shard is not done.
    after: Option<String>,
}

/// How a step of the sweep ended.
pub enum Step {
    Committed(Box<Checkpoint>),
    /// That was the last step: the checkpoint, and the window with what it brought.
    Finished(Box<Checkpoint>, Box<OpenWindow>),
    Fenced,
    /// An overtaken worker may still be writing.
    NotBefore(Timestamp),
}

/// Missing records counted in one step.
const COUNTED: usize = 1_000;

/// Keys of missing records that the operator is shown.
pub const EXAMPLES: usize = 20;

/// Takes sweeps on, and remembers between two steps what the full read has seen of the shard at hand.
#[derive(Default)]
pub struct Sweeper {
    seen: Option<((u64, u8), SeenKeys)>,
}

impl Sweeper {
    /// Takes the sweep of an open window one step further.
    pub async fn step(
        &mut self,
        sync: &EndpointSync<'_>,
        checkpoint: &Checkpoint,
        open: &OpenWindow,
        sweep: Sweep,
    ) -> Result<Step, WorkError> {
        if let Some(from) = overtaken_until(sync, checkpoint) {
            return Ok(Step::NotBefore(from));
        }
        let most = if sweep.deleting { TOMBSTONES } else { COUNTED };
        let found = self.missing(sync, checkpoint, open, &sweep, most).await?;
        let Missing { gone: missing, spared, unannounced, after } = found;
        let shard = if after.is_some() { sweep.shard } else { sweep.shard + 1 };
        let counted = sweep.missing + if sweep.deleting { 0 } else { missing.len() as u64 };
        let further = Sweep { shard, after, missing: counted, deleting: sweep.deleting };
        if sweep.deleting {
            let mut counts = Counts::default();
            missing.iter().for_each(|gone| counts.changed(gone.was, Action::Deleted));
            let changes: Vec<Change> =
                missing.iter().map(|gone| Change { k: gone.key.clone(), a: Action::Deleted }).collect();
            let next = Some(further).filter(|sweep| sweep.shard < SHARDS);
            let left = Left { spared, unannounced, held: sync.deletions_held };
            let after = checkpoint.swept(counts, !changes.is_empty(), left, next);
            return commit(sync, checkpoint, after, counts, Page { changes: &changes, tombstones: &missing }).await;
        }
        let mut held = sync.deletions_held;
        let next = if further.shard < SHARDS {
            Some(further)
        } else if further.missing == 0 {
            None
        } else {
            held = self.held(sync, checkpoint, open, further.missing).await?;
            (!held).then(|| Sweep { deleting: true, missing: further.missing, ..Sweep::default() })
        };
        let after = checkpoint.swept(Counts::default(), false, Left { spared, unannounced, held }, next);
        commit(sync, checkpoint, after, Counts::default(), Page::default()).await
    }

    /// Records of the sweep's shard, from its place on, that the full read did not see and that were not changed since
    /// it began; at most `most`. Live ones, and tombstones that were never announced.
    async fn missing(
        &mut self,
        sync: &EndpointSync<'_>,
        checkpoint: &Checkpoint,
        open: &OpenWindow,
        sweep: &Sweep,
        most: usize,
    ) -> Result<Missing, WorkError> {
        let (store, account) = (&sync.worker.store, sync.of.account);
        let name = (open.generation, sweep.shard);
        if self.seen.as_ref().is_none_or(|(of, _)| *of != name) {
            let seen = store.seen(account, sync.endpoint, open.generation, 0, sweep.shard).await?;
            self.seen = Some((name, seen));
        }
        let seen = self.seen.as_ref().map(|(_, seen)| seen);
        let before = time::fixed(open.absent_before(sync.worker.cadence().overlap));
        let mut missing = Missing { after: sweep.after.clone(), ..Missing::default() };
        loop {
            let (heads, more) =
                store.shard_heads(account, sync.endpoint, sweep.shard, missing.after.as_deref()).await?;
            for (key, stored) in heads {
                missing.after = Some(key.clone());
                let announced = checkpoint.announced(stored.tag);
                let stands = !stored.deleted || !announced;
                let absent = stands && seen.is_some_and(|seen| !seen.contains(&key));
                if absent && stored.modified_at < before {
                    missing.gone.push(gone(checkpoint, key, &stored));
                } else {
                    missing.unannounced |= !announced;
                    let spared = if absent { time::parse(&stored.modified_at) } else { None };
                    missing.spared = missing.spared.into_iter().chain(spared).min();
                }
                if missing.gone.len() == most {
                    return Ok(missing);
                }
            }
            if !more {
                missing.after = None;
                return Ok(missing);
            }
        }
    }

    /// Too many at once: nothing is deleted, and the operator is told. `false`: the brake lets them, or the operator
    /// has approved so many.
    async fn held(
        &mut self,
        sync: &EndpointSync<'_>,
        checkpoint: &Checkpoint,
        open: &OpenWindow,
        missing: u64,
    ) -> Result<bool, WorkError> {
        if !brake_holds(sync, checkpoint, missing).await? {
            return Ok(false);
        }
        let mut examples = Vec::new();
        for shard in 0..SHARDS {
            let sweep = Sweep { shard, ..Sweep::default() };
            let some = self.missing(sync, checkpoint, open, &sweep, EXAMPLES - examples.len()).await?.gone;
            examples.extend(some.into_iter().map(|gone| gone.key));
            if examples.len() == EXAMPLES {
                break;
            }
        }
        hold(sync, checkpoint, open, missing, examples).await?;
        Ok(true)
    }
}

/// Until when an overtaken worker may still be writing what a sweep should find.
pub fn overtaken_until(sync: &EndpointSync<'_>, checkpoint: &Checkpoint) -> Option<Timestamp> {
    let wait = SignedDuration::try_from(sync.worker.settings.second_sweep_after).unwrap_or(SignedDuration::MAX);
    let from = checkpoint.overtaken_at?.checked_add(wait).unwrap_or(Timestamp::MAX);
    Some(from).filter(|from| sync.worker.now() < *from)
}

/// A record that becomes a tombstone. Where its last change was never announced, what it was before is what this
/// deletion starts from.
pub fn gone(checkpoint: &Checkpoint, key: String, stored: &Stored) -> Gone {
    Gone { key, tag: stored.tag, was: if checkpoint.announced(stored.tag) { Presence::Live } else { stored.was } }
}

/// Whether so many deletions are too many at once, and not approved by the operator. After a relink that led elsewhere
/// one is too many, and no approval of the brake's lets it happen: only whoever relinked knows which system is meant.
pub async fn brake_holds(sync: &EndpointSync<'_>, checkpoint: &Checkpoint, missing: u64) -> Result<bool, WorkError> {
    let worker = sync.worker;
    if sync.deletions_held {
        return Ok(true);
    }
    if !worker.settings.brake.holds(missing, checkpoint.records.max(0).unsigned_abs()) {
        return Ok(false);
    }
    let standing = worker.store.held(sync.of.account, sync.endpoint).await?;
    Ok(!standing.is_some_and(|held| held.allows(missing)))
}

/// Keeps the records, and tells the operator.
pub async fn hold(
    sync: &EndpointSync<'_>,
    checkpoint: &Checkpoint,
    open: &OpenWindow,
    missing: u64,
    examples: Vec<String>,
) -> Result<(), WorkError> {
    let worker = sync.worker;
    let model = sync.endpoint.key();
    tracing::error!(account = %sync.of.account, model, missing, live = checkpoint.records, "deletions are held");
    telemetry::count_by(Metric::DeletionsHeld, &model, missing);
    let held = Held {
        generation: open.generation,
        missing,
        live: checkpoint.records,
        at: worker.now(),
        examples,
        approved: false,
    };
    worker.store.put_held(sync.of.account, sync.endpoint, &held).await?;
    let event = Event::new(held.at, EventKind::DeletionsHeld, SYSTEM)
        .model(&model)
        .with("count", missing)
        .with("generation", held.generation);
    let retention = worker.settings.retention.history;
    worker.store.add_event(sync.of.account, &event, ambient::uuid(), retention).await?;
    Ok(())
}

/// Commits a step of the sweep; the last one closes the window.
async fn commit(
    sync: &EndpointSync<'_>,
    before: &Checkpoint,
    mut after: Checkpoint,
    counts: Counts,
    page: Page<'_>,
) -> Result<Step, WorkError> {
    after.rested = after.window.is_some() && sync.invocation.time_is_up();
    let finished = before.window.clone().filter(|_| after.window.is_none());
    let finished = finished.map(|window| OpenWindow { counts: window.counts.plus(counts), ..window });
    if let Some(window) = &finished {
        sync.close(window).await?;
    }
    if !sync.commit(before, &after, page).await? {
        return Ok(Step::Fenced);
    }
    let Some(window) = finished else { return Ok(Step::Committed(Box::new(after))) };
    let (store, account) = (&sync.worker.store, sync.of.account);
    store.erase_seen(account, sync.endpoint, window.generation).await?;
    store.forget_held(account, sync.endpoint, window.generation).await?;
    Ok(Step::Finished(Box::new(after), Box::new(window)))
}
