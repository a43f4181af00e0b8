//! A snapshot: every record that the API serves of an account, to tell later what has changed.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{RecordRow, equality, records};
use super::{Api, Connected, System};

/// Records by model and id.
pub struct Snapshot(BTreeMap<String, BTreeMap<String, RecordRow>>);

/// Model and record id.
pub type RecordName = (String, String);

impl Snapshot {
    pub async fn take(api: &Api<'_>, id: &str, models: &[&str]) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for model in models {
            all.insert((*model).to_owned(), records(api, id, model).await?);
        }
        Ok(Self(all))
    }

    /// Records that are new, gone or different now.
    pub fn differing(&self, now: &Self) -> BTreeSet<RecordName> {
        let mut names = BTreeSet::new();
        for (model, before) in &self.0 {
            let after = &now.0[model];
            for id in before.keys().chain(after.keys()) {
                let content = |row: Option<&RecordRow>| row.map(|row| (row.deleted, row.data.get().to_owned()));
                if content(before.get(id)) != content(after.get(id)) {
                    names.insert((model.clone(), id.clone()));
                }
            }
        }
        names
    }

    /// Records that are tombstones.
    pub fn tombstones(&self) -> BTreeSet<RecordName> {
        let rows = self.0.iter().flat_map(|(model, rows)| rows.values().map(move |row| (model, row)));
        rows.filter(|(_, row)| row.deleted).map(|(model, row)| (model.clone(), row.id.clone())).collect()
    }

    /// Live records over all models.
    pub fn live(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).filter(|row| !row.deleted).count()
    }

    /// Live records by model and id, with their bytes.
    pub fn contents(&self) -> BTreeMap<RecordName, String> {
        let rows = self.0.iter().flat_map(|(model, rows)| rows.values().map(move |row| (model, row)));
        let live = rows.filter(|(_, row)| !row.deleted);
        live.map(|(model, row)| ((model.clone(), row.id.clone()), row.data.get().to_owned())).collect()
    }
}

/// `Ok` when every model is equal to Merge's.
pub async fn all_equal(system: &System, api: &Api<'_>, account: &Connected, models: &[&str]) -> Result<(), String> {
    for model in models {
        equality(system, api, account, model).await?;
    }
    Ok(())
}
