//! A window: the stretch of Merge's time that one fetch covers. Windows of an endpoint tile time: each starts
//! where the one before ended (less an overlap), never where our own clock stood. A checkpoint holds the last
//! finished window's end and, while one is open, how far it got.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    change::{Counts, Ends, Tag},
    endpoint::{Endpoint, Rule},
    message::SyncMode,
    parents::Parents,
    sync_status::SyncStatus,
};

/// How windows follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// How far a window reaches back into the one before. Merge does not document whether its bounds are inclusive,
    /// nor promise that `modified_at` never trails the sync that set it.
    pub overlap: SignedDuration,
    /// How old the last full read of a model that cannot say what changed must be before the next.
    pub full_read_every: SignedDuration,
    /// How long the change feed is kept: nested lists follow their parents' feed, and after a longer gap read all.
    pub feed_kept: SignedDuration,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            overlap: SignedDuration::from_mins(5),
            full_read_every: SignedDuration::from_hours(24),
            feed_kept: SignedDuration::from_hours(30 * 24),
        }
    }
}

/// Epochs that ended in a crash are remembered until a full read leaves nothing of them; so many make one due, once a
/// day, so that the memory stays small.
pub const MOST_ENDS: usize = 100;

/// What a window reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Everything up to the upper bound.
    First,
    /// What changed since the last window.
    Changes,
    /// Everything, to the end; what it does not see may be gone.
    Full,
}

/// An open window and how far it got. Bounds never change while it is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenWindow {
    pub kind: WindowKind,
    /// `modified_after`; none in the first window and in full reads.
    pub lower: Option<Timestamp>,
    /// Merge's `last_sync_finished`: `modified_before`, and the next window's start.
    pub upper: Timestamp,
    /// Cursor of the next page; none before the first page is committed.
    pub cursor: Option<String>,
    /// Committed pages.
    pub pages: u64,
    pub counts: Counts,
    pub started_at: Timestamp,
    /// How often Merge refused the cursor and the window began again.
    pub restarts: u32,
    /// The sync behind it was partial.
    pub partial: bool,
    /// Finishing it gives the complete history.
    pub completes: bool,
    /// Which full read this is; what it saw is kept under this number.
    #[serde(default)]
    pub generation: u64,
    /// All pages are committed; what the full read did not see is being looked for.
    #[serde(default)]
    pub sweep: Option<Sweep>,
    /// When the oldest was changed of what it did not see and was too new to be missed.
    #[serde(default)]
    pub spared: Option<Timestamp>,
    /// Something stored that no block announced was seen, and is left as it is.
    #[serde(default)]
    pub unannounced: bool,
    /// In a nested list's window: whose lists it reads, and how far it has come.
    #[serde(default)]
    pub parents: Option<Parents>,
    /// Number of the full read that stood for the list when the window was opened.
    #[serde(default)]
    pub asked: Option<u64>,
}

/// How far the search for records that a full read did not see has come. First all shards are counted, then, if the
/// brake lets them, the missing records become tombstones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    pub deleting: bool,
    /// The shard to look at next.
    pub shard: u8,
    /// The last record of that shard that was looked at.
    #[serde(default)]
    pub after: Option<String>,
    /// Records found missing while counting.
    pub missing: u64,
}

/// What the sweep leaves stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// The full read did not see it, but it is too new to be missed: when the oldest of it was changed.
    pub spared: Option<Timestamp>,
    /// No block announced its last change: a worker ended before its commit, or wrote after it was overtaken.
    pub unannounced: bool,
    /// Deletions are held.
    pub held: bool,
}

/// The mass-delete brake: a full read that would delete more than this is held for the operator. Sixty of a hundred
/// thousand is a Tuesday; all of them is a permission that was lost at the provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Brake {
    /// Share of the live records, 0 to 1.
    pub share: f64,
    /// Never held below this number.
    pub floor: u64,
}

impl Brake {
    pub fn holds(&self, missing: u64, live: u64) -> bool {
        missing > self.floor && missing as f64 > self.share * live as f64
    }
}

impl OpenWindow {
    /// A window without a lower bound, of which nothing has been read.
    pub fn new(kind: WindowKind, upper: Timestamp, checkpoint: Option<&Checkpoint>, now: Timestamp) -> Self {
        Self {
            kind,
            lower: None,
            upper,
            cursor: None,
            pages: 0,
            counts: Counts::default(),
            started_at: now,
            restarts: 0,
            partial: false,
            completes: false,
            generation: checkpoint.map_or(0, |c| c.generation) + u64::from(kind == WindowKind::Full),
            sweep: None,
            spared: None,
            unannounced: false,
            parents: None,
            asked: None,
        }
    }

    /// Records changed from here on are not deleted for being absent: they may have moved behind the reader. Merge's
    /// clock, not ours.
    pub fn absent_before(&self, overlap: SignedDuration) -> Timestamp {
        absent_before(self.upper, overlap)
    }

    /// `modified_before` of its pages: a full read takes whatever there is.
    pub fn modified_before(&self) -> Option<Timestamp> {
        (self.kind != WindowKind::Full).then_some(self.upper)
    }
}

/// How far an endpoint's copy reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Fencing: rises with each worker that takes up work on the endpoint.
    pub epoch: u64,
    /// Committed change blocks of this epoch.
    pub n: u64,
    #[serde(default)]
    pub ends: Ends,
    /// The worker of this epoch stopped right after a commit: it left nothing uncommitted behind.
    #[serde(default)]
    pub rested: bool,
    /// A worker was overtaken at this time: what it still writes may come after a sweep that starts too soon, in this
    /// window or the next.
    #[serde(default)]
    pub overtaken_at: Option<Timestamp>,
    pub window: Option<OpenWindow>,
    /// End of the last finished window.
    pub upper: Option<Timestamp>,
    /// Our clock when the last finished window was opened; for people.
    pub last_synced_at: Option<Timestamp>,
    /// The complete history has been stored.
    #[serde(default)]
    pub initial_completed: bool,
    /// The last finished window read a partial sync.
    #[serde(default)]
    pub partial: bool,
    /// When the oldest was changed of what the last full read did not see and kept, as too new to be missed.
    #[serde(default)]
    pub spared: Option<Timestamp>,
    /// Live records.
    #[serde(default)]
    pub records: i64,
    /// Committed pages of all windows: what tells a continuation that moved from one that did not.
    #[serde(default)]
    pub pages: u64,
    /// Number of full reads begun.
    #[serde(default)]
    pub generation: u64,
    /// When the last full read was begun, by our clock.
    #[serde(default)]
    pub full_read_at: Option<Timestamp>,
    /// Number of the last full read asked for, among those that were finished.
    #[serde(default)]
    pub full_read: Option<u64>,
    /// In a nested list: up to where the parents' change feed has been followed.
    #[serde(default)]
    pub followed: Option<Tag>,
    /// In a nested list: from where that feed is followed once more when Merge has synced the list's own model.
    #[serde(default)]
    pub again_from: Option<Tag>,
    /// In a nested list: when Merge's last sync of its own model had finished.
    #[serde(default)]
    pub own_finished: Option<Timestamp>,
}

impl Checkpoint {
    pub fn running(&self) -> Tag {
        Tag { epoch: self.epoch, n: self.n }
    }

    /// Whether the block of that tag was committed.
    pub fn announced(&self, tag: Tag) -> bool {
        self.ends.committed(tag, self.running())
    }

    /// The checkpoint after a worker has taken the endpoint up, on an open window or with a new one.
    pub fn claimed(&self, open: OpenWindow, now: Timestamp) -> Self {
        let mut next = self.clone();
        // Records may carry tags beyond the last commit unless the worker before left on one.
        if self.window.is_some() && !self.rested {
            next.ends.0.insert(self.epoch, self.n);
            next.overtaken_at = Some(now);
        }
        next.epoch += 1;
        next.n = 0;
        next.rested = false;
        next.generation = next.generation.max(open.generation);
        if open.kind == WindowKind::Full && open.pages == 0 {
            next.full_read_at = Some(open.started_at);
        }
        next.window = Some(open);
        next
    }

    /// The checkpoint after a page. `next`: the cursor of the page after it; none ends the window, or, in a full read
    /// of what was read before, begins its sweep.
    pub fn advanced(&self, page: Counts, changed: bool, next: Option<String>) -> Self {
        let mut after = self.counted(page, changed);
        after.pages += 1;
        let reread = self.upper.is_some();
        let Some(open) = &mut after.window else { return after };
        open.pages += 1;
        open.cursor = next;
        if open.cursor.is_some() {
            return after;
        }
        if open.kind == WindowKind::Full && reread {
            open.sweep = Some(Sweep::default());
            return after;
        }
        after.finished()
    }

    /// The checkpoint after a step of the sweep. `next`: none ends the window.
    pub fn swept(&self, step: Counts, changed: bool, left: Left, next: Option<Sweep>) -> Self {
        let mut after = self.counted(step, changed);
        // A step is progress, as a page is.
        after.pages += 1;
        if let Some(open) = &mut after.window {
            open.spared = open.spared.into_iter().chain(left.spared).min();
            open.unannounced |= left.unannounced;
        }
        match (&mut after.window, next) {
            (Some(open), Some(sweep)) => open.sweep = Some(sweep),
            _ => after = after.all_seen(!left.held).finished(),
        }
        after
    }

    pub(super) fn counted(&self, counts: Counts, changed: bool) -> Self {
        let mut after = self.clone();
        after.n += u64::from(changed);
        after.records += counts.live;
        if let Some(open) = &mut after.window {
            open.counts = open.counts.plus(counts);
        }
        after
    }

    pub(super) fn finished(mut self) -> Self {
        let Some(open) = self.window.take() else { return self };
        self.upper = self.upper.max(Some(open.upper));
        self.last_synced_at = Some(open.started_at);
        self.initial_completed |= open.completes;
        self.partial = open.partial;
        self.spared = open.spared;
        if open.kind != WindowKind::Changes {
            self.full_read = self.full_read.max(open.asked);
        }
        if let Some(parents) = open.parents {
            self.followed = parents.feed_end;
            self.again_from = parents.again_from;
            self.own_finished = parents.own_finished;
        }
        self
    }

    /// Forgets the epochs that ended in a crash, at the end of a window that saw everything stored. `all`: nothing was
    /// held. What was never announced and is left stored was never counted, and must not be taken for committed.
    pub(super) fn all_seen(mut self, all: bool) -> Self {
        if all && self.window.as_ref().is_some_and(|open| !open.unannounced) {
            self.ends = Ends::default();
        }
        self
    }
}

fn absent_before(upper: Timestamp, overlap: SignedDuration) -> Timestamp {
    upper.checked_sub(overlap).unwrap_or(Timestamp::MIN)
}

/// The window to open now, if any. `checkpoint`: none for an endpoint never read.
pub fn next_window(
    endpoint: &Endpoint,
    checkpoint: Option<&Checkpoint>,
    status: &SyncStatus,
    mode: SyncMode,
    cadence: &Cadence,
    now: Timestamp,
) -> Option<OpenWindow> {
    let have = checkpoint.and_then(|c| c.upper);
    let readable = status.readable(have);
    let old = |at| now.duration_since(at) >= cadence.full_read_every;
    let not_today = checkpoint.and_then(|c| c.full_read_at).is_none_or(old);
    let crowded = not_today && checkpoint.is_some_and(|c| c.ends.0.len() >= MOST_ENDS);
    let kind = match (have, endpoint.rule(), mode) {
        (Some(_), _, SyncMode::Full) => WindowKind::Full,
        (None, Rule::Windows, _) => WindowKind::First,
        (Some(_), Rule::Windows, SyncMode::Changes) if !crowded => WindowKind::Changes,
        (_, _, _) => WindowKind::Full,
    };
    let upper = match kind {
        // A full read on request needs no newer sync.
        WindowKind::Full if mode == SyncMode::Full => readable.or(have)?,
        WindowKind::Full if have.is_some() && endpoint.rule() != Rule::Windows => {
            // What a partial sync left out does not wait a day, nor what was too new to be missed and is not any more.
            let whole_at_last = checkpoint.is_some_and(|c| c.partial) && !status.partial();
            let before = readable.map(|upper| absent_before(upper, cadence.overlap));
            let missed = checkpoint.and_then(|c| c.spared).is_some_and(|at| before.is_some_and(|before| at < before));
            readable.filter(|_| whole_at_last || missed || not_today)?
        }
        _ => readable?,
    };
    let lower = if kind == WindowKind::Changes { have } else { None };
    Some(OpenWindow {
        lower: lower.and_then(|upper| upper.checked_sub(cadence.overlap).ok()),
        partial: status.partial(),
        completes: status.complete(),
        ..OpenWindow::new(kind, upper, checkpoint, now)
    })
}

#[cfg(test)]
mod tests;
