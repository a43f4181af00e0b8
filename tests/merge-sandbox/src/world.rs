//! World: everything the sandbox knows, and how it moves with time.
//!
//! It reads no clock, does no I/O and draws no randomness but from its seed: every call takes `now`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::{Account, Status};
use crate::clock::Time;
use crate::faults::Fault;
use crate::generate::RemoteData;
use crate::ids;
use crate::linking::{LinkToken, PublicToken};
use crate::models;
use crate::requests::Requests;
use crate::settings::Settings;
use crate::sync::{Event, Plan, SyncStatus};
use crate::throttle::Throttle;
use crate::webhook::{self, Queue};

/// What survives a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Store {
    pub accounts: BTreeMap<String, Account>,
    pub link_tokens: HashMap<String, LinkToken>,
    pub public_tokens: HashMap<String, PublicToken>,
    pub settings: Settings,
    counter: u64,
}

/// What is given at the start.
#[derive(Clone, Debug)]
pub struct Config {
    pub seed: u64,
    pub speed: f64,
    pub employees: u32,
    pub webhook_url: Option<String>,
    /// False: no event is ever sent.
    pub webhooks: bool,
    /// The sandbox's own address, without a trailing slash.
    pub base: String,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    pub config: Config,
    pub store: Store,
    pub webhooks: Queue,
    pub faults: Vec<Fault>,
    pub requests: Requests,
    pub throttle: Throttle,
    /// Accounts by account token, by due time, and by credentials: all follow from `store`.
    by_token: HashMap<String, String>,
    token_of: HashMap<String, String>,
    due: BTreeSet<(Time, String)>,
    due_of: HashMap<String, Time>,
    duplicates: HashMap<String, BTreeSet<String>>,
    key_of: HashMap<String, String>,
    /// Rises with every change that a restart must know of.
    pub revision: u64,
}

impl World {
    pub fn new(config: Config, store: Store) -> World {
        let mut world = World {
            config,
            store,
            webhooks: Queue::default(),
            faults: Vec::new(),
            requests: Requests::default(),
            throttle: Throttle::default(),
            by_token: HashMap::new(),
            token_of: HashMap::new(),
            due: BTreeSet::new(),
            due_of: HashMap::new(),
            duplicates: HashMap::new(),
            key_of: HashMap::new(),
            revision: 0,
        };
        for id in world.store.accounts.keys().cloned().collect::<Vec<_>>() {
            world.touch(&id);
        }
        world
    }

    /// A fresh token or word of randomness; `purpose` keeps kinds apart.
    pub fn fresh(&mut self, purpose: &str) -> (String, u64) {
        self.store.counter += 1;
        let word = ids::mix(ids::mix(self.config.seed, ids::hash_str(purpose)), self.store.counter);
        (ids::token(self.config.seed, purpose, self.store.counter), word)
    }

    /// A fresh id of an account or an issue.
    pub fn fresh_id(&mut self, purpose: &str) -> String {
        let (_, word) = self.fresh(purpose);
        ids::uuid(word, ids::mix(word, 1)).to_string()
    }

    /// Must follow every change to an account: renews what is derived from it.
    pub fn touch(&mut self, id: &str) {
        self.revision += 1;
        if let Some(time) = self.due_of.remove(id) {
            self.due.remove(&(time, id.to_owned()));
        }
        if let Some(key) = self.key_of.remove(id)
            && let Some(set) = self.duplicates.get_mut(&key)
        {
            set.remove(id);
        }
        if let Some(token) = self.token_of.remove(id) {
            self.by_token.remove(&token);
        }
        let Some(account) = self.store.accounts.get(id) else { return };
        self.by_token.insert(account.account_token.clone(), id.to_owned());
        self.token_of.insert(id.to_owned(), account.account_token.clone());
        if let Some(time) = account.next_due() {
            self.due.insert((time, id.to_owned()));
            self.due_of.insert(id.to_owned(), time);
        }
        if let Some(key) = account.duplicate_key() {
            self.duplicates.entry(key.clone()).or_default().insert(id.to_owned());
            self.key_of.insert(id.to_owned(), key);
        }
    }

    pub fn account_by_token(&self, token: &str) -> Option<&Account> {
        self.store.accounts.get(self.by_token.get(token)?)
    }

    /// Other accounts with the same credentials.
    pub fn duplicates_of(&self, id: &str) -> Vec<&Account> {
        let set = self.key_of.get(id).and_then(|key| self.duplicates.get(key));
        let others = set.into_iter().flatten().filter(|other| *other != id);
        others.filter_map(|other| self.store.accounts.get(other)).collect()
    }

    /// Merge's `is_duplicate`: null for test and unfinished accounts.
    pub fn is_duplicate(&self, account: &Account) -> Option<bool> {
        let judged = !account.is_test && account.status != Status::Incomplete;
        judged.then(|| !self.duplicates_of(&account.id).is_empty())
    }

    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: Time) {
        while let Some((time, id)) = self.due.first().cloned() {
            if time > now {
                break;
            }
            let plan = self.plan(now);
            let events = self.store.accounts.get_mut(&id).map(|account| account.advance(plan)).unwrap_or_default();
            self.touch(&id);
            for event in events {
                self.emit(&id, event, now);
            }
        }
    }

    /// When something happens by itself next: a sync or a delivery.
    pub fn next_due(&self) -> Option<Time> {
        let sync = self.due.first().map(|(time, _)| *time);
        [sync, self.webhooks.next_due()].into_iter().flatten().min()
    }

    /// How syncs run under the present settings.
    pub fn plan(&self, now: Time) -> Plan {
        let scaled = |millis: i64| ((millis as f64 / self.config.speed) as i64).max(1);
        let duration_ms = scaled(self.store.settings.sync_duration_ms);
        Plan {
            now,
            duration_ms,
            stagger_ms: duration_ms / 4,
            interval_ms: scaled(self.store.settings.sync_interval_ms),
            result: SyncStatus::Done,
            changes_at_bound: self.store.settings.changes_at_bound,
        }
    }

    /// Sends an event about an account (which may be gone from the store by now: see [`World::emit_about`]).
    pub fn emit(&mut self, id: &str, event: Event, now: Time) {
        let Some(account) = self.store.accounts.get(id) else { return };
        let account = account.clone_without_data();
        let changed = self.record_events(id, &event);
        self.emit_about(&account, event, now);
        for event in changed {
            self.emit_about(&account, event, now);
        }
    }

    /// Where webhooks go, if anywhere.
    pub fn webhook_target(&self) -> Option<String> {
        self.config.webhook_url.clone().filter(|_| self.config.webhooks)
    }

    /// Sends an event about `account`.
    pub fn emit_about(&mut self, account: &Account, event: Event, now: Time) {
        if !self.config.webhooks {
            return;
        }
        let url = self.config.webhook_url.clone();
        let hook_id = ids::uuid(ids::mix(self.config.seed, 77), 77).to_string();
        // serde_json keeps the keys of a map in order of the alphabet; Merge's order means nothing either.
        let body = json!({
            "hook": {"id": hook_id, "event": event.name, "target": url},
            "linked_account": account.webhook_part(&self.config.base, self.is_duplicate(account)),
            "data": event.data,
        });
        let body = webhook::python_json(&body);
        self.webhooks.push(&event.name, body, url.as_deref(), &self.store.settings.webhook_keys, now);
    }

    /// `{Model}.changed` and `.removed` for what a run changed, where the setting asks for them; at most 100 a run.
    fn record_events(&self, id: &str, event: &Event) -> Vec<Event> {
        let Some(account) = self.store.accounts.get(id).filter(|_| self.store.settings.record_events) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        for (model, records) in &event.changed {
            for index in records.iter().take(100) {
                let deleted = account.dataset(*model).is_some_and(|dataset| dataset.state(*index).deleted);
                let mut text = String::new();
                account.write_record(*model, *index, RemoteData::Omitted, &mut text);
                let data: Value = serde_json::from_str(&text).unwrap_or_default();
                let action = if deleted { "removed" } else { "changed" };
                events.push(Event::new(event.at, format!("{}.{action}", models::all()[*model].webhook_name()), data));
            }
        }
        events
    }

    /// Puts settings in force; existing accounts' next rounds follow a new interval.
    pub fn set_settings(&mut self, settings: Settings, now: Time) {
        let new_interval = settings.sync_interval_ms != self.store.settings.sync_interval_ms;
        self.store.settings = settings;
        let interval = self.plan(now).interval_ms;
        for id in self.store.accounts.keys().cloned().collect::<Vec<_>>() {
            let (settings, employees) = (&self.store.settings, self.config.employees);
            if let Some(account) = self.store.accounts.get_mut(&id) {
                account.resize(|model| settings.size(model, employees));
                if new_interval && account.next_round.is_some() {
                    account.next_round = Some(now.plus_millis(interval));
                }
            }
            self.touch(&id);
        }
    }

    /// Everything but the accounts goes back to how it started; with `accounts` they go too.
    pub fn reset(&mut self, erase_accounts: bool, now: Time) {
        self.faults.clear();
        self.webhooks = Queue::default();
        self.requests = Requests::default();
        self.throttle = Throttle::default();
        if erase_accounts {
            for id in std::mem::take(&mut self.store.accounts).into_keys() {
                self.touch(&id);
            }
            self.store.link_tokens.clear();
            self.store.public_tokens.clear();
        }
        self.set_settings(Settings::default(), now);
        self.revision += 1;
    }
}
