//! What comes back from Merge is hostile until it is read: pages that lead elsewhere or nowhere, errors that repeat our
//! own secrets. Each test has a category of its own, whose pages a relay or the sandbox spoils for it.

use std::sync::LazyLock;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::relay::{Answer, Changes, ELSEWHERE, Relay, Said};
use crate::harness::tables::{Item, text};
use crate::harness::{Api, BOUND, Connected, Setup, SharedStack, System, alone, assert_equal, until};

static MERGE: LazyLock<Relay> = LazyLock::new(|| Relay::start(Changes { call: |_, _, body| body, answer: spoiled }));

static STACK: SharedStack = SharedStack::new(|| {
    let base = format!("{}/api", MERGE.url);
    let setup = Setup::default().without_schedule().variable("sync-worker", "MERGE_BASE_URL", &base);
    setup.sandbox(json!({"max_page_size": 20}))
});

/// A record that is larger than an item of DynamoDB, and does not become small by compression.
const LARGE: usize = 900_000;

/// Merge's answer, spoiled as the test said.
fn spoiled(said: &Said, call: &Parts, mut answer: Answer) -> Answer {
    let is = |word: &str, list: &str| said.has(word) && call.uri.path() == format!("/api/{list}");
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is("url", "ats/v1/candidates") {
        let mut page: Value = serde_json::from_slice(&answer.body).expect("a page");
        page["next"] = json!(format!("{}{ELSEWHERE}?cursor=2", said.relay));
        answer.body = Bytes::from(page.to_string());
    } else if is("redirect", "crm/v1/contacts") {
        answer.status = StatusCode::FOUND;
        let location = HeaderValue::from_str(&format!("{}{ELSEWHERE}", said.relay)).expect("a URL");
        answer.headers.insert("location", location);
    } else if is("text", "ticketing/v1/tickets") {
        // An error that repeats what it was called with.
        answer.status = StatusCode::BAD_REQUEST;
        let (key, token) = (header("authorization"), header("x-account-token"));
        answer.body = Bytes::from(json!({"detail": format!("{key} may not use {token}: {key}")}).to_string());
    } else if is("html", "filestorage/v1/files") {
        answer.body = Bytes::from_static(b"<html><body>planted-proxy-error-page-5521</body></html>");
    } else if is("large", "knowledgebase/v1/articles") {
        let mut state = 7_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + ((state >> 33) % 75) as u8)
        });
        let padding: String = noise.filter(|c| c.is_ascii_alphanumeric()).take(LARGE).collect();
        let body = String::from_utf8(answer.body.to_vec()).expect("text");
        answer.body = Bytes::from(body.replacen("\"id\":", &format!("\"padding\":\"{padding}\",\"id\":"), 1));
    }
    answer
}

/// An account whose first sync is complete, and nothing is under way.
async fn synced<'a>(system: &'a System, organization: &str, category: &str) -> (Api<'a>, Connected) {
    MERGE.aim(system.ready().sandbox.trim_end_matches("/_sandbox"));
    let api = system.api(organization).await;
    let integrations = api.get(&format!("/v1/integrations?category={category}"), 200).await;
    let slug = integrations["results"][0]["slug"].as_str().expect("an integration").to_owned();
    let account = system.connect_and_sync(&api, category, &slug).await;
    (api, account)
}

/// Up to when a list was read, as its checkpoint says.
async fn upper(system: &System, account: &Connected, slug: &str) -> String {
    let rows: Vec<Item> = system.tables().partition(&format!("ACCOUNT#{}", account.id)).await;
    let row = rows.iter().find(|row| text(row, "sk") == format!("SYNC#{slug}")).expect("a checkpoint");
    text(row, "upper")
}

/// Something changes at Merge, its next page is spoiled, and nothing of it counts as read: the model is degraded, the
/// checkpoint stays. Then Merge is itself again, and everything arrives.
async fn bounded(
    system: &System,
    api: &Api<'_>,
    account: &Connected,
    (model, slug): (&str, &str),
    spoil: impl AsyncFn(),
    heal: impl AsyncFn(),
) {
    system.announce("Merge's answers cannot be read to the end");
    let before = upper(system, account, slug).await;
    // Of this model, which no other test has, and of this account: an answer that breaks off is Merge's outage.
    let refusals = || {
        let lines = system.stack.logs();
        let outage = |line: &str| line.contains(&account.id) && line.contains("Merge does not serve this account now");
        system.counted_by("ModelDegraded", model) + lines.iter().filter(|line| outage(&line.line)).count() as u64
    };
    let refused = refusals();
    // More than a page of them: only who asks for a second one can be sent back to it.
    system.sandbox().mark(&account.merge_id, "mutate", model, 30).await;
    spoil().await;
    system.sandbox().start_sync(&account.merge_id).await;
    until("the page is refused", BOUND, async || {
        if refusals() > refused { Ok(()) } else { Err("nothing was refused yet".to_owned()) }
    })
    .await;
    system.webhooks_settled().await;
    system.idle().await;
    assert_eq!(upper(system, account, slug).await, before, "the checkpoint has not moved");
    heal().await;
    until("everything arrives", BOUND, async || {
        api.post(&format!("/v1/linked-accounts/{}/sync", account.id), json!({}), 202).await;
        match upper(system, account, slug).await {
            now if now != before => Ok(()),
            _ => Err("the checkpoint still has not moved".to_owned()),
        }
    })
    .await;
    assert_equal(system, api, account, &[model]).await;
}

/// A list goes wrong until it is healed: however often it is asked for, what is refused stays refused.
async fn spoil_list(system: &System, route: &str, mut fault: Value) {
    fault["route"] = json!(route);
    system.sandbox().post("/faults", fault).await;
}

/// The latest fault comes first, and this one is none.
async fn heal_list(system: &System, route: &str) {
    system.sandbox().post("/faults", json!({"route": route})).await;
}

#[test]
fn checklist_29_a_next_page_that_is_a_url_leads_nowhere() {
    STACK.run(async |system| {
        let (api, account) = synced(system, "org_url", "ats").await;
        let candidates = ("ats.Candidate", "ats.candidates");
        let strays = MERGE.strays();
        bounded(system, &api, &account, candidates, async || MERGE.say("url"), async || MERGE.take_back("url")).await;
        assert_eq!(MERGE.strays(), strays, "nothing left for another place");
    });
}

#[test]
fn checklist_31_a_redirect_is_an_error_and_takes_no_key_along() {
    STACK.run(async |system| {
        let (api, account) = synced(system, "org_redirect", "crm").await;
        let contacts = ("crm.CRMContact", "crm.contacts");
        let strays = MERGE.strays();
        bounded(system, &api, &account, contacts, async || MERGE.say("redirect"), async || MERGE.take_back("redirect"))
            .await;
        assert_eq!(MERGE.strays(), strays, "nobody followed it");
    });
}

#[test]
fn checklist_35_an_error_that_repeats_our_secrets_shows_them_to_nobody() {
    STACK.run(async |system| {
        let (api, account) = synced(system, "org_text", "ticketing").await;
        let tickets = ("ticketing.Ticket", "ticketing.tickets");
        // The harness searches every log line, event and answer for the key and the token.
        bounded(system, &api, &account, tickets, async || MERGE.say("text"), async || MERGE.take_back("text")).await;
        let path = format!("/v1/linked-accounts/{}", account.id);
        for rest in ["", "/events", "/sync-status"] {
            let shown = api.get(&format!("{path}{rest}"), 200).await.to_string();
            assert!(!shown.contains("may not use"), "{shown}");
        }
        let told = system.stack.logs().iter().filter(|line| line.line.contains("may not use")).count();
        assert!(told > 0, "the operator is told the rest of it");
    });
}

#[test]
fn checklist_30_the_same_cursor_twice_ends_the_run() {
    STACK.run(async |system| {
        let (api, account) = synced(system, "org_repeat", "accounting").await;
        let list = ("accounting.Invoice", "accounting.invoices");
        let route = "GET /api/accounting/v1/invoices";
        let before = system.sandbox().calls(route).await;
        let spoil = async || spoil_list(system, route, json!({"repeat_cursor": true})).await;
        bounded(system, &api, &account, list, spoil, async || heal_list(system, route).await).await;
        let calls = system.sandbox().calls(route).await - before;
        assert!(calls < 60, "it went round in circles: {calls} calls");
    });
}

#[test]
fn checklist_32_a_page_that_is_none_is_a_bounded_failure() {
    STACK.run(async |system| {
        system.secrets().plant("Merge's error page", "planted-proxy-error-page-5521");
        let (api, account) = synced(system, "org_spoiled", "filestorage").await;
        let files = ("filestorage.FileStorageFile", "filestorage.files");
        bounded(system, &api, &account, files, async || MERGE.say("html"), async || MERGE.take_back("html")).await;
        for fault in [json!({"truncate": true}), json!({"body_bytes": 52_428_800})] {
            let route = "GET /api/filestorage/v1/files";
            let spoil = async || spoil_list(system, route, fault.clone()).await;
            bounded(system, &api, &account, files, spoil, async || heal_list(system, route).await).await;
        }
        let peak = system.peak_memory("sync-worker");
        assert!(peak < 256 << 20, "{} MB", peak >> 20);
    });
}

#[test]
fn checklist_40_a_record_over_the_item_limit_is_stored_whole() {
    STACK.run(async |system| {
        MERGE.say("large");
        let (api, account) = synced(system, "org_large", "knowledgebase").await;
        MERGE.take_back("large");
        let path = format!("/v1/linked-accounts/{}/records/knowledgebase.KnowledgeBaseArticle?limit=1000", account.id);
        let listed = api.get(&path, 200).await;
        let records = listed["results"].as_array().expect("records");
        let large: Vec<_> = records.iter().filter_map(|record| record["data"]["padding"].as_str()).collect();
        assert!(!large.is_empty(), "it was sent");
        assert!(large.iter().all(|padding| padding.len() == LARGE), "and stored whole");
        let shown = api.account(&account.id).await;
        assert_eq!(shown["initial_sync_completed"], true);
        let parts = system.tables().everything().await;
        let parts =
            parts.iter().filter(|row| text(row, "pk").starts_with(&account.id) && text(row, "pk").contains("#PART"));
        assert!(parts.count() > 1, "in parts");
    });
}

#[test]
fn checklist_33_a_refused_api_key_blames_no_account_and_starts_no_storm() {
    alone(Setup::default, async |system| {
        let api = system.api("org_keyless").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        system.sandbox().settings(json!({"api_key": "revoked"})).await;
        let before = calls(system, "/api/").await.len();
        for _ in 0..5 {
            api.call(reqwest::Method::POST, &format!("/v1/linked-accounts/{}/sync", account.id), Some(json!({}))).await;
        }
        until("the refusal is noticed", BOUND, async || {
            if system.counted("MergeApiKeyRefused") > 0 { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        system.idle().await;
        let shown = api.account(&account.id).await;
        assert_eq!(shown["status"], "COMPLETE", "no account is to be relinked for it: {shown}");
        assert_ne!(shown["health"]["state"], "action_needed", "{shown}");
        assert_eq!(shown["health"]["can_reconnect"], true);
        let asked = calls(system, "/api/").await.len() - before;
        assert!(asked < 60, "{asked} calls with a refused key");

        system.sandbox().settings(json!({"api_key": "valid"})).await;
        until("the account is well again", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["health"]["state"] == "healthy" { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
    });
}

#[test]
fn while_nobody_can_tell_whether_key_or_token_was_refused_no_customer_is_told_to_reconnect() {
    alone(Setup::default, async |system| {
        let api = system.api("org_unclear").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let list = "/api/hris/v1/linked-accounts";
        system.sandbox().post("/faults", json!({"route": format!("GET {list}"), "status": 503})).await;
        system.sandbox().post("/faults", json!({"route": "GET /api/hris/v1/sync-status", "status": 401})).await;
        api.post(&format!("/v1/linked-accounts/{}/sync", account.id), json!({}), 202).await;
        until("the refusal shows", BOUND, async || {
            let health = api.account(&account.id).await["health"].clone();
            if health["state"] == "healthy" { Err(health.to_string()) } else { Ok(()) }
        })
        .await;
        assert!(calls(system, list).await.iter().any(|call| call.1 == 503), "the list was asked in vain");
        let health = api.account(&account.id).await["health"].clone();
        assert_eq!(
            (&health["state"], &health["reason"]),
            (&json!("degraded"), &json!("merge_unavailable")),
            "{health}"
        );
    });
}

#[test]
fn checklist_34_after_a_429_merge_is_not_called_before_it_allows_it() {
    alone(Setup::default, async |system| {
        let api = system.api("org_limited").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let route = "GET /api/hris/v1/sync-status";
        // Merge itself would say 120 s; the pause is the same rule at any length.
        let pause = 8;
        let fault = json!({"route": route, "status": 429, "retry_after": pause, "times": 1});
        system.sandbox().post("/faults", fault).await;
        api.post(&format!("/v1/linked-accounts/{}/sync", account.id), json!({}), 202).await;
        let next = until("Merge is called again", BOUND, async || {
            let all = calls(system, "/api/hris/v1/").await;
            let limited = all.iter().position(|call| call.1 == 429).ok_or("no 429 yet")?;
            all.get(limited + 1).map(|call| (all[limited].0, call.0)).ok_or_else(|| "nothing since".to_owned())
        })
        .await;
        let waited = Duration::try_from(next.1.duration_since(next.0)).expect("time goes on");
        // Merge's clock and ours agree but for the time that an answer travels.
        assert!(waited + Duration::from_millis(200) >= Duration::from_secs(pause), "{waited:?}");
        system.idle().await;
    });
}

/// When Merge was called below a path, and what it answered.
async fn calls(system: &System, below: &str) -> Vec<(Timestamp, u64)> {
    let url = format!("{}/requests", system.ready().sandbox);
    let all: Value = system.http().get(url).send().await.expect("the requests").json().await.expect("JSON");
    let all = all.as_array().expect("a list").iter();
    let below = all.filter(|call| call["route"].as_str().is_some_and(|route| route.contains(below)));
    below
        .map(|call| {
            let time = call["time"].as_str().expect("a time").parse().expect("a time");
            (time, call["status"].as_u64().expect("a status"))
        })
        .collect()
}
