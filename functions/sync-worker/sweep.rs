//! The sweep: what a finished full read did not see is gone at Merge's side and becomes a tombstone, shard by shard,
//! inside the committing transaction, so that only the current worker can delete. Behind the mass-delete brake.

use jiff::{SignedDuration, Timestamp};
use shared::{
    domain::{
        change::{Action, Change, Counts, Presence},
        time,
        window::{Checkpoint, OpenWindow, Sweep},
    },
    store::{
        checkpoint::{Gone, Page, TOMBSTONES},
        keys::SHARDS,
    },
    telemetry::{self, Metric},
};

use super::{WorkError, endpoint_sync::EndpointSync};

/// How a step of the sweep ended.
pub enum Step {
    Committed(Box<Checkpoint>),
    Fenced,
    /// An overtaken worker may still be writing.
    NotBefore(Timestamp),
}

/// Takes the sweep of an open window one shard further.
pub async fn step(
    sync: &EndpointSync<'_>,
    checkpoint: &Checkpoint,
    open: &OpenWindow,
    sweep: Sweep,
) -> Result<Step, WorkError> {
    let worker = sync.worker;
    if let Some(overtaken) = open.overtaken_at {
        let wait = SignedDuration::try_from(worker.settings.second_sweep_after).unwrap_or(SignedDuration::MAX);
        let from = overtaken.checked_add(wait).unwrap_or(Timestamp::MAX);
        if worker.now() < from {
            // Nothing of this worker is under way: whoever goes on after the wait overtakes nobody, and need not wait.
            let rested = Checkpoint { rested: true, ..checkpoint.clone() };
            let committed = sync.commit(checkpoint, &rested, Page::default()).await?;
            return Ok(if committed { Step::NotBefore(from) } else { Step::Fenced });
        }
    }
    let missing = missing(sync, checkpoint, open, sweep.shard).await?;
    if !sweep.deleting {
        let counted = sweep.missing + missing.len() as u64;
        let next = match sweep.shard + 1 {
            shard if shard < SHARDS => Some(Sweep { deleting: false, shard, missing: counted }),
            _ if counted == 0 => None,
            _ if sync.deletions_held
                || worker.settings.brake.holds(counted, checkpoint.records.max(0).unsigned_abs()) =>
            {
                hold(sync, open, counted, checkpoint).await?;
                None
            }
            _ => Some(Sweep { deleting: true, shard: 0, missing: counted }),
        };
        return sync.commit_sweep(checkpoint, checkpoint.swept(Counts::default(), false, next), Page::default()).await;
    }
    let batch = &missing[..missing.len().min(TOMBSTONES)];
    let next = match sweep.shard + 1 {
        _ if batch.len() < missing.len() => Some(sweep),
        shard if shard < SHARDS => Some(Sweep { shard, ..sweep }),
        _ => None,
    };
    let mut counts = Counts::default();
    batch.iter().for_each(|gone| counts.changed(gone.was, Action::Deleted));
    let changes: Vec<Change> = batch.iter().map(|gone| Change { k: gone.key.clone(), a: Action::Deleted }).collect();
    let after = checkpoint.swept(counts, !changes.is_empty(), next);
    sync.commit_sweep(checkpoint, after, Page { changes: &changes, tombstones: batch }).await
}

/// Live records of a shard that the full read did not see and that were not changed since it began.
async fn missing(
    sync: &EndpointSync<'_>,
    checkpoint: &Checkpoint,
    open: &OpenWindow,
    shard: u8,
) -> Result<Vec<Gone>, WorkError> {
    let store = &sync.worker.store;
    let seen = store.seen(sync.of.account, sync.endpoint, open.generation, shard).await?;
    let before = time::fixed(open.absent_before());
    let mut missing = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let (heads, more) = store.shard_heads(sync.of.account, sync.endpoint, shard, after.as_deref()).await?;
        after = heads.last().map(|(key, _)| key.clone());
        for (key, stored) in heads {
            if stored.deleted || stored.modified_at > before || seen.contains(&key) {
                continue;
            }
            // A change that was never announced: what it was before is what this deletion starts from.
            let committed = checkpoint.ends.committed(stored.tag, checkpoint.running());
            let was = if committed { Presence::Live } else { stored.was };
            missing.push(Gone { key, tag: stored.tag, was });
        }
        if !more {
            return Ok(missing);
        }
    }
}

/// Too many at once: nothing is deleted, and the operator is told.
async fn hold(
    sync: &EndpointSync<'_>,
    open: &OpenWindow,
    missing: u64,
    checkpoint: &Checkpoint,
) -> Result<(), WorkError> {
    let worker = sync.worker;
    let model = sync.endpoint.key();
    tracing::error!(account = %sync.of.account, model, missing, live = checkpoint.records, "deletions are held");
    telemetry::count_by(Metric::DeletionsHeld, &model, missing);
    let held =
        shared::store::brake::Held { generation: open.generation, missing, live: checkpoint.records, at: worker.now() };
    worker.store.put_held(sync.of.account, sync.endpoint, &held).await?;
    Ok(())
}
