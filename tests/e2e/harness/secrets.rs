//! Planted secrets: every value that must appear nowhere but where it is made, so that a leak is found by searching.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::canaries::{MARKS, RECORD};

/// The secrets of one stack by value, each with a word for what it is.
#[derive(Default)]
pub struct Secrets {
    planted: Mutex<BTreeMap<String, &'static str>>,
}

impl Secrets {
    /// With the keys that every stack has, and the marks of every record.
    pub fn new() -> Self {
        let secrets = Self::default();
        for key in ["dev-api-key", "dev-test-key"] {
            secrets.plant("API key", key);
        }
        for key in ["dev-webhook-key", "dev-webhook-key-old"] {
            secrets.plant("webhook key", key);
        }
        for mark in MARKS {
            secrets.plant(RECORD, mark);
        }
        secrets
    }

    /// From now on `value` may be found nowhere.
    pub fn plant(&self, what: &'static str, value: &str) {
        assert!(value.len() >= 8, "{what}: too short to be searched for");
        self.planted().insert(value.to_owned(), what);
    }

    /// How many secrets of a kind are planted.
    pub fn count(&self, what: &str) -> usize {
        self.planted().values().filter(|planted| **planted == what).count()
    }

    /// Which secret stands in `text`, except in the places where `allowed` are made.
    pub fn found_in(&self, text: &str, allowed: &[&str]) -> Option<&'static str> {
        let planted = self.planted();
        let found = planted.iter().find(|(value, what)| !allowed.contains(what) && text.contains(value.as_str()));
        found.map(|(_, what)| *what)
    }

    fn planted(&self) -> MutexGuard<'_, BTreeMap<String, &'static str>> {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
