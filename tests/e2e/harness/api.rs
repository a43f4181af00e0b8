//! The HTTP API as one organization calls it. Every call states the status that it expects, and every answer is
//! searched for what must not be in it.

use reqwest::Method;
use serde_json::{Value, json};

use super::system::System;
use super::{BOUND, answer, until};

/// Where one of the SaaS's own services names the organization that it acts for.
pub const ORGANIZATION_HEADER: &str = "Tether-Organization";

/// A caller with an organization's token.
pub struct Api<'a> {
    system: &'a System,
    pub organization: String,
    token: String,
    /// Names the organization in the header that only the SaaS's own services may use.
    acts: bool,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Raw {
    pub status: u16,
    pub content_type: String,
    /// Seconds of `Retry-After`; 0 when there is none.
    pub retry_after: u64,
    pub body: String,
}

impl Raw {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Status and body without the one thing that two equal refusals may differ in.
    pub fn without_request_id(&self) -> (u16, String, String) {
        let mut json = self.json();
        let id = json.as_object_mut().and_then(|members| members.remove("request_id"));
        let id = id.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let body = if id.is_empty() { self.body.clone() } else { self.body.replace(&id, "") };
        (self.status, self.content_type.clone(), body)
    }
}

impl<'a> Api<'a> {
    pub(super) fn new(system: &'a System, organization: &str, token: String) -> Self {
        Self { system, organization: organization.to_owned(), token, acts: false }
    }

    /// The same token, used on behalf of an organization.
    pub fn acting_for(self, organization: &str) -> Self {
        Self { organization: organization.to_owned(), acts: true, ..self }
    }

    /// Whether it names its organization in the header.
    pub fn acts(&self) -> bool {
        self.acts
    }

    pub async fn get(&self, path: &str, expected: u16) -> Value {
        self.expect(Method::GET, path, None, expected).await
    }

    pub async fn post(&self, path: &str, body: Value, expected: u16) -> Value {
        self.expect(Method::POST, path, Some(body), expected).await
    }

    pub async fn patch(&self, path: &str, body: Value, expected: u16) -> Value {
        self.expect(Method::PATCH, path, Some(body), expected).await
    }

    pub async fn delete(&self, path: &str, expected: u16) -> Value {
        self.expect(Method::DELETE, path, None, expected).await
    }

    /// A fresh link token and the account's id.
    pub async fn link_token(&self, category: &str) -> (String, String) {
        let mut wanted = json!({"category": category});
        if self.acts {
            // A service's token names no end user.
            wanted["end_user"] = json!({"email": "admin@example.com", "organization_name": "Example"});
        }
        let answer = self.post("/v1/link-tokens", wanted, 201).await;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("link_token"), text("id"))
    }

    /// The account as the API shows it.
    pub async fn account(&self, id: &str) -> Value {
        self.get(&format!("/v1/linked-accounts/{id}"), 200).await
    }

    /// Waits until the account's health has this state and reason, and returns the account.
    pub async fn until_health(&self, id: &str, state: &str, reason: Option<&str>) -> Value {
        until(&format!("{state} for {reason:?}"), BOUND, async || {
            let shown = self.account(id).await;
            let health = &shown["health"];
            let found = health["state"] == state && health["reason"].as_str() == reason;
            if found { Ok(shown) } else { Err(health.to_string()) }
        })
        .await
    }

    /// Types of the account's timeline, newest first.
    pub async fn timeline(&self, id: &str) -> Vec<Value> {
        let events = self.get(&format!("/v1/linked-accounts/{id}/events?limit=1000"), 200).await;
        events["results"].as_array().cloned().unwrap_or_default()
    }

    /// The organization's accounts.
    pub async fn accounts(&self) -> Vec<Value> {
        let answer = self.get("/v1/linked-accounts", 200).await;
        answer["results"].as_array().cloned().unwrap_or_default()
    }

    async fn expect(&self, method: Method, path: &str, body: Option<Value>, expected: u16) -> Value {
        let call = format!("{method} {path}");
        let answer = self.call(method, path, body).await;
        assert_eq!(answer.status, expected, "{call}: {}", answer.body);
        answer.json()
    }

    /// The answer, whatever it is. Searched all the same.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Raw {
        self.send(method, path, body, &[]).await
    }

    /// A call with further headers.
    pub async fn call_with(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Raw {
        self.send(method, path, None, headers).await
    }

    /// A call with a body and further headers. A header given here replaces the one that the caller always sends.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Raw {
        let call = format!("{method} {path}");
        let url = format!("{}{path}", self.system.ready().api);
        let mut request = self.system.http().request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if self.acts && headers.iter().all(|(name, _)| *name != ORGANIZATION_HEADER) {
            request = request.header(ORGANIZATION_HEADER, &self.organization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{call}: {error}"));
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = header("content-type").to_owned();
        let retry_after = header("retry-after").parse().unwrap_or_default();
        let body = answer.text().await.unwrap_or_else(|error| panic!("{call}: {error}"));
        let json = serde_json::from_str::<Value>(&body).unwrap_or_default();
        if let Some(token) = json["link_token"].as_str() {
            self.system.secrets().plant("link token", token);
        }
        answer::check(&call, &self.organization, &body, self.system.secrets());
        Raw { status, content_type, retry_after, body }
    }
}
