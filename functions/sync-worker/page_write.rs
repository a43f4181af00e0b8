//! Writing one page: what differs is stored, then page and checkpoint are committed together.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use shared::{
    domain::{
        change::{Change, Counts, Decision, Stored, decide},
        endpoint::Endpoint,
        record::{self, Incoming},
        window::{Checkpoint, OpenWindow},
    },
    merge::RecordsPage,
    store::{
        checkpoint::{CommitStamp, Page},
        ledger::LedgerRow,
    },
    telemetry::{self, Metric},
};

use super::{WorkError, endpoint_sync::EndpointSync};

/// Puts of one page under way at once.
const PUTS: usize = 16;

/// What a page changed.
#[derive(Default)]
pub struct Written {
    pub counts: Counts,
    pub changes: Vec<Change>,
}

impl EndpointSync<'_> {
    /// Stores what differs. `parent`: whose list the page is of, in nested lists. The inner error says that the page is
    /// not a page of records.
    pub async fn write(
        &self,
        checkpoint: &Checkpoint,
        page: &RecordsPage,
        parent: Option<&str>,
    ) -> Result<Result<Written, String>, WorkError> {
        if let Some(first) = page.records().next() {
            self.worker.look_for_drift(self.endpoint, first);
        }
        // In order: what a run does depends on nothing but its input.
        let mut newest: BTreeMap<String, Incoming<'_>> = BTreeMap::new();
        for bytes in page.records() {
            let incoming = match record::read(bytes, self.endpoint, parent) {
                Ok(incoming) => incoming,
                Err(error) => return Ok(Err(telemetry::chain(&error))),
            };
            if incoming.deleted && self.deletions_held {
                continue;
            }
            match newest.get(&incoming.key) {
                Some(other) if other.modified_at > incoming.modified_at => {}
                _ => drop(newest.insert(incoming.key.clone(), incoming)),
            }
        }
        let mut counts = Counts::default();
        if newest.is_empty() {
            return Ok(Ok(Written::default()));
        }
        let store = &self.worker.store;
        let keys: Vec<&str> = newest.keys().map(String::as_str).collect();
        let stored: HashMap<String, Stored> = store.stored(self.of.account, self.endpoint, &keys).await?;
        let running = checkpoint.running();
        let mut tag = running;
        tag.n += 1;
        let mut puts = Vec::new();
        for incoming in newest.values() {
            match decide(stored.get(&incoming.key), incoming, &checkpoint.ends, running) {
                Decision::Unchanged | Decision::Older => counts.unchanged += 1,
                Decision::Put { was, action } => puts.push((incoming, was, action)),
            }
        }
        let written: Vec<_> = stream::iter(puts)
            .map(|(incoming, was, action)| async move {
                let put = store.put_record(self.of.account, self.endpoint, incoming, tag, was).await?;
                Ok::<_, WorkError>((put, incoming, was, action))
            })
            .buffer_unordered(PUTS)
            .try_collect()
            .await?;
        let mut changes = Vec::with_capacity(written.len());
        for (put, incoming, was, action) in written {
            if put {
                counts.changed(was, action);
                changes.push(Change { k: incoming.key.clone(), a: action });
            } else {
                counts.unchanged += 1;
            }
        }
        changes.sort_by(|a, b| a.k.cmp(&b.k));
        telemetry::count(Metric::RecordsWritten, changes.len() as u64);
        Ok(Ok(Written { counts, changes }))
    }

    /// Commits a page, or that the worker rests. `false`: a later worker has taken the endpoint up.
    pub async fn commit(&self, before: &Checkpoint, after: &Checkpoint, page: Page<'_>) -> Result<bool, WorkError> {
        let stamp =
            CommitStamp { holder: &self.invocation.request_id, at: self.worker.now(), expires_at: self.expires_at() };
        Ok(self.worker.store.commit(self.of.account, self.endpoint, before, after, page, stamp).await?)
    }

    /// Notes which records a page of a full read holds, before the page is committed. `number`: epoch and page.
    pub async fn note_seen(&self, generation: u64, number: (u64, u64), keys: &[String]) -> Result<(), WorkError> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let store = &self.worker.store;
        store.put_seen(self.of.account, self.endpoint, generation, number, &keys, self.expires_at()).await?;
        Ok(())
    }

    /// Writes the ledger row of a window that is about to be finished.
    pub async fn close(&self, window: &OpenWindow) -> Result<(), WorkError> {
        let row = LedgerRow::of(window, self.worker.now());
        self.worker.store.put_window(self.of.account, self.endpoint, &row, self.expires_at()).await?;
        Ok(())
    }

    /// Unix seconds until which change feed and ledger are kept.
    pub fn expires_at(&self) -> i64 {
        expires_at(self.worker.now(), self.worker.settings.retention.history)
    }
}

/// The keys of a page's records.
pub fn keys(endpoint: &Endpoint, page: &RecordsPage, parent: Option<&str>) -> Vec<String> {
    page.records().filter_map(|bytes| record::read(bytes, endpoint, parent).ok()).map(|incoming| incoming.key).collect()
}

/// The open window as it stands once its last page is counted.
pub fn finished_window(checkpoint: &Checkpoint, last: Counts) -> Option<OpenWindow> {
    let mut window = checkpoint.window.clone()?;
    window.pages += 1;
    window.counts = window.counts.plus(last);
    Some(window)
}

fn expires_at(now: Timestamp, kept: std::time::Duration) -> i64 {
    now.as_second().saturating_add_unsigned(kept.as_secs())
}
