//! A system: the local stack with release binaries and the simulated Merge, in which an account is connected and
//! synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use local_stack::{Options, Stack};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::contender::{self, Contender, PYTHON};

/// The model that is synced, and where Merge lists it.
pub const MODEL: &str = "hris.Employee";
const LIST: &str = "GET /api/hris/v1/employees";

/// See the module.
pub struct System {
    pub stack: Stack,
    http: Client,
    token: String,
    /// The accounts table's name and the records table's.
    pub tables: [String; 2],
}

/// An account whose first sync is over.
pub struct Synced {
    pub id: String,
    pub merge_id: String,
    /// From Merge's first page to the end.
    pub took: Duration,
    /// Of the workers, processor time in nanoseconds.
    pub cpu_ns: u64,
    /// The most memory of a worker, in kB.
    pub peak_kb: u64,
}

impl System {
    /// A system whose accounts have `records` of each of `models`, and whose Merge takes `latency` for a page.
    pub async fn start(
        root: &Path,
        binaries: &BTreeMap<String, PathBuf>,
        models: &[&str],
        records: u32,
        latency: Duration,
    ) -> Result<Self, String> {
        let wanted = models.join(",");
        // What changed just before is not read a second time: between two daily syncs, nothing is.
        let worker =
            [("MODELS", wanted.as_str()), ("WINDOW_OVERLAP_SECONDS", "0"), ("PLAN_REQUESTS_PER_MINUTE", "100000")];
        let of = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let environment =
            BTreeMap::from([("sync-worker".to_owned(), of(&worker)), ("accounts".to_owned(), of(&worker[2..]))]);
        let options = Options {
            template: root.join("infra/template.yaml"),
            functions: binaries.clone(),
            // Merge's own sync is over at once: what is measured comes after.
            speed: 100.0,
            employees: records,
            webhooks: false,
            schedule: false,
            environment,
            ..Options::default()
        };
        let stack = Stack::start(options).await.map_err(|error| error.to_string())?;
        let http = Client::builder().timeout(Duration::from_secs(60)).no_proxy().build();
        let tables = ["accounts", "records"].map(|table| stack.ready().tables[table].clone());
        let mut system = Self { stack, http: http.map_err(|error| error.to_string())?, token: String::new(), tables };
        let delay = latency.as_millis() as u64;
        let sizes: BTreeMap<&str, u32> = models.iter().map(|model| (*model, records)).collect();
        let settings = json!({"sync_interval_ms": 86_400_000, "page_delay_ms": delay, "records": sizes});
        system.sandbox("/settings", settings).await?;
        let form = [("grant_type", "client_credentials"), ("client_id", "org_bench"), ("client_secret", "dev")];
        let request = system.http.post(&system.stack.ready().token).form(&form);
        system.token = text(&answer(request).await?, "access_token");
        Ok(system)
    }

    /// Connects an account and waits until its records are stored.
    pub async fn connect_and_sync(&self) -> Result<Synced, String> {
        let link = self.api(Method::POST, "/v1/link-tokens", json!({"category": "hris"})).await?;
        let attempt = json!({"link_token": link["link_token"], "integration_slug": "bamboohr", "outcome": "success"});
        let ended = self.sandbox("/link", attempt).await?;
        let exchange = json!({"public_token": ended["public_token"], "category": "hris"});
        self.api(Method::POST, "/v1/linked-accounts", exchange).await?;
        let id = text(&link, "id");
        let merge_id = text(&self.merge_account().await?, "id");
        let mut polls = polls();
        // No webhook comes and no schedule runs: minutes pass when they are told to.
        let mut minute = jiff::Timestamp::now();
        let mut looks = 0;
        let began = loop {
            polls.tick().await;
            if self.pages().await? > 0 {
                break Instant::now();
            }
            looks += 1;
            if looks % 10 == 0 {
                minute += jiff::SignedDuration::from_mins(1);
                self.stack.tick(minute).await;
            }
        };
        self.settled(&id).await?;
        let took = began.elapsed();
        let workers = self.stack.processes("sync-worker");
        Ok(Synced {
            id,
            merge_id,
            took,
            cpu_ns: workers.iter().map(|worker| crate::usage::cpu_ns(*worker)).sum(),
            peak_kb: workers.iter().map(|worker| crate::usage::peak_kb(*worker)).max().unwrap_or_default(),
        })
    }

    /// A function of ours in this system, to be run by a platform instead of by the stack.
    pub fn function(&self, named: &Contender) -> Result<Contender, String> {
        let functions = &self.stack.deployment().functions;
        let found = functions.iter().find(|function| function.binary == named.name);
        let mut contender = named.clone();
        contender.environment.extend(found.ok_or("the template has no such function")?.environment.clone());
        let variables = [
            ("AWS_ENDPOINT_URL", self.stack.ready().aws.clone()),
            // By which the services know whose policy to hold it to, and whose requests to count.
            ("AWS_ACCESS_KEY_ID", format!("local-{}", named.name)),
            ("LINK_TOKEN_BURST", "100000".to_owned()),
        ];
        Ok(contender.with(&variables))
    }

    /// One of Python's handlers in this system, run by the platform at `address`.
    pub fn python(&self, root: &Path, interpreter: &Path, address: &str, handler: &str) -> Contender {
        let secret = |binary: &str, variable: &str| {
            let function = self.stack.deployment().functions.iter().find(|function| function.binary == binary);
            function.and_then(|function| function.environment.get(variable).cloned()).unwrap_or_default()
        };
        let ready = self.stack.ready();
        let variables = [
            ("MERGE_BASE_URL", ready.merge.clone()),
            ("MERGE_API_KEY_SECRET", secret("link-token", "MERGE_API_KEY_SECRET")),
            ("WEBHOOK_KEY_SECRET", secret("webhook", "WEBHOOK_KEYS_SECRET")),
            ("TABLE", self.tables[0].clone()),
            ("RECORDS", self.tables[1].clone()),
            ("AWS_ENDPOINT_URL", ready.aws.clone()),
            ("AWS_ACCESS_KEY_ID", PYTHON.to_owned()),
        ];
        contender::python(root, interpreter, address, handler).with(&variables)
    }

    /// Waits until the account is synced and nothing is queued.
    pub async fn settled(&self, id: &str) -> Result<(), String> {
        let mut polls = polls();
        let bound = Instant::now() + Duration::from_secs(3_600);
        while Instant::now() < bound {
            polls.tick().await;
            let quiet = self.stack.queue_depths().await.values().all(|depth| *depth == Default::default());
            if !quiet {
                continue;
            }
            let account = self.api(Method::GET, &format!("/v1/linked-accounts/{id}"), Value::Null).await?;
            if account["initial_sync_completed"] == true {
                return Ok(());
            }
        }
        Err("the sync does not end".to_owned())
    }

    /// Lets Merge read the account's system again, now and in no time.
    pub async fn merge_syncs(&self, merge_id: &str) -> Result<(), String> {
        self.sandbox(&format!("/accounts/{merge_id}/start-sync"), json!({"duration_ms": 1})).await?;
        let mut polls = polls();
        loop {
            polls.tick().await;
            let account = self.merge_account().await?;
            let syncs = account["syncs"].as_array().ok_or("the account has no syncs")?;
            if syncs.iter().all(|sync| sync["status"] != "SYNCING") {
                return Ok(());
            }
        }
    }

    /// Pages of the model that Merge was asked for.
    pub async fn pages(&self) -> Result<u64, String> {
        let state = self.state().await?;
        Ok(state["requests"][LIST].as_u64().unwrap_or_default())
    }

    /// The first account at Merge.
    pub async fn merge_account(&self) -> Result<Value, String> {
        Ok(self.state().await?["accounts"][0].clone())
    }

    /// A call of our API.
    pub async fn api(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.stack.ready().api);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if !body.is_null() {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// A call of the sandbox's control API.
    pub async fn sandbox(&self, path: &str, body: Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.stack.ready().sandbox);
        answer(self.http.post(url).json(&body)).await
    }

    async fn state(&self) -> Result<Value, String> {
        answer(self.http.get(format!("{}/state", self.stack.ready().sandbox))).await
    }
}

/// Looks fifty times a second.
fn polls() -> tokio::time::Interval {
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let (url, status) = (answer.url().clone(), answer.status());
    let body = answer.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{url}: {status} {body}"));
    }
    serde_json::from_str(&body).map_err(|error| format!("{url}: {error}: {body}"))
}

pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
