//! Comparison: what the API serves of a model, against what Merge has, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use merge_sandbox::models;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Api, Connected, System};

#[derive(Deserialize)]
struct Page {
    results: Vec<RecordRow>,
    next_cursor: Option<String>,
}

/// A record as the API serves it.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordRow {
    pub id: String,
    pub deleted: bool,
    pub data: Box<RawValue>,
}

/// All records of a model, tombstones included, by id.
pub async fn records(api: &Api<'_>, id: &str, model: &str) -> Result<BTreeMap<String, RecordRow>, String> {
    let mut records = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/linked-accounts/{id}/records/{model}?include_deleted=true&limit=1000{cursor}");
        let answer = api.call(Method::GET, &path, None).await;
        if answer.status != 200 {
            return Err(format!("{path}: {} {}", answer.status, answer.body));
        }
        let page: Page = serde_json::from_str(&answer.body).map_err(|error| format!("{path}: {error}"))?;
        for row in page.results {
            let id = row.id.clone();
            if records.insert(id.clone(), row).is_some() {
                return Err(format!("{model}: {id} is served twice"));
            }
        }
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(records),
        }
    }
}

/// `Ok` when the API serves of a model exactly what Merge has; otherwise the first differences in words. What is
/// deleted there may be absent here only if it was never stored alive. Where Merge does not show what it has deleted,
/// it must be deleted here. Records without an id are compared by their bytes.
pub async fn equality(system: &System, api: &Api<'_>, account: &Connected, model: &str) -> Result<(), String> {
    let ours = records(api, &account.id, model).await?;
    let text = system.sandbox().records(&account.merge_id, model).await;
    let shape = models::by_key(model).map(|index| &models::all()[index]).expect("a model of the sandbox");
    let mut theirs = BTreeMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).map_err(|error| format!("{model}: {error}"))?;
        let deleted = record["remote_was_deleted"] == true;
        theirs.insert(record["id"].as_str().unwrap_or(line).to_owned(), (deleted, line));
    }
    if theirs.is_empty() {
        return Err(format!("{model}: Merge has no record, so that nothing is compared"));
    }
    if !shape.has_id {
        let live = ours.values().filter(|row| !row.deleted).map(|row| row.data.get());
        let there = theirs.values().filter(|(deleted, _)| !deleted).map(|(_, line)| *line);
        let (live, there): (BTreeSet<&str>, BTreeSet<&str>) = (live.collect(), there.collect());
        let missing = there.difference(&live).count();
        let surplus = live.difference(&there).count();
        return match missing + surplus {
            0 => Ok(()),
            _ => Err(format!("{model}: {missing} are missing, {surplus} are too many")),
        };
    }
    let mut differences = Vec::new();
    for (id, (deleted, line)) in &theirs {
        match ours.get(id) {
            None => differences.push(format!("{id} is missing")),
            Some(row) if row.deleted != *deleted => differences.push(format!("{id}: deleted is {}", row.deleted)),
            Some(row) if row.data.get() != *line => {
                differences.push(format!("{id} differs:\n  ours   {}\n  theirs {line}", row.data.get()));
            }
            Some(_) => {}
        }
    }
    let gone = |row: &RecordRow| row.deleted && !shape.has_deleted;
    let surplus = ours.iter().filter(|(id, row)| !theirs.contains_key(*id) && !gone(row));
    differences.extend(surplus.map(|(id, _)| format!("{id} is too many")));
    if differences.is_empty() {
        return Ok(());
    }
    let first = differences.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    Err(format!("{model}: {} of {} differ: {first}", differences.len(), theirs.len()))
}

/// Fails unless every one of `models` is equal.
pub async fn assert_equal(system: &System, api: &Api<'_>, account: &Connected, models: &[&str]) {
    for model in models {
        if let Err(difference) = equality(system, api, account, model).await {
            panic!("{difference}");
        }
    }
}
