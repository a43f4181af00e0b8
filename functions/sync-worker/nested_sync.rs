//! A nested list's window: parent after parent, each one's list read to its end. What a parent's list does not hold any
//! more becomes a tombstone with its last page; below a parent that is gone there is nothing.

use std::collections::{HashSet, VecDeque};

use shared::{
    domain::{
        change::{Action, Change, Counts, Tag},
        endpoint::Endpoint,
        parents::{After, Parents, Place},
        window::{Checkpoint, OpenWindow, WindowKind},
    },
    merge::RecordsPage,
    store::{
        checkpoint::{Gone, Page, TOMBSTONES},
        keys::{self, SHARDS},
        seen::SeenKeys,
    },
};

use super::{
    WorkError,
    endpoint_sync::{End, EndpointSync, Report},
    page_fetch::PageFault,
    page_write::{self, Written},
    sweep,
};

/// A parent whose list is to be read.
struct Parent {
    key: String,
    /// It is a tombstone: nothing is below it.
    deleted: bool,
    /// Where the walk goes on once it is done.
    after: Place,
}

/// Reads the lists of the window's parents. `End::Finished`: no parent is left, and the window is closed.
pub async fn pages(sync: &EndpointSync<'_>, report: &mut Report) -> Result<End, WorkError> {
    let (Some(mut checkpoint), Some(above)) = (report.checkpoint.clone(), sync.endpoint.parent()) else {
        return Ok(End::Finished);
    };
    let mut walk: Option<Walk<'_>> = None;
    let mut seen: HashSet<String> = HashSet::new();
    let mut may_restart = true;
    while let Some(open) = checkpoint.window.clone() {
        let Some(parents) = open.parents.clone() else { return Ok(End::Finished) };
        if let Some(from) = sweep::overtaken_until(sync, &checkpoint) {
            return Ok(End::NotBefore(from));
        }
        if sync.invocation.time_is_up() {
            return Ok(End::OutOfTime);
        }
        let walk = match &mut walk {
            Some(walk) => walk,
            none => none.insert(Walk::new(sync, above, &parents)),
        };
        let Some(parent) = walk.parent().await? else {
            let after = checkpoint.below_finished(sync.deletions_held || parents.held > 0);
            if parents.held > 0 {
                sweep::hold(sync, &checkpoint, &open, parents.held, parents.examples).await?;
            }
            sync.close(&open).await?;
            if !sync.commit(&checkpoint, &after, Page::default()).await? {
                return Ok(End::Fenced);
            }
            let store = &sync.worker.store;
            store.erase_seen(sync.of.account, sync.endpoint, open.generation).await?;
            if open.kind == WindowKind::Full {
                store.forget_held(sync.of.account, sync.endpoint, open.generation).await?;
            }
            report.checkpoint = Some(after);
            report.finished.push(open);
            return Ok(End::Finished);
        };
        let page = match parent.deleted {
            true => RecordsPage::empty(),
            false => match sync.fetch(&open, Some(&parent.key), open.cursor.as_deref()).await {
                Ok(page) => page,
                Err(PageFault::CursorRefused(error)) if may_restart && (open.restarts == 0 || sync.again) => {
                    tracing::warn!(endpoint = sync.endpoint.slug(), %error, "the cursor is refused; the parent's list begins again");
                    may_restart = false;
                    let after = begun_again(&checkpoint, open, parents);
                    if !sync.commit(&checkpoint, &after, Page::default()).await? {
                        return Ok(End::Fenced);
                    }
                    seen.clear();
                    checkpoint = after;
                    report.checkpoint = Some(checkpoint.clone());
                    continue;
                }
                Err(fault) => return Ok(fault.end()),
            },
        };
        let next = page.next.as_ref().map(|cursor| cursor.as_str().to_owned());
        if let Some(cursor) = &next
            && (open.cursor.as_ref() == Some(cursor) || !seen.insert(cursor.clone()))
        {
            return Ok(End::Broken("Merge sent the same cursor twice".to_owned()));
        }

        // A further page follows: what this one holds is noted until the last one tells what is missing.
        let held = page_write::keys(sync.endpoint, &page, Some(&parent.key));
        let mut gone = Vec::new();
        match &next {
            Some(_) => sync.note_seen(open.generation, (checkpoint.epoch, open.pages), &held).await?,
            None => match absent(sync, &mut checkpoint, &open, parent, &held).await? {
                Some(missing) => gone = missing,
                None => return Ok(End::Fenced),
            },
        }
        let Written { mut counts, mut changes } = match sync.write(&checkpoint, &page, Some(&parent.key)).await? {
            Ok(written) => written,
            Err(what) => return Ok(End::Broken(what)),
        };
        note_deleted(&gone, &mut counts, &mut changes);
        let next = match next {
            Some(cursor) => After::Page(cursor),
            None => After::Parent(parent.after.clone()),
        };
        let parent_done = matches!(next, After::Parent(_));
        let after = checkpoint.below_advanced(counts, !changes.is_empty(), next);
        if !sync.commit(&checkpoint, &after, Page { changes: &changes, tombstones: &gone }).await? {
            return Ok(End::Fenced);
        }
        if parent_done {
            walk.done();
            seen.clear();
        }
        checkpoint = after;
        report.checkpoint = Some(checkpoint.clone());
    }
    Ok(End::Finished)
}

/// The window with the parent's list at its beginning again.
fn begun_again(checkpoint: &Checkpoint, open: OpenWindow, parents: Parents) -> Checkpoint {
    let parents = Some(Parents { first_page: open.pages, ..parents });
    Checkpoint {
        window: Some(OpenWindow { cursor: None, restarts: open.restarts + 1, parents, ..open }),
        ..checkpoint.clone()
    }
}

/// Which records below a parent its list does not hold any more, after its last page. More than fit into the page's
/// commit are deleted before it, each part in a commit of its own. `None`: a later worker has taken the endpoint up.
async fn absent(
    sync: &EndpointSync<'_>,
    checkpoint: &mut Checkpoint,
    open: &OpenWindow,
    parent: &Parent,
    last_page: &[String],
) -> Result<Option<Vec<Gone>>, WorkError> {
    let (store, account) = (&sync.worker.store, sync.of.account);
    let first_page = open.parents.as_ref().map_or(0, |parents| parents.first_page);
    let mut seen = match open.pages > first_page {
        true => {
            let shard = keys::shard_of(sync.endpoint, &keys::below(&parent.key));
            store.seen(account, sync.endpoint, open.generation, first_page, shard).await?
        }
        false => SeenKeys::default(),
    };
    last_page.iter().for_each(|key| seen.add(key));

    let (mut missing, mut unannounced) = (Vec::new(), false);
    let mut after: Option<String> = None;
    loop {
        let (heads, more) = store.heads_below(account, sync.endpoint, &parent.key, after.as_deref()).await?;
        after = heads.last().map(|(key, _)| key.clone());
        for (key, stored) in heads {
            let announced = checkpoint.announced(stored.tag);
            if (!stored.deleted || !announced) && !seen.contains(&key) {
                missing.push(sweep::gone(checkpoint, key, &stored));
            } else {
                unannounced |= !announced;
            }
        }
        if !more {
            break;
        }
    }
    // Whatever of it the page at hand holds is announced with that page, and seen as such by the next full read.
    if let Some(window) = &mut checkpoint.window {
        window.unannounced |= unannounced;
    }
    if missing.is_empty() || is_held(sync, checkpoint, parent, &missing).await? {
        return Ok(Some(Vec::new()));
    }
    while missing.len() > TOMBSTONES {
        let rest = missing.split_off(TOMBSTONES);
        let (mut counts, mut changes) = (Counts::default(), Vec::new());
        note_deleted(&missing, &mut counts, &mut changes);
        let next = checkpoint.below_deleted(counts);
        if !sync.commit(checkpoint, &next, Page { changes: &changes, tombstones: &missing }).await? {
            return Ok(None);
        }
        *checkpoint = next;
        missing = rest;
    }
    Ok(Some(missing))
}

/// Whether the brake keeps what is missing below a parent: all that a window deletes for being absent counts together.
/// What is below a deleted parent is not absent: Merge said that the parent is gone. While a relink holds deletions, it
/// is held all the same.
async fn is_held(
    sync: &EndpointSync<'_>,
    checkpoint: &mut Checkpoint,
    parent: &Parent,
    missing: &[Gone],
) -> Result<bool, WorkError> {
    if parent.deleted && !sync.deletions_held {
        return Ok(false);
    }
    let absent = missing.len() as u64 + parents_of(checkpoint).map_or(0, |parents| parents.absent);
    let holds = sweep::brake_holds(sync, checkpoint, absent).await?;
    if let Some(parents) = parents_of(checkpoint) {
        parents.absent = absent;
        if holds {
            parents.held += missing.len() as u64;
            let room = sweep::EXAMPLES.saturating_sub(parents.examples.len());
            parents.examples.extend(missing.iter().take(room).map(|gone| gone.key.clone()));
        }
    }
    Ok(holds)
}

fn parents_of(checkpoint: &mut Checkpoint) -> Option<&mut Parents> {
    checkpoint.window.as_mut()?.parents.as_mut()
}

fn note_deleted(gone: &[Gone], counts: &mut Counts, changes: &mut Vec<Change>) {
    for gone in gone {
        counts.changed(gone.was, Action::Deleted);
        changes.push(Change { k: gone.key.clone(), a: Action::Deleted });
    }
}

/// The walk through a window's parents, a few of them in hand.
struct Walk<'a> {
    sync: &'a EndpointSync<'a>,
    /// Whose records the parents are.
    endpoint: &'static Endpoint,
    /// Where the parents after those in hand are.
    place: Place,
    feed_end: Option<Tag>,
    in_hand: VecDeque<Parent>,
    exhausted: bool,
}

impl<'a> Walk<'a> {
    fn new(sync: &'a EndpointSync<'a>, endpoint: &'static Endpoint, parents: &Parents) -> Self {
        let (place, feed_end) = (parents.place.clone(), parents.feed_end);
        Self { sync, endpoint, place, feed_end, in_hand: VecDeque::new(), exhausted: false }
    }

    /// The parent at hand; `None` when no parent is left.
    async fn parent(&mut self) -> Result<Option<&Parent>, WorkError> {
        while self.in_hand.is_empty() && !self.exhausted {
            match self.place.clone() {
                Place::Stored { shard, after } => self.read_stored(shard, after).await?,
                Place::Feed { after, next } => self.read_feed(after, next).await?,
            }
        }
        Ok(self.in_hand.front())
    }

    /// Leaves the parent at hand.
    fn done(&mut self) {
        self.in_hand.pop_front();
    }

    async fn read_stored(&mut self, shard: u8, after: Option<String>) -> Result<(), WorkError> {
        let (store, account) = (&self.sync.worker.store, self.sync.of.account);
        let (heads, more) = store.shard_heads(account, self.endpoint, shard, after.as_deref()).await?;
        let last = heads.last().map(|(key, _)| key.clone());
        self.in_hand.extend(heads.into_iter().map(|(key, stored)| Parent {
            after: Place::Stored { shard, after: Some(key.clone()) },
            deleted: stored.deleted,
            key,
        }));
        self.place = match more {
            true => Place::Stored { shard, after: last.or(after) },
            false => Place::Stored { shard: shard + 1, after: None },
        };
        self.exhausted = !more && shard + 1 >= SHARDS;
        Ok(())
    }

    async fn read_feed(&mut self, after: Option<Tag>, next: usize) -> Result<(), WorkError> {
        let (store, account) = (&self.sync.worker.store, self.sync.of.account);
        let blocks = store.changes(account, self.endpoint, after, 1).await?;
        let Some(block) = blocks.into_iter().find(|block| Some(block.tag) <= self.feed_end) else {
            self.exhausted = true;
            return Ok(());
        };
        let count = block.changes.len();
        let beyond = Place::Feed { after: Some(block.tag), next: 0 };
        for (index, change) in block.changes.into_iter().enumerate().skip(next) {
            let place = if index + 1 < count { Place::Feed { after, next: index + 1 } } else { beyond.clone() };
            self.in_hand.push_back(Parent { key: change.k, deleted: change.a == Action::Deleted, after: place });
        }
        self.place = beyond;
        Ok(())
    }
}
