//! One endpoint's windows: fetch, claim, write, commit, page after page, until nothing is readable or the time is up.
//! The next page is requested while this one is written.

use std::collections::HashSet;

use jiff::Timestamp;
use shared::{
    domain::{
        endpoint::Endpoint,
        message::{AccountRef, SyncMode},
        parents::next_nested_window,
        secret::AccountToken,
        sync_status::SyncStatus,
        window::{Checkpoint, OpenWindow, WindowKind, next_window},
    },
    merge::{MergeError, RateBudget, RecordsPage},
    store::checkpoint::Page,
};

use super::{
    Invocation, WorkError, Worker,
    lanes::Lanes,
    nested_sync,
    page_fetch::PageFault,
    page_write::{self, Written},
    sweep::{Step, Sweeper},
};

/// What one endpoint is synced with.
pub struct EndpointSync<'a> {
    pub worker: &'a Worker,
    pub of: &'a AccountRef,
    pub token: &'a AccountToken,
    pub budget: &'a RateBudget,
    pub lanes: &'a Lanes,
    pub invocation: &'a Invocation,
    pub endpoint: &'static Endpoint,
    /// It was broken when it was last tried.
    pub again: bool,
    /// A relink led elsewhere: what is deleted there stays here until somebody says that it is meant so.
    pub deletions_held: bool,
}

/// What says how far an endpoint may be read.
pub enum Readable<'a> {
    /// Merge's word about the model.
    Status(&'a SyncStatus),
    /// How far the records have come below which a nested list is read, and Merge's word about the list's own model.
    Parents(Box<Checkpoint>, Option<&'a SyncStatus>),
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
        readable: &Readable<'_>,
        asked: Option<u64>,
    ) -> Result<Report, WorkError> {
        let mut report = Report { endpoint: self.endpoint, checkpoint, end: End::Finished, finished: Vec::new() };
        loop {
            let open = report.checkpoint.as_ref().and_then(|c| c.window.clone());
            let Some(open) = open.or_else(|| self.next(report.checkpoint.as_ref(), readable, asked)) else {
                return Ok(report);
            };
            if self.invocation.time_is_up() {
                report.end = End::OutOfTime;
                return Ok(report);
            }
            // The first page is asked for before anything is written: while Merge serves nobody, nothing is.
            let fetched = match (&open.sweep, &open.parents) {
                (None, None) => Some(self.fetch(&open, None, open.cursor.as_deref()).await),
                _ => None,
            };
            let fetched = match fetched {
                Some(Err(fault)) if !matches!(fault, PageFault::CursorRefused(_)) => {
                    report.end = fault.end();
                    return Ok(report);
                }
                other => other,
            };
            if !self.claim(&mut report, open).await? {
                report.end = End::Fenced;
                return Ok(report);
            }
            report.end = match report.checkpoint.as_ref().and_then(|c| c.window.as_ref()?.parents.as_ref()) {
                Some(_) => nested_sync::pages(self, &mut report).await?,
                None => self.pages(&mut report, fetched).await?,
            };
            match report.end {
                End::Finished => {}
                End::Fenced => return Ok(report),
                _ => return self.rest(report).await,
            }
        }
    }

    fn next(&self, have: Option<&Checkpoint>, readable: &Readable<'_>, asked: Option<u64>) -> Option<OpenWindow> {
        let (now, mode, cadence) = (self.worker.now(), mode_for(have, asked), self.worker.cadence());
        let open = match readable {
            Readable::Status(status) => next_window(self.endpoint, have, status, mode, &cadence, now),
            Readable::Parents(parents, own) => next_nested_window(have, parents, *own, mode, &cadence, now),
        };
        open.map(|open| OpenWindow { asked, ..open })
    }

    /// Takes the endpoint up. `false`: another worker was faster, or the account is leaving.
    async fn claim(&self, report: &mut Report, open: OpenWindow) -> Result<bool, WorkError> {
        let next = report.checkpoint.clone().unwrap_or_default().claimed(open, self.worker.now());
        let (store, holder) = (&self.worker.store, &self.invocation.request_id);
        let claimed = store.claim(self.of, self.endpoint, report.checkpoint.as_ref(), &next, holder).await?;
        if claimed {
            report.checkpoint = Some(next);
        }
        Ok(claimed)
    }

    /// Leaves the endpoint in good order: every put of this worker is committed or was never begun, so that whoever
    /// goes on need not doubt them.
    async fn rest(&self, mut report: Report) -> Result<Report, WorkError> {
        if let Some(checkpoint) = report.checkpoint.clone().filter(|c| c.window.is_some() && !c.rested) {
            let rested = Checkpoint { rested: true, ..checkpoint.clone() };
            if self.commit(&checkpoint, &rested, Page::default()).await? {
                report.checkpoint = Some(rested);
            }
        }
        Ok(report)
    }

    /// Pages through the claimed window. `End::Finished`: its last page was committed.
    async fn pages(
        &self,
        report: &mut Report,
        mut fetched: Option<Result<RecordsPage, PageFault>>,
    ) -> Result<End, WorkError> {
        let Some(mut checkpoint) = report.checkpoint.clone() else { return Ok(End::Finished) };
        let mut seen: HashSet<String> = HashSet::new();
        let mut sweeper = Sweeper::default();
        let mut may_restart = true;
        while let Some(open) = checkpoint.window.clone() {
            if let Some(sweep) = open.sweep.clone() {
                match sweeper.step(self, &checkpoint, &open, sweep).await? {
                    Step::Committed(after) => checkpoint = *after,
                    Step::Finished(after, window) => {
                        checkpoint = *after;
                        report.finished.push(*window);
                    }
                    Step::Fenced => return Ok(End::Fenced),
                    Step::NotBefore(at) => return Ok(End::NotBefore(at)),
                }
                report.checkpoint = Some(checkpoint.clone());
                if checkpoint.rested {
                    return Ok(End::OutOfTime);
                }
                continue;
            }
            let page = match fetched.take() {
                Some(page) => page,
                None => self.fetch(&open, None, open.cursor.as_deref()).await,
            };
            let page = match page {
                Ok(page) => page,
                Err(PageFault::CursorRefused(error)) if may_restart && (open.restarts == 0 || self.again) => {
                    tracing::warn!(endpoint = self.endpoint.slug(), %error, "the cursor is refused; the window begins again");
                    may_restart = false;
                    // Every put of ours is committed: nobody is overtaken.
                    report.checkpoint = Some(Checkpoint { rested: true, ..checkpoint });
                    if !self.claim(report, OpenWindow { cursor: None, restarts: open.restarts + 1, ..open }).await? {
                        return Ok(End::Fenced);
                    }
                    seen.clear();
                    checkpoint = report.checkpoint.clone().unwrap_or_default();
                    continue;
                }
                Err(fault) => return Ok(fault.end()),
            };
            let next = page.next.as_ref().map(|cursor| cursor.as_str().to_owned());
            if let Some(cursor) = &next
                && (open.cursor.as_ref() == Some(cursor) || !seen.insert(cursor.clone()))
            {
                return Ok(End::Broken("Merge sent the same cursor twice".to_owned()));
            }

            // Write this page while the next one is on its way; only reading is ahead of the commit.
            let writing = self.write(&checkpoint, &page, None);
            let (written, ahead) = match &next {
                Some(cursor) if !self.invocation.time_is_up() => {
                    let (written, ahead) = futures::join!(writing, self.fetch(&open, None, Some(cursor)));
                    (written?, Some(ahead))
                }
                _ => (writing.await?, None),
            };
            let Written { counts, changes } = match written {
                Ok(written) => written,
                Err(what) => return Ok(End::Broken(what)),
            };

            let mut after = checkpoint.advanced(counts, !changes.is_empty(), next);
            // A page that is here already is stored too, rather than asked for twice.
            let stopping = after.window.is_some() && ahead.is_none() && self.invocation.time_is_up();
            after.rested = stopping;
            let finished = if after.window.is_none() { page_write::finished_window(&checkpoint, counts) } else { None };
            if let Some(window) = &finished {
                self.close(window).await?;
            }
            if open.kind == WindowKind::Full && checkpoint.upper.is_some() {
                let number = (checkpoint.epoch, open.pages);
                self.note_seen(open.generation, number, &page_write::keys(self.endpoint, &page, None)).await?;
            }
            if !self.commit(&checkpoint, &after, Page { changes: &changes, tombstones: &[] }).await? {
                return Ok(End::Fenced);
            }
            report.finished.extend(finished);
            checkpoint = after;
            report.checkpoint = Some(checkpoint.clone());
            if stopping {
                return Ok(End::OutOfTime);
            }
            fetched = ahead;
        }
        Ok(End::Finished)
    }
}

/// A full read that was asked for happens once, in whichever invocation. `asked`: its number.
fn mode_for(checkpoint: Option<&Checkpoint>, asked: Option<u64>) -> SyncMode {
    match asked > checkpoint.and_then(|c| c.full_read) {
        true => SyncMode::Full,
        false => SyncMode::Changes,
    }
}
