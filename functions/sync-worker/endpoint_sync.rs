//! One endpoint's windows: claim, page, write, commit, until nothing is readable or the time is up. The next page is
//! requested while this one is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use shared::{
    domain::{
        change::{Change, Counts, Decision, Stored, decide},
        endpoint::Endpoint,
        message::{AccountRef, SyncMode},
        record::{self, Incoming},
        secret::AccountToken,
        sync_status::SyncStatus,
        window::{Checkpoint, OpenWindow, WindowKind, next_window},
    },
    merge::{MergeError, RateBudget, RecordsPage},
    store::{
        checkpoint::{CommitStamp, Page},
        ledger::LedgerRow,
    },
    telemetry::{self, Metric},
};

use super::{
    Invocation, WorkError, Worker,
    page_fetch::PageFault,
    sweep::{self, Step},
};

/// Puts of one page under way at once.
const PUTS: usize = 16;

/// What one endpoint is synced with.
pub struct EndpointSync<'a> {
    pub worker: &'a Worker,
    pub of: &'a AccountRef,
    pub token: &'a AccountToken,
    pub budget: &'a RateBudget,
    pub invocation: &'a Invocation,
    pub endpoint: &'static Endpoint,
    /// A relink led elsewhere: what is deleted there stays here until somebody says that it is meant so.
    pub deletions_held: bool,
}

/// How the work on one endpoint ended.
#[derive(Debug)]
pub enum End {
    /// Nothing more is readable.
    Finished,
    /// The slice is over; the window is open.
    OutOfTime,
    /// A later worker has taken the endpoint up, or the account is leaving.
    Fenced,
    /// Merge does not serve us now.
    Backpressure(MergeError),
    /// Merge's answers break its own contract; the checkpoint has not moved.
    Broken(String),
    /// What is left must wait until this time.
    NotBefore(Timestamp),
}

/// The endpoint's checkpoint as it now stands, and how the work ended.
pub struct Report {
    pub endpoint: &'static Endpoint,
    pub checkpoint: Option<Checkpoint>,
    pub end: End,
    /// Windows that were finished, with what they brought.
    pub finished: Vec<OpenWindow>,
}

impl EndpointSync<'_> {
    /// Fetches every window that is readable.
    pub async fn run(
        &self,
        checkpoint: Option<Checkpoint>,
        status: Option<&SyncStatus>,
        full_since: Option<Timestamp>,
    ) -> Result<Report, WorkError> {
        let mut report = Report { endpoint: self.endpoint, checkpoint, end: End::Finished, finished: Vec::new() };
        loop {
            let now = self.worker.now();
            let open = match report.checkpoint.as_ref().and_then(|c| c.window.clone()) {
                Some(open) => open,
                None => {
                    let have = report.checkpoint.as_ref();
                    let mode = mode_for(have, full_since);
                    let next = status.and_then(|status| next_window(self.endpoint, have, status, mode, now));
                    let Some(open) = next else { return Ok(report) };
                    open
                }
            };
            if self.invocation.time_is_up() {
                report.end = End::OutOfTime;
                return Ok(report);
            }
            let next = report.checkpoint.clone().unwrap_or_default().claimed(open, now);
            let holder = &self.invocation.request_id;
            let claimed = self.worker.store.claim(self.of, self.endpoint, report.checkpoint.as_ref(), &next, holder);
            if !claimed.await? {
                report.end = End::Fenced;
                return Ok(report);
            }
            report.checkpoint = Some(next);
            self.pages(&mut report).await?;
            if !matches!(report.end, End::Finished) {
                return Ok(report);
            }
        }
    }

    /// Pages through the claimed window. Leaves `End::Finished` when its last page was committed.
    async fn pages(&self, report: &mut Report) -> Result<(), WorkError> {
        let Some(mut checkpoint) = report.checkpoint.clone() else { return Ok(()) };
        let mut seen: HashSet<String> = HashSet::new();
        let mut fetched = None;
        while let Some(open) = checkpoint.window.clone() {
            if let Some(sweep) = open.sweep {
                match sweep::step(self, &checkpoint, &open, sweep).await? {
                    Step::Committed(after) => checkpoint = *after,
                    Step::Fenced => {
                        report.end = End::Fenced;
                        return Ok(());
                    }
                    Step::NotBefore(at) => {
                        report.end = End::NotBefore(at);
                        return Ok(());
                    }
                }
                report.checkpoint = Some(checkpoint.clone());
                match &checkpoint.window {
                    None => report.finished.push(open),
                    Some(_) if checkpoint.rested => {
                        report.end = End::OutOfTime;
                        return Ok(());
                    }
                    Some(_) => {}
                }
                continue;
            }
            let page = match fetched.take() {
                Some(page) => page,
                None => self.fetch(&open, open.cursor.as_deref()).await,
            };
            let page = match page {
                Ok(page) => page,
                Err(PageFault::CursorRefused(error)) if open.restarts == 0 => {
                    tracing::warn!(endpoint = self.endpoint.slug(), %error, "the cursor is refused; the window begins again");
                    let again = OpenWindow { cursor: None, restarts: 1, ..open };
                    let next = checkpoint.claimed(again, self.worker.now());
                    let holder = &self.invocation.request_id;
                    if !self.worker.store.claim(self.of, self.endpoint, Some(&checkpoint), &next, holder).await? {
                        report.end = End::Fenced;
                        return Ok(());
                    }
                    seen.clear();
                    checkpoint = next;
                    report.checkpoint = Some(checkpoint.clone());
                    continue;
                }
                Err(PageFault::CursorRefused(error)) => {
                    report.end = End::Broken(format!("the cursor is refused again: {error}"));
                    return Ok(());
                }
                Err(PageFault::Backpressure(error)) => {
                    report.end = End::Backpressure(error);
                    return Ok(());
                }
                Err(PageFault::Broken(what)) => {
                    report.end = End::Broken(what);
                    return Ok(());
                }
                Err(PageFault::NotBefore(at)) => {
                    report.end = End::NotBefore(at);
                    return Ok(());
                }
            };
            let next = page.next.as_ref().map(|cursor| cursor.as_str().to_owned());
            if let Some(cursor) = &next
                && (open.cursor.as_ref() == Some(cursor) || !seen.insert(cursor.clone()))
            {
                report.end = End::Broken("Merge sent the same cursor twice".to_owned());
                return Ok(());
            }

            // Write this page while the next one is on its way; only reading is ahead of the commit.
            let writing = self.write(&checkpoint, &page);
            let (written, ahead) = match &next {
                Some(cursor) if !self.invocation.time_is_up() => {
                    let (written, ahead) = futures::join!(writing, self.fetch(&open, Some(cursor)));
                    (written?, Some(ahead))
                }
                _ => (writing.await?, None),
            };
            let (counts, changes) = match written {
                Ok(written) => written,
                Err(what) => {
                    report.end = End::Broken(what);
                    return Ok(());
                }
            };

            let mut after = checkpoint.advanced(counts, !changes.is_empty(), next);
            let stopping = after.window.is_some() && self.invocation.time_is_up();
            after.rested = stopping;
            if after.window.is_none() {
                self.close(finished_window(&checkpoint, counts)).await?;
            }
            if open.kind == WindowKind::Full && checkpoint.upper.is_some() {
                self.note_seen(checkpoint.epoch, &open, &page).await?;
            }
            let page = Page { changes: &changes, tombstones: &[] };
            if !self.commit(&checkpoint, &after, page).await? {
                report.end = End::Fenced;
                return Ok(());
            }
            if after.window.is_none() {
                report.finished.extend(finished_window(&checkpoint, counts));
            }
            checkpoint = after;
            report.checkpoint = Some(checkpoint.clone());
            if stopping {
                report.end = End::OutOfTime;
                return Ok(());
            }
            fetched = ahead;
        }
        report.end = End::Finished;
        Ok(())
    }

    /// Commits a page, or that the worker rests. `false`: a later worker has taken the endpoint up.
    pub async fn commit(&self, before: &Checkpoint, after: &Checkpoint, page: Page<'_>) -> Result<bool, WorkError> {
        let stamp =
            CommitStamp { holder: &self.invocation.request_id, at: self.worker.now(), expires_at: self.expires_at() };
        Ok(self.worker.store.commit(self.of.account, self.endpoint, before, after, page, stamp).await?)
    }

    /// Commits a step of the sweep; the last one closes the window.
    pub async fn commit_sweep(
        &self,
        before: &Checkpoint,
        mut after: Checkpoint,
        page: Page<'_>,
    ) -> Result<Step, WorkError> {
        after.rested = after.window.is_some() && self.invocation.time_is_up();
        if after.window.is_none() {
            self.close(before.window.clone()).await?;
        }
        if !self.commit(before, &after, page).await? {
            return Ok(Step::Fenced);
        }
        if let (None, Some(open)) = (&after.window, &before.window) {
            self.worker.store.erase_seen(self.of.account, self.endpoint, open.generation).await?;
        }
        Ok(Step::Committed(Box::new(after)))
    }

    /// Notes which records a page of a full read holds, before the page is committed.
    async fn note_seen(&self, epoch: u64, open: &OpenWindow, page: &RecordsPage) -> Result<(), WorkError> {
        let mut seen = Vec::with_capacity(page.len());
        for bytes in page.records() {
            if let Ok(incoming) = record::read(bytes, self.endpoint, None) {
                seen.push(incoming.key);
            }
        }
        let keys: Vec<&str> = seen.iter().map(String::as_str).collect();
        let store = &self.worker.store;
        let number = (epoch, open.pages);
        store.put_seen(self.of.account, self.endpoint, open.generation, number, &keys, self.expires_at()).await?;
        Ok(())
    }

    /// Stores what differs. The inner error says that the page is not a page of records.
    async fn write(
        &self,
        checkpoint: &Checkpoint,
        page: &RecordsPage,
    ) -> Result<Result<(Counts, Vec<Change>), String>, WorkError> {
        // In order: what a run does depends on nothing but its input.
        let mut newest: BTreeMap<String, Incoming<'_>> = BTreeMap::new();
        for bytes in page.records() {
            let incoming = match record::read(bytes, self.endpoint, None) {
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
            return Ok(Ok((counts, Vec::new())));
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
        Ok(Ok((counts, changes)))
    }

    /// Writes the ledger row of a window that is about to be finished.
    async fn close(&self, window: Option<OpenWindow>) -> Result<(), WorkError> {
        if let Some(window) = window {
            let row = LedgerRow::of(&window, self.worker.now());
            let store = &self.worker.store;
            store.put_window(self.of.account, self.endpoint, &row, self.expires_at()).await?;
        }
        Ok(())
    }

    /// Unix seconds until which change feed and ledger are kept.
    pub fn expires_at(&self) -> i64 {
        expires_at(self.worker.now(), self.worker.settings.retention.history)
    }
}

/// A full read that was asked for at `since` happens once, in whichever invocation.
fn mode_for(checkpoint: Option<&Checkpoint>, since: Option<Timestamp>) -> SyncMode {
    let read_at = checkpoint.and_then(|c| c.full_read_at);
    match since {
        Some(since) if read_at.is_none_or(|at| at < since) => SyncMode::Full,
        _ => SyncMode::Changes,
    }
}

/// The open window as it stands once its last page is counted.
fn finished_window(checkpoint: &Checkpoint, last: Counts) -> Option<OpenWindow> {
    let mut window = checkpoint.window.clone()?;
    window.pages += 1;
    window.counts = window.counts.plus(last);
    Some(window)
}

fn expires_at(now: Timestamp, kept: std::time::Duration) -> i64 {
    now.as_second().saturating_add_unsigned(kept.as_secs())
}
