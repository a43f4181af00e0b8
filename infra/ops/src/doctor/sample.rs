//! A sample: some models' records, read from Merge as the worker reads them and compared with what is stored. Every
//! record that Merge shows and that is older than our copy's end must be there, and nothing that Merge does not show.
//! On the way it is seen whether the list can be read page after page.

use std::collections::{HashMap, HashSet};

use shared::domain::endpoint::Rule;
use shared::domain::record;
use shared::domain::secret::AccountToken;
use shared::domain::time;
use shared::linking::Linking;
use shared::merge::{MergeError, PageRequest};
use shared::store::keys::SHARDS;
use shared::telemetry;

use super::account::{AccountFacts, MergeSays, ModelFacts};
use super::finding::{Check, Finding};
use crate::failure::Failure;

/// Models with more records are left out: reading them would use up the account's allowance.
const MOST_RECORDS: i64 = 1_000;
/// Pages of a list; beyond this it does not end.
const MOST_PAGES: usize = 50;
/// Keys that a finding names.
const NAMED: usize = 3;

/// Compares up to `models` models, the smallest first.
pub async fn compare(linking: &Linking, facts: &AccountFacts, models: usize) -> Result<Vec<Finding>, Failure> {
    if !matches!(facts.merge, Some(MergeSays::Serves { .. })) {
        return Ok(Vec::new());
    }
    let token = linking.token_of(&facts.account).await?;
    let settled = |model: &&ModelFacts| {
        let checkpoint = &model.checkpoint;
        checkpoint.upper.is_some() && checkpoint.window.is_none() && checkpoint.records <= MOST_RECORDS
    };
    let mut chosen: Vec<_> = facts.models.iter().filter(|model| model.endpoint.rule() == Rule::Windows).collect();
    chosen.retain(settled);
    chosen.sort_by_key(|model| model.checkpoint.records);
    // Empty models have nothing to compare: they come last.
    chosen.sort_by_key(|model| model.checkpoint.records == 0);
    let mut findings = Vec::new();
    for model in chosen.into_iter().take(models) {
        let found = match read(linking, &token, model).await {
            Ok(theirs) => differences(linking, facts, model, &theirs).await?,
            Err(fault) => Some(Finding::broken(
                Check::Pagination,
                format!("the list cannot be read to its end: {fault}"),
                "send Merge's support the request; the model is read on as soon as it can be",
            )),
        };
        let named = |finding: Finding| finding.about(&facts.account).model(model.endpoint.key());
        findings.extend(found.map(named));
    }
    Ok(findings)
}

#[derive(Debug, thiserror::Error)]
enum ListFault {
    #[error("{}", telemetry::chain(.0))]
    Refused(#[from] MergeError),
    #[error("it has more than {MOST_PAGES} pages or comes back to one")]
    Endless,
    #[error("a record has no shape that is known")]
    Record,
}

/// A record of Merge's: when it was modified, in our fixed spelling, and whether it is deleted.
type Theirs = HashMap<String, (String, bool)>;

async fn read(linking: &Linking, token: &AccountToken, model: &ModelFacts) -> Result<Theirs, ListFault> {
    let mut theirs = Theirs::new();
    let mut request = PageRequest::first(model.endpoint);
    let mut seen = HashSet::new();
    loop {
        let page = linking.merge.records_page(token, &request).await?;
        for bytes in page.records() {
            let read = record::read(bytes, model.endpoint, None).map_err(|_| ListFault::Record)?;
            theirs.insert(read.key.clone(), (read.modified_at.clone(), read.deleted));
        }
        let Some(next) = page.next.clone() else { return Ok(theirs) };
        if !seen.insert(next.clone()) || seen.len() > MOST_PAGES {
            return Err(ListFault::Endless);
        }
        request.cursor = Some(next);
    }
}

async fn differences(
    linking: &Linking,
    facts: &AccountFacts,
    model: &ModelFacts,
    theirs: &Theirs,
) -> Result<Option<Finding>, Failure> {
    let mut ours = HashMap::new();
    for shard in 0..SHARDS {
        let mut after: Option<String> = None;
        loop {
            let (heads, more) =
                linking.store.shard_heads(facts.account.id, model.endpoint, shard, after.as_deref()).await?;
            after = heads.last().map(|(key, _)| key.clone());
            ours.extend(heads.into_iter().map(|(key, stored)| (key, (stored.modified_at, stored.deleted))));
            if !more {
                break;
            }
        }
    }
    let end = model.checkpoint.upper.map(time::fixed).unwrap_or_default();
    Ok(judge(theirs, &ours, &end))
}

/// `end`: records modified later may be on their way.
fn judge(theirs: &Theirs, ours: &Theirs, end: &str) -> Option<Finding> {
    let old = |(_, (modified, _)): &(&String, &(String, bool))| modified.as_str() <= end;
    let live = |records: &Theirs| records.values().filter(|(_, deleted)| !deleted).count();
    let missing = theirs.iter().filter(old).filter(|(key, (modified, deleted))| match ours.get(*key) {
        // A record that was deleted before we first looked need not be there.
        None => !deleted,
        Some((stored, gone)) => stored < modified || gone != deleted,
    });
    let surplus = ours.iter().filter(old).filter(|(key, (_, deleted))| !deleted && !theirs.contains_key(*key));
    let mut keys: Vec<_> = missing.chain(surplus).map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() {
        return None;
    }
    keys.sort_unstable();
    let count = keys.len();
    keys.truncate(NAMED);
    let what = format!(
        "{count} records differ from Merge's ({} live there, {} here): {}",
        live(theirs),
        live(ours),
        keys.join(", ")
    );
    Some(Finding::broken(Check::Records, what, "`tether replay ACCOUNT --full` reads everything again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(rows: &[(&str, &str, bool)]) -> Theirs {
        rows.iter().map(|(key, at, deleted)| ((*key).to_owned(), ((*at).to_owned(), *deleted))).collect()
    }

    #[test]
    fn what_is_on_its_way_is_no_difference() {
        let theirs = records(&[("a", "1", false), ("b", "2", true), ("c", "9", false)]);
        let differs = |ours: &[(&str, &str, bool)]| judge(&theirs, &records(ours), "5").map(|finding| finding.what);
        assert_eq!(differs(&[("a", "1", false)]), None, "b was gone before we looked, c is newer than our copy");
        assert_eq!(differs(&[("a", "1", false), ("b", "2", true)]), None);
        assert!(differs(&[]).is_some_and(|what| what.ends_with(": a")), "a is missing");
        assert!(differs(&[("a", "0", false)]).is_some(), "an older version");
        assert!(differs(&[("a", "1", false), ("b", "1", false)]).is_some(), "a deletion that was missed");
        assert!(differs(&[("a", "1", false), ("x", "1", false)]).is_some(), "a record that Merge has not");
        assert_eq!(differs(&[("a", "1", false), ("x", "1", true)]), None, "and its tombstone");
    }
}
