//! Canaries: values of records that are searched for wherever records must not be.
//!
//! Two kinds. Marks stand in every e-mail address and every link of a generated record, of any account at any time:
//! they are planted before the stack starts. Samples are what the first records of each model say, for models without
//! either: of the first accounts of each category, taken when their first sync is complete, or at the end for those
//! that no test waited for. An account that is deleted later has left its samples behind.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::system::System;

/// What records hold; it stands in the records table and in answers that are made of records, nowhere else.
pub const RECORD: &str = "value of a record";

/// See the module.
pub const MARKS: [&str; 3] = ["@acme-works.example", "@mail.example", "files.provider.example"];

/// Accounts of one category whose records are sampled.
const ACCOUNTS: usize = 3;
/// Records of a model, and values of a record, that are planted.
const RECORDS: usize = 2;
const VALUES: usize = 3;

/// Merge's ids of the accounts that were sampled, with their categories.
#[derive(Default)]
pub struct Sampled(Mutex<BTreeMap<String, String>>);

impl Sampled {
    /// Whether this account's turn has come: once for each, for the first of its category.
    fn take(&self, merge_id: &str, category: &str) -> bool {
        let mut sampled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_category = sampled.values().filter(|other| *other == category).count();
        let fresh = of_category < ACCOUNTS && !sampled.contains_key(merge_id);
        if fresh {
            sampled.insert(merge_id.to_owned(), category.to_owned());
        }
        fresh
    }
}

/// Plants samples of what an account at Merge, as the sandbox's state shows it, holds now.
pub async fn plant(system: &System, account: &Value) {
    let models = account["models"].as_object().into_iter().flatten();
    let filled: Vec<_> = models.filter(|(_, model)| model["records"].as_u64() > Some(0)).collect();
    let (id, category) = (account["id"].as_str().unwrap_or_default(), account["category"].as_str().unwrap_or_default());
    if filled.is_empty() || !system.sampled().take(id, category) {
        return;
    }
    for (model, _) in filled {
        for record in system.sandbox().first_records(id, model, RECORDS).await {
            let mut values = Vec::new();
            collect(&record, &mut values);
            values.into_iter().take(VALUES).for_each(|value| system.secrets().plant(RECORD, value));
        }
    }
}

/// The texts of a record that can only be its own.
fn collect<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if is_telling(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        _ => {}
    }
}

/// Neither an id, a time nor a word of an enumeration, and the same in JSON: a sentence, or a text with a number in it.
fn is_telling(text: &str) -> bool {
    let plain = text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && !text.contains(['"', '\\']);
    let numbered = text.contains(|c: char| c.is_ascii_digit()) && text.contains(|c: char| c.is_lowercase() || c == '*');
    let known = text.parse::<Timestamp>().is_ok() || Uuid::parse_str(text).is_ok();
    plain && text.len() >= 10 && !known && (numbered || text.split(' ').count() > 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_stand_elsewhere_is_not_searched_for() {
        for telling in
            ["jo.doe17@x.example", "***-**-1234", "12 Jones Street", "lorem ipsum dolor sit.", "Legal Team 42"]
        {
            assert!(is_telling(telling), "{telling}");
        }
        for common in
            ["0a1b2c3d-0000-4000-8000-00000000000a", "2026-01-01T00:00:00.000000Z", "2026-01-01", "FULL_TIME_2"]
        {
            assert!(!is_telling(common), "{common}");
        }
        assert!(
            !is_telling("Software Engineer") && !is_telling("901234567890") && !is_telling("a \"quoted\" word or 2")
        );
    }
}
