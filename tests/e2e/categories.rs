//! The seven categories: whatever changes at the provider is here in the end, byte for byte, however webhooks go wrong
//! and without any; also where a model cannot say what changed, does not show what is gone, or has no ids.

use futures::future::join_all;
use serde_json::json;

use crate::harness::{
    Api, BOUND, Connected, RECORD, Random, Setup, System, all_equal, alone, long, models_of, read_in_full, until,
};

/// Each category with a system that is connected to it.
const SYSTEMS: [(&str, &str); 7] = [
    ("hris", "bamboohr"),
    ("ats", "greenhouse"),
    ("crm", "salesforce"),
    ("accounting", "xero"),
    ("ticketing", "jira"),
    ("filestorage", "google-drive"),
    ("knowledgebase", "confluence"),
];

/// Small, and with records young enough to be swept at once. Merge syncs every half hour by its own clock: the poller
/// looks every five minutes.
fn setup() -> Setup {
    Setup::default()
        .employees(if long() { 2_000 } else { 40 })
        .variable("sync-worker", "WINDOW_OVERLAP_SECONDS", "0")
        .variable("sync-worker", "BRAKE_FLOOR", "100000")
        .sandbox(json!({"sync_interval_ms": 1_800_000}))
}

/// One category's account.
struct Account<'a> {
    api: Api<'a>,
    connected: Connected,
    category: &'static str,
    integration: &'static str,
}

#[test]
fn every_category_is_equal_however_webhooks_go_wrong() {
    alone(setup, async |system| {
        let accounts = connect_all(system).await;
        let mut random = Random::of("categories");
        for mode in ["normal", "duplicate", "reorder", "delay", "burst", "unpadded", "old_key", "drop"] {
            system.sandbox().webhook_mode(mode).await;
            let seeds: Vec<Random> = accounts.iter().map(|_| random.split()).collect();
            join_all(accounts.iter().zip(seeds).map(|(account, random)| account.changes(system, mode, random))).await;
        }
        system.sandbox().webhook_mode("normal").await;
        for account in &accounts {
            system.relink(&account.api, &account.connected, account.category, account.integration).await;
        }
        join_all(accounts.iter().map(|account| account.changes(system, "after a relink", Random::of("relink")))).await;
    });
}

#[test]
fn every_category_is_equal_by_the_poller_alone() {
    alone(
        || setup().without_webhooks(),
        async |system| {
            let accounts = connect_all(system).await;
            let changes = accounts.iter().map(|account| account.changes(system, "no webhooks", Random::of("poller")));
            join_all(changes).await;
            assert_eq!(system.sandbox().state().await["webhooks"]["delivered"], 0, "no webhook helped");
        },
    );
}

#[test]
fn what_vanishes_without_a_word_is_found_by_the_daily_read() {
    alone(
        // A day is a minute and a half, for Merge too.
        || {
            let mut setup = setup().without_schedule().sandbox(json!({"sync_interval_ms": 86_400_000}));
            setup.options.speed = 1_000.0;
            setup
        },
        async |system| {
            let api = system.api("org_daily").await;
            let account = system.connect_and_sync(&api, "accounting", "xero").await;
            let models = read_in_full("accounting");
            assert!(models.len() >= 5, "{models:?}");
            all_equal(system, &api, &account, &models).await.expect("everything equals Merge's");
            for model in &models {
                system.sandbox().mark(&account.merge_id, "delete-records", model, 1).await;
                system.sandbox().mark(&account.merge_id, "mutate", model, 1).await;
            }
            until("a day has passed", BOUND * 2, async || {
                system.sandbox().sync(&account.merge_id).await;
                system.webhooks_settled().await;
                system.idle().await;
                all_equal(system, &api, &account, &models).await
            })
            .await;
        },
    );
}

async fn connect_all(system: &System) -> Vec<Account<'_>> {
    let mut accounts = Vec::new();
    for (category, integration) in SYSTEMS {
        let api = system.api(&format!("org_{category}")).await;
        let connected = system.connect(&api, category, integration).await;
        accounts.push(Account { api, connected, category, integration });
    }
    for account in &accounts {
        let canaries = system.secrets().count(RECORD);
        system.synced(&account.api, &account.connected.id, BOUND).await;
        assert!(system.secrets().count(RECORD) > canaries, "records of {} are searched for", account.category);
        account.equal(system, "first sync", &models_of(account.category)).await;
    }
    accounts
}

impl Account<'_> {
    /// Changes and deletes some records of every model; one sync later all is equal.
    async fn changes(&self, system: &System, what: &str, mut random: Random) {
        let most = if long() { 1_000 / models_of(self.category).len() as u64 } else { 4 };
        for model in models_of(self.category) {
            let body = |count: u64| json!({"model_id": model, "count": count});
            // Some of every model stay: an empty list would compare equal to anything.
            let (changed, deleted) = (random.within(0..most + 1), random.within(0..2));
            system.sandbox().act(&self.connected.merge_id, "mutate", body(changed)).await;
            let left = system.sandbox().live(&self.connected.merge_id, model).await;
            if left > 2 {
                system.sandbox().act(&self.connected.merge_id, "delete-records", body(deleted)).await;
            }
        }
        system.sandbox().sync(&self.connected.merge_id).await;
        let mute = read_in_full(self.category);
        let speaking: Vec<_> = models_of(self.category).into_iter().filter(|model| !mute.contains(model)).collect();
        self.equal(system, what, &speaking).await;
        if !mute.is_empty() {
            let sync = json!({"mode": "full", "models": mute});
            self.api.post(&format!("/v1/linked-accounts/{}/sync", self.connected.id), sync, 202).await;
            self.equal(system, what, &mute).await;
        }
    }

    async fn equal(&self, system: &System, what: &str, models: &[&str]) {
        until(&format!("{} equals Merge's: {what}", self.category), BOUND, async || {
            all_equal(system, &self.api, &self.connected, models).await
        })
        .await;
    }
}
