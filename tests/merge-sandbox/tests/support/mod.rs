//! A sandbox in this process with a clock that only the test moves, and what tests do with it most.

#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use merge_sandbox::Options;
use merge_sandbox::clock::{Clock, Time};
use merge_sandbox::service::Service;
use merge_sandbox::webhook::{Delivery, Outcome};
use serde_json::{Value, json};
use tower::ServiceExt;

pub const PRODUCTION: &str = "dev-api-key";
pub const TEST: &str = "dev-test-key";

/// 2026-01-01T00:00:00Z.
pub const START: Time = Time(1_767_225_600_000_000);

pub struct Merge {
    pub service: Arc<Service>,
    clock: Clock,
    key: &'static str,
}

/// A linked account.
#[derive(Clone, Debug)]
pub struct Linked {
    pub id: String,
    pub token: String,
    pub category: String,
}

impl Merge {
    /// Accounts of 40 employees; webhooks go to a place that nobody listens at, and are taken from the queue.
    pub fn new() -> Merge {
        Merge::of_size(40)
    }

    pub fn of_size(employees: u32) -> Merge {
        Merge::seeded(7, employees)
    }

    pub fn seeded(seed: u64, employees: u32) -> Merge {
        let webhook_url = Some("http://127.0.0.1:1/".to_owned());
        let options = Options { seed, employees, webhook_url, ..Options::default() };
        let clock = Clock::manual(START);
        let service = merge_sandbox::in_process(&options, clock.clone());
        Merge { service, clock, key: PRODUCTION }
    }

    pub fn with_key(&self, key: &'static str) -> Merge {
        Merge { service: Arc::clone(&self.service), clock: self.clock.clone(), key }
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn wait_ms(&self, millis: i64) {
        self.clock.set(self.clock.now().plus_millis(millis));
    }

    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path);
        if !self.key.is_empty() {
            request = request.header("Authorization", format!("Bearer {}", self.key));
        }
        if let Some(token) = token {
            request = request.header("X-Account-Token", token);
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let response = self.service.router().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// A call without an account token that must be answered with `expected`.
    pub async fn call(&self, expected: u16, method: &str, path: &str, body: Option<Value>) -> Value {
        self.call_as(expected, None, method, path, body).await
    }

    pub async fn call_as(
        &self,
        expected: u16,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Value {
        let (status, text) = self.raw(method, path, token, body).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}: {text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    pub async fn get(&self, account: &Linked, path: &str) -> Value {
        let path = format!("/api/{}/v1/{path}", account.category);
        self.call_as(200, Some(&account.token), "GET", &path, None).await
    }

    pub async fn control(&self, account: &Linked, action: &str, body: Value) -> Value {
        self.call(200, "POST", &format!("/_sandbox/accounts/{}/{action}", account.id), Some(body)).await
    }

    pub async fn settings(&self, body: Value) {
        self.call(200, "POST", "/_sandbox/settings", Some(body)).await;
    }

    pub async fn link_token(&self, origin: &str, category: &str) -> String {
        let body = json!({
            "end_user_email_address": "ada@acme.example",
            "end_user_organization_name": "Acme",
            "end_user_origin_id": origin,
            "categories": [category],
        });
        let answer = self.call(200, "POST", "/api/integrations/create-link-token", Some(body)).await;
        answer["link_token"].as_str().unwrap().to_owned()
    }

    /// Goes through the dialog; the answer of the control route.
    pub async fn dialog(&self, origin: &str, category: &str, more: Value) -> Value {
        let mut body = json!({"link_token": self.link_token(origin, category).await, "outcome": "success"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call(200, "POST", "/_sandbox/link", Some(body)).await
    }

    pub async fn exchange(&self, category: &str, public_token: &str) -> Linked {
        let path = format!("/api/{category}/v1/account-token/{public_token}");
        let answer = self.call(200, "GET", &path, None).await;
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Linked { id: text("id"), token: text("account_token"), category: category.to_owned() }
    }

    pub async fn link(&self, origin: &str, category: &str) -> Linked {
        let answer = self.dialog(origin, category, json!({"integration_slug": slug_of(category)})).await;
        self.exchange(category, answer["public_token"].as_str().unwrap()).await
    }

    /// A linked account whose initial sync is over, long ago enough that no instant is the same.
    pub async fn synced(&self, origin: &str, category: &str) -> Linked {
        let account = self.link(origin, category).await;
        self.wait_ms(120_000);
        account
    }

    /// Starts a sync of everything and lets it finish.
    pub async fn sync(&self, account: &Linked) {
        self.control(account, "start-sync", json!({})).await;
        self.wait_ms(120_000);
    }

    /// Takes all webhooks that are due, as if they were delivered: event and body.
    pub fn webhooks(&self) -> Vec<(String, Value)> {
        self.deliveries()
            .into_iter()
            .map(|delivery| (delivery.event, serde_json::from_slice(&delivery.body).unwrap()))
            .collect()
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        let (mut world, now) = self.service.world();
        let due = world.webhooks.take_due(now);
        for delivery in &due {
            world.webhooks.settle(delivery.clone(), Outcome::Status(200), now);
        }
        due
    }

    /// The records of a list as raw text, from the first page to the last.
    pub async fn list(&self, account: &Linked, path: &str, query: &str) -> Vec<String> {
        let mut records = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/{}/v1/{path}?{query}{cursor}", account.category);
            let (status, text) = self.raw("GET", &path, Some(&account.token), None).await;
            assert_eq!(status, StatusCode::OK, "{path}: {text}");
            let page: Page = serde_json::from_str(&text).unwrap();
            records.extend(page.results.iter().map(|record| record.get().to_owned()));
            match page.next {
                Some(next) => cursor = format!("&cursor={}", next.replace('+', "%2B").replace('=', "%3D")),
                None => return records,
            }
        }
    }

    /// The records of a model as the control API shows them.
    pub async fn records(&self, account: &Linked, key: &str, query: &str) -> Vec<String> {
        let path = format!("/_sandbox/accounts/{}/records/{}?{query}", account.id, key.replace('@', "%40"));
        let (status, text) = self.raw("GET", &path, None, None).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        text.lines().map(str::to_owned).collect()
    }
}

#[derive(serde::Deserialize)]
struct Page<'t> {
    next: Option<String>,
    #[serde(borrow)]
    results: Vec<&'t serde_json::value::RawValue>,
}

/// An integration of the category.
pub fn slug_of(category: &str) -> &'static str {
    match category {
        "hris" => "bamboohr",
        "ats" => "greenhouse",
        "crm" => "salesforce",
        "accounting" => "xero",
        "ticketing" => "jira",
        "filestorage" => "box",
        _ => "notion",
    }
}

pub fn parsed(records: &[String]) -> Vec<Value> {
    records.iter().map(|record| serde_json::from_str(record).unwrap()).collect()
}
