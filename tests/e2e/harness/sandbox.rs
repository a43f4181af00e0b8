//! The simulated Merge, through its control API.

use merge_sandbox::models;
use serde_json::{Value, json};

use super::system::System;
use super::{BOUND, until};

/// How the dialog ends.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Success,
    Exit,
    ValidationError,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Exit => "exit",
            Self::ValidationError => "validation_error",
        }
    }
}

/// The control API of a system's sandbox.
pub struct Sandbox<'a> {
    system: &'a System,
}

impl<'a> Sandbox<'a> {
    pub(super) fn new(system: &'a System) -> Self {
        Self { system }
    }

    pub async fn state(&self) -> Value {
        let state = self.get("/state").await;
        serde_json::from_str(&state).expect("the sandbox's state")
    }

    /// Merge's account, if it exists.
    pub async fn account(&self, merge_id: &str) -> Option<Value> {
        self.accounts().await.into_iter().find(|account| account["id"] == merge_id)
    }

    /// Merge's account of one of ours: its origin id names organization and category, and ours unless there can be
    /// only one.
    pub async fn account_for(&self, organization: &str, category: &str, id: &str) -> Option<Value> {
        let origin = [format!("{organization}_{category}_{id}"), format!("{organization}_{category}")];
        let named = |account: &Value| origin.iter().any(|origin| account["end_user_origin_id"] == origin.as_str());
        self.accounts().await.into_iter().find(named)
    }

    pub async fn accounts(&self) -> Vec<Value> {
        let state = self.state().await;
        let accounts = state["accounts"].as_array().cloned().unwrap_or_default();
        for token in accounts.iter().filter_map(|account| account["account_token"].as_str()) {
            self.system.secrets().plant("account token", token);
        }
        accounts
    }

    /// What the end user does in the dialog; the public token when that is a success.
    pub async fn link(&self, link_token: &str, integration: &str, outcome: Outcome) -> Option<String> {
        self.link_as(link_token, integration, Value::Null, outcome).await
    }

    /// The same, with the credentials of a system: two accounts with equal ones are duplicates.
    pub async fn link_as(
        &self,
        link_token: &str,
        integration: &str,
        credentials: Value,
        outcome: Outcome,
    ) -> Option<String> {
        let mut attempt = json!({"link_token": link_token, "integration_slug": integration, "outcome": outcome.word()});
        if !credentials.is_null() {
            attempt["credentials"] = credentials;
        }
        let ended = self.post("/link", attempt).await;
        let token = ended["public_token"].as_str()?.to_owned();
        self.system.secrets().plant("public token", &token);
        self.accounts().await;
        Some(token)
    }

    /// What becomes of a dialog that Merge does not even open: its words.
    pub async fn cannot_link(&self, link_token: &str, integration: &str) -> String {
        let attempt = json!({"link_token": link_token, "integration_slug": integration, "outcome": "success"});
        let url = format!("{}/link", self.system.ready().sandbox);
        let answer = self.system.http().post(url).json(&attempt).send().await.expect("the sandbox answers");
        assert_eq!(answer.status().as_u16(), 400, "it was opened");
        answer.text().await.expect("a body")
    }

    /// `POST /_sandbox/accounts/{id}/{action}`.
    pub async fn act(&self, merge_id: &str, action: &str, body: Value) -> Value {
        self.post(&format!("/accounts/{merge_id}/{action}"), body).await
    }

    /// Marks records as changed or deleted; the next sync shows them. Their ids.
    pub async fn mark(&self, merge_id: &str, action: &str, model: &str, count: usize) -> Vec<String> {
        let marked = self.act(merge_id, action, json!({"model_id": model, "count": count})).await;
        let ids = marked["ids"].as_array().cloned().unwrap_or_default();
        let ids: Vec<String> = ids.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        assert_eq!(ids.len(), count, "{action} {model}");
        ids
    }

    /// Live records of a model at Merge.
    pub async fn live(&self, merge_id: &str, model: &str) -> u64 {
        let account = self.account(merge_id).await.unwrap_or_default();
        account["models"][model]["records"].as_u64().unwrap_or_default()
    }

    /// Runs a sync of all models now.
    pub async fn start_sync(&self, merge_id: &str) {
        self.act(merge_id, "start-sync", json!({})).await;
    }

    /// Runs a sync of all models and waits until Merge has finished it.
    pub async fn sync(&self, merge_id: &str) {
        self.start_sync(merge_id).await;
        until("Merge has finished its syncs", BOUND, async || {
            let account = self.account(merge_id).await.unwrap_or_default();
            let syncs = account["syncs"].as_array().cloned().unwrap_or_default();
            let running = syncs.iter().filter(|sync| sync["status"] == "SYNCING").count();
            if running == 0 && !syncs.is_empty() { Ok(()) } else { Err(format!("{running} models are syncing")) }
        })
        .await;
    }

    /// How webhooks go wrong from now on.
    pub async fn webhook_mode(&self, mode: &str) {
        self.post("/webhooks", json!({"mode": mode})).await;
    }

    pub async fn settings(&self, settings: Value) {
        self.post("/settings", settings).await;
    }

    /// Calls of a route so far, such as `POST /api/hris/v1/link-token`.
    pub async fn calls(&self, route: &str) -> u64 {
        self.state().await["requests"][route].as_u64().unwrap_or_default()
    }

    /// A model's records as Merge's list sends them, tombstones included, one per line.
    pub async fn records(&self, merge_id: &str, model: &str) -> String {
        self.get(&format!("/accounts/{merge_id}/records/{model}?include_deleted_data=true")).await
    }

    /// The first so many of them; a long list is not read to its end.
    pub async fn first_records(&self, merge_id: &str, model: &str, count: usize) -> Vec<Value> {
        let url = format!("{}/accounts/{merge_id}/records/{model}", self.system.ready().sandbox);
        let mut answer = self.system.http().get(url).send().await.expect("the sandbox answers");
        let mut bytes = Vec::new();
        while bytes.iter().filter(|byte| **byte == b'\n').count() < count {
            let Some(chunk) = answer.chunk().await.expect("a body") else { break };
            bytes.extend_from_slice(&chunk);
        }
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(count);
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.system.ready().sandbox);
        let answer = self.system.http().post(url).json(&body).send().await.expect("the sandbox answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "sandbox {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.system.ready().sandbox);
        let answer = self.system.http().get(url).send().await.expect("the sandbox answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "sandbox {path}: {status} {text}");
        text
    }
}

/// The lists of a category that are not nested, by key.
pub fn models_of(category: &str) -> Vec<&'static str> {
    let all = models::of_category(category).filter(|(_, model)| model.parent.is_none());
    all.map(|(_, model)| model.key.as_str()).collect()
}

/// Those of them that cannot say what changed or what is gone, so that only a full read tells.
pub fn read_in_full(category: &str) -> Vec<&'static str> {
    let all = models::of_category(category).filter(|(_, model)| model.parent.is_none());
    let mute = all.filter(|(_, model)| !(model.has_id && model.has_deleted && model.filters_modified));
    mute.map(|(_, model)| model.key.as_str()).collect()
}

/// The 16 HRIS models by key.
pub fn hris_models() -> [&'static str; 16] {
    [
        "hris.BankInfo",
        "hris.Benefit",
        "hris.Company",
        "hris.Dependent",
        "hris.Employee",
        "hris.EmployeePayrollRun",
        "hris.EmployerBenefit",
        "hris.Employment",
        "hris.Group",
        "hris.Location",
        "hris.PayGroup",
        "hris.PayrollRun",
        "hris.Team",
        "hris.TimeOff",
        "hris.TimeOffBalance",
        "hris.TimesheetEntry",
    ]
}
