//! Actors: who does something. Users link, relink, disconnect and ask for syncs; at Merge's side records change, syncs
//! fail and accounts fall ill.

use merge_sandbox::account::Status;
use merge_sandbox::linking::{Attempt, Ending, Linked};
use serde_json::{Value, json};
use shared::domain::account::LinkedAccount;
use shared::domain::ids::OrganizationId;
use shared::domain::message::{AccountRef, Message, SyncMode, Work};
use shared::store::Store;

use crate::aftermath::ORGANIZATIONS;
use crate::happenings::Happening;
use crate::host::Host;
use crate::machine::{Api, quiet_queue, quiet_store};
use crate::merge::{control, direct, pause};
use crate::sim::{MODELS, Sim};

/// A user of an organization, who looks after one category.
#[derive(Clone)]
pub struct User {
    pub sim: Sim,
    pub host: Host,
    pub organization: &'static str,
    pub category: &'static str,
}

impl User {
    /// Does things now and then until the world is calm.
    pub async fn live(self) {
        let pace = self.sim.scenario().pace * 1_000;
        let mut left = false;
        loop {
            pause(&self.sim, 100, 2 * pace).await;
            if self.sim.is_calm() {
                return;
            }
            let account = self.account().await;
            let choice = self.sim.chance().below(100);
            let scenario = self.sim.scenario();
            if scenario.strangers && choice >= 94 {
                self.ask_for_anothers().await;
            }
            match account {
                None => self.connect(left).await,
                Some(account) if account.status.connected() => match choice {
                    0..=14 if scenario.relinks => self.reconnect(&account).await,
                    15..=18 if scenario.deletes => {
                        self.disconnect(&account).await;
                        left = true;
                    }
                    23..=40 if scenario.full_reads => self.refresh(&account, SyncMode::Full, Vec::new()).await,
                    41..=50 => self.refresh(&account, SyncMode::Changes, Vec::new()).await,
                    _ => {}
                },
                // Repeats what may have been lost; or links again while the last account is still going.
                Some(account) if choice < 10 => self.disconnect(&account).await,
                Some(_) if choice < 60 => self.connect(left).await,
                Some(_) => {}
            }
        }
    }

    /// I2: another organization's account is as unknown as one that never was.
    async fn ask_for_anothers(&self) {
        let Some(other) = ORGANIZATIONS.into_iter().find(|other| *other != self.organization) else { return };
        let Some(account) = accounts(&quiet_store(&self.sim), other).await.into_iter().next() else { return };
        let (api, method, rest) = match self.sim.chance().below(2) {
            0 => (Api::Delete, "DELETE", ""),
            _ => (Api::Relink, "POST", "/relink"),
        };
        let route = format!("{method} /v1/linked-accounts/{}{rest}", account.id);
        let answer = self.host.ask(api, self.organization, &route, Value::Null).await;
        self.sim.happened(Happening::ForeignRequest);
        self.must_be_refused(&route, answer);
    }

    fn must_be_refused(&self, route: &str, answer: Option<(u16, Value)>) {
        // What cannot be answered now is answered 5xx, or not at all.
        if let Some((status, body)) = answer.filter(|(status, _)| !matches!(status, 400 | 404 | 429 | 500..)) {
            let what = format!("I2: {} asks {route} and is answered {status} {body}", self.organization);
            self.sim.watch().broken(what);
        }
    }

    /// The account of this user's category, connected ones first.
    pub async fn account(&self) -> Option<LinkedAccount> {
        let mut accounts: Vec<LinkedAccount> = accounts(&quiet_store(&self.sim), self.organization).await;
        accounts.retain(|account| account.category.slug() == self.category);
        accounts.sort_by_key(|account| !account.status.connected());
        accounts.into_iter().next()
    }

    /// Goes through the dialog; sometimes gives up, sometimes closes the browser too early.
    /// `left`: they disconnected before.
    async fn connect(&self, left: bool) {
        let body = json!({"category": self.category});
        let answer = self.host.ask(Api::Link, self.organization, "POST /v1/link-tokens", body).await;
        if self.dialog(answer).await && left {
            self.sim.happened(Happening::ConnectedAgain);
        }
    }

    pub async fn reconnect(&self, account: &LinkedAccount) {
        let route = format!("POST /v1/linked-accounts/{}/relink", account.id);
        let answer = self.host.ask(Api::Relink, self.organization, &route, Value::Null).await;
        if self.dialog(answer).await && self.sim.watch().is_syncing(&account.id.to_string()) {
            self.sim.happened(Happening::RelinkedDuringSync);
        }
    }

    /// Whether the dialog ended well.
    async fn dialog(&self, answer: Option<(u16, Value)>) -> bool {
        let Some((201 | 200, answer)) = answer else { return false };
        let token = answer["link_token"].as_str().unwrap_or_default().to_owned();
        self.sim.watch().secret(&token);
        pause(&self.sim, 1_000, 20_000).await;
        let (gives_up, closes, repeats) = {
            let (calm, mut chance) = (self.sim.is_calm(), self.sim.chance());
            (!calm && chance.below(100) < 15, !calm && chance.below(100) < 20, chance.below(100) < 20)
        };
        let credentials = json!({"login": format!("{}-{}", self.organization, self.category)});
        let slug = match self.category {
            "hris" => "bamboohr",
            other => integration(other),
        };
        let attempt = Attempt {
            link_token: token,
            integration_slug: Some(slug.to_owned()),
            credentials: Some(credentials),
            outcome: if gives_up { Ending::Exit } else { Ending::Success },
        };
        let linked = {
            let (mut world, now) = self.sim.merge().world();
            // The other models are switched off by scopes: they would only take time.
            if let Some(token) = world.store.link_tokens.get_mut(&attempt.link_token) {
                token.readable = Some(MODELS.map(str::to_owned).to_vec());
            }
            let linked = world.link(&attempt, now);
            for account in world.store.accounts.values() {
                self.sim.watch().secret(&account.account_token);
            }
            linked
        };
        self.sim.note(&format!("{} {} dialog: {}", self.organization, self.category, linked.is_ok()));
        let Ok(Linked::Success { public_token, .. }) = linked else { return false };
        self.sim.watch().secret(&public_token);
        if closes {
            return true;
        }
        pause(&self.sim, 100, 3_000).await;
        if self.sim.scenario().strangers && self.sim.chance().below(6) == 0 {
            self.token_in_strange_hands(&public_token).await;
        }
        for _ in 0..4 {
            let answer = self.exchange(self.organization, &public_token).await;
            if answer.is_some_and(|(status, _)| status < 300) && !repeats {
                break;
            }
            pause(&self.sim, 500, 5_000).await;
        }
        true
    }

    async fn exchange(&self, organization: &str, public_token: &str) -> Option<(u16, Value)> {
        let body = json!({"public_token": public_token, "category": self.category});
        self.host.ask(Api::Exchange, organization, "POST /v1/linked-accounts", body).await
    }

    /// I2: a public token is worth nothing to another organization.
    async fn token_in_strange_hands(&self, public_token: &str) {
        let Some(other) = ORGANIZATIONS.into_iter().find(|other| *other != self.organization) else { return };
        let answer = self.exchange(other, public_token).await;
        self.sim.happened(Happening::ForeignToken);
        self.must_be_refused("POST /v1/linked-accounts", answer);
    }

    async fn disconnect(&self, account: &LinkedAccount) {
        let route = format!("DELETE /v1/linked-accounts/{}", account.id);
        let syncing = self.sim.watch().is_syncing(&account.id.to_string());
        let answer = self.host.ask(Api::Delete, self.organization, &route, Value::Null).await;
        if syncing && answer.is_some_and(|(status, _)| status == 202) {
            self.sim.happened(Happening::DeletedDuringSync);
        }
    }

    /// Asks for a sync of these models; of all when there are none.
    pub async fn refresh(&self, account: &LinkedAccount, mode: SyncMode, models: Vec<String>) {
        let of = AccountRef { organization: account.organization.clone(), account: account.id };
        let work =
            Work::Sync { of, mode, models, requested_at: shared::ambient::now(), request: shared::ambient::uuid() };
        // The front that asks is not what is looked at here; a request that is lost is a request never made.
        if let Err(error) = quiet_queue(&self.sim).send(&Message::new(account.merge_id.clone(), work)).await {
            self.sim.note(&format!("a refresh was not queued: {error}"));
        }
    }
}

/// All accounts of an organization.
pub async fn accounts(store: &Store, organization: &str) -> Vec<LinkedAccount> {
    let Ok(organization) = OrganizationId::parse(organization) else { return Vec::new() };
    // The one who looks is spared faults but for the world's; it asks again.
    for _ in 0..20 {
        if let Ok(page) = store.accounts_of(&organization, None, 100).await {
            return page.accounts;
        }
    }
    Vec::new()
}

fn integration(category: &str) -> &'static str {
    let offers = merge_sandbox::integrations::all();
    let found = offers.iter().find(|offer| offer.categories.contains(&category));
    found.map_or("bamboohr", |offer| offer.slug)
}

/// Somebody else's account under the same key, which never leaves: Merge's list is not empty, whoever else leaves.
pub async fn neighbour(sim: &Sim) {
    let asked = json!({
        "end_user_email_address": "somebody@example.com", "end_user_organization_name": "Somebody",
        "end_user_origin_id": "somebody", "categories": ["hris"],
    });
    let request =
        http::Request::post("http://merge/api/hris/v1/link-token").header("authorization", "Bearer dev-test-key");
    let request = request.body(asked.to_string().into()).expect("a request");
    let answer = direct(sim, request).await;
    let answer: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let attempt = json!({
        "link_token": answer["link_token"], "integration_slug": "bamboohr", "outcome": "success",
        "credentials": {"login": "somebody"},
    });
    let linked = control(sim, "link", attempt).await;
    assert!(linked["public_token"].is_string(), "{answer} {linked}");
}

/// What happens at Merge's side until the world is calm.
pub async fn provider(sim: Sim) {
    let pace = sim.scenario().pace * 500;
    loop {
        pause(&sim, 100, 2 * pace).await;
        if sim.is_calm() {
            return;
        }
        let accounts: Vec<(String, String)> = {
            let (world, _) = sim.merge().world();
            let linked = world.store.accounts.values().filter(|account| account.status != Status::Incomplete);
            let ours = linked.filter(|account| !account.is_test);
            ours.map(|account| (account.id.clone(), account.category.clone())).collect()
        };
        if accounts.is_empty() {
            continue;
        }
        let (id, category) = &accounts[sim.chance().below(accounts.len() as u64) as usize];
        let models: Vec<&str> =
            MODELS.into_iter().filter(|model| model.split('.').next() == Some(category.as_str())).collect();
        let (model, count, choice) = {
            let mut chance = sim.chance();
            (chance.of(&models), chance.between(1, 8), chance.below(100))
        };
        let call = async |action: &str, body: Value| control(&sim, &format!("accounts/{id}/{action}"), body).await;
        match choice {
            0..=39 => drop(call("mutate", json!({"model_id": model, "count": count})).await),
            40..=59 => drop(call("delete-records", json!({"model_id": model, "count": count})).await),
            60..=74 => grow(&sim, model, count),
            75..=84 => drop(call("start-sync", json!({"duration_ms": sim.scenario().sync_duration_ms})).await),
            85..=88 => drop(call("start-sync", json!({"models": [model], "result": "FAILED"})).await),
            89..=92 => drop(call("start-sync", json!({"models": [model], "result": "PARTIALLY_SYNCED"})).await),
            93..=94 if sim.scenario().relinks => drop(call("relink-needed", json!({})).await),
            95..=96 => drop(call("issue", json!({"kind": "missing_permissions"})).await),
            97..=98 => drop(call("resolve-issue", json!({})).await),
            99 if sim.scenario().removals => {
                call("remove", json!({})).await;
                sim.happened(Happening::RemovedAtMerge);
            }
            _ => {}
        }
    }
}

/// The provider has more records of a model from now on.
pub fn grow(sim: &Sim, model: &str, count: u64) {
    let (mut world, now) = sim.merge().world();
    let mut settings = world.store.settings.clone();
    *settings.records.entry(model.to_owned()).or_default() += count;
    world.set_settings(settings, now);
    drop(world);
    sim.note(&format!("merge {model} grows by {count}"));
}
