//! Follower: a reader of the change feed who joins each change with the record as it then stands. Following from zero
//! must reproduce the records, whatever happened (I10), and find each announced record in its place (I3).

use std::collections::BTreeMap;

use shared::domain::account::LinkedAccount;
use shared::domain::change::{Action, Tag};
use shared::domain::endpoint::Endpoint;
use shared::domain::ids::AccountId;
use shared::domain::window::Checkpoint;
use shared::store::changes::ChangeBlock;
use shared::store::records::Record;
use shared::store::{Store, StoreError};

use crate::sim::{MODELS, Sim};

/// A copy of one list, made by following.
#[derive(Debug, Default)]
struct Copy {
    after: Option<Tag>,
    records: Stored,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Follower {
    copies: BTreeMap<(String, String), Copy>,
}

/// Records by their keys.
pub type Stored = BTreeMap<String, Here>;

/// A record as it stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    pub data: String,
    pub modified_at: String,
    pub live: bool,
}

impl Here {
    fn of(record: Record) -> (String, Self) {
        (record.key, Self { data: record.data, modified_at: record.modified_at, live: !record.deleted })
    }
}

/// The lists of a category that are synced.
pub fn endpoints(account: &LinkedAccount) -> Vec<&'static Endpoint> {
    let all = MODELS.iter().filter_map(|model| Endpoint::by_key(model));
    all.filter(|endpoint| endpoint.category == account.category).collect()
}

/// Every record of a list as it is stored.
pub async fn stored(store: &Store, account: AccountId, endpoint: &Endpoint) -> Result<Stored, StoreError> {
    let mut found = Stored::new();
    for shard in 0..shared::store::keys::SHARDS {
        let mut after: Option<String> = None;
        loop {
            let (records, more) = store.shard_page(account, endpoint, shard, after.as_deref(), 1_000).await?;
            after = records.last().map(|record| record.key.clone());
            for packed in &records {
                found.extend([Here::of(store.open(account, endpoint, packed).await?)]);
            }
            if !more {
                break;
            }
        }
    }
    Ok(found)
}

/// Keys of the records whose last change was never announced.
async fn uncommitted(
    store: &Store,
    account: AccountId,
    endpoint: &Endpoint,
    checkpoint: &Checkpoint,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for shard in 0..shared::store::keys::SHARDS {
        let (heads, more) = store.shard_heads(account, endpoint, shard, None).await?;
        assert!(!more, "a shard of a small world is one page");
        let left = heads.into_iter().filter(|(_, here)| !checkpoint.announced(here.tag));
        found.extend(left.map(|(key, _)| key));
    }
    Ok(found)
}

impl Follower {
    /// Follows the feed of an account to its end.
    pub async fn follow(&mut self, sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
        for endpoint in endpoints(account) {
            let copy = self.copies.entry((account.id.to_string(), endpoint.slug())).or_default();
            loop {
                let blocks = store.changes(account.id, endpoint, copy.after, 100).await?;
                let Some(last) = blocks.last() else { break };
                copy.after = Some(last.tag);
                for change in blocks.iter().flat_map(|block| &block.changes) {
                    let mut found = store.records(account.id, endpoint, &[&change.k]).await?;
                    match found.remove(&change.k) {
                        Some(packed) => {
                            copy.records.extend([Here::of(store.open(account.id, endpoint, &packed).await?)]);
                        }
                        None => sim.watch().broken(format!(
                            "I3: {} {} is announced as {:?} and not stored",
                            endpoint.slug(),
                            change.k,
                            change.a
                        )),
                    }
                }
            }
        }
        Ok(())
    }

    /// I10: the copy is the table; and the words of the feed alone, from zero, say the same of what is live, each
    /// following from the one before.
    pub async fn check(&mut self, sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
        self.follow(sim, store, account).await?;
        let checkpoints = store.checkpoints(account.id).await?;
        for endpoint in endpoints(account) {
            let slug = endpoint.slug();
            let mut table = stored(store, account.id, endpoint).await?;
            let copy = &self.copies.entry((account.id.to_string(), endpoint.slug())).or_default().records;
            for key in copy.keys().filter(|key| !table.contains_key(*key)) {
                sim.watch().broken(format!("I10: {slug} {key} is followed and not stored"));
            }
            // Gone at Merge's side: what a worker has stored and not committed, nobody comes to commit or delete.
            if !account.status.connected() {
                let checkpoint = checkpoints.get(&slug).cloned().unwrap_or_default();
                for key in uncommitted(store, account.id, endpoint, &checkpoint).await? {
                    table.remove(&key);
                }
            }
            for (key, here) in &table {
                if copy.get(key) != Some(here) {
                    let followed = copy.get(key).map(|here| (&here.modified_at, here.live));
                    let stored = (&here.modified_at, here.live);
                    sim.watch()
                        .broken(format!("I10: {slug} {key}: following gives {followed:?}, stored is {stored:?}"));
                }
            }
            let said = said(sim, &slug, &store.changes(account.id, endpoint, None, 100_000).await?);
            for (key, here) in &table {
                if said.get(key) != Some(&here.live) {
                    let said = said.get(key);
                    sim.watch().broken(format!("I10: {slug} {key}: live by the feed: {said:?}, stored: {}", here.live));
                }
            }
        }
        Ok(())
    }
}

/// What is live by the words of the feed alone.
fn said(sim: &Sim, slug: &str, blocks: &[ChangeBlock]) -> BTreeMap<String, bool> {
    let mut live: BTreeMap<String, bool> = BTreeMap::new();
    for block in blocks {
        for change in &block.changes {
            let before = live.insert(change.k.clone(), change.a != Action::Deleted).unwrap_or_default();
            let follows = match change.a {
                Action::Added => !before,
                Action::Updated => before,
                Action::Deleted => true,
            };
            if !follows {
                let what =
                    format!("I10: {slug} {}: {:?} at {} of what was live: {before}", change.k, change.a, block.tag);
                sim.watch().broken(what);
            }
        }
    }
    live
}
