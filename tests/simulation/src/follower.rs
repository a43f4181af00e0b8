//! Follower: a reader of the change feed who joins each change with the record as it then stands. Following from zero
//! must reproduce the records, whatever happened (I10), and find each announced record in its place (I3).

use std::collections::BTreeMap;

use shared::domain::account::LinkedAccount;
use shared::domain::change::{Action, Tag};
use shared::domain::endpoint::Endpoint;
use shared::domain::ids::AccountId;
use shared::store::{Store, StoreError};

use crate::sim::{MODELS, Sim};

/// A copy of one list, made by following.
#[derive(Debug, Default)]
struct Copy {
    after: Option<Tag>,
    /// Content and whether it is live, by record key.
    records: BTreeMap<String, (String, bool)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Follower {
    copies: BTreeMap<(String, String), Copy>,
}

/// A record of the table: content and whether it is live.
pub type Stored = BTreeMap<String, (String, bool)>;

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
            found.extend(records.into_iter().map(|record| (record.key, (record.data, !record.deleted))));
            if !more {
                break;
            }
        }
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
                    let found = store.records(account.id, endpoint, &[&change.k]).await?;
                    match found.get(&change.k) {
                        Some(record) => {
                            copy.records.insert(change.k.clone(), (record.data.clone(), !record.deleted));
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

    /// I10: the copy is the table; and the words of the feed alone, from zero, say the same of what is live.
    pub async fn check(&mut self, sim: &Sim, store: &Store, account: &LinkedAccount) -> Result<(), StoreError> {
        self.follow(sim, store, account).await?;
        for endpoint in endpoints(account) {
            let table = stored(store, account.id, endpoint).await?;
            let copy = &self.copies.entry((account.id.to_string(), endpoint.slug())).or_default().records;
            for (key, record) in &table {
                if copy.get(key) != Some(record) {
                    let had = copy.get(key).map(|(_, live)| *live);
                    let what = format!(
                        "I10: {} {key}: following gives {had:?}, stored is live: {}",
                        endpoint.slug(),
                        record.1
                    );
                    sim.watch().broken(what);
                }
            }
            for key in copy.keys().filter(|key| !table.contains_key(*key)) {
                sim.watch().broken(format!("I10: {} {key} is followed and not stored", endpoint.slug()));
            }
            let mut said: BTreeMap<String, Action> = BTreeMap::new();
            for block in store.changes(account.id, endpoint, None, 100_000).await? {
                said.extend(block.changes.into_iter().map(|change| (change.k, change.a)));
            }
            for (key, (_, live)) in &table {
                if said.get(key).map(|action| *action != Action::Deleted) != Some(*live) {
                    let what = format!(
                        "I10: {} {key}: the feed ends with {:?}, stored is live: {live}",
                        endpoint.slug(),
                        said.get(key)
                    );
                    sim.watch().broken(what);
                }
            }
        }
        Ok(())
    }
}
