//! A system under test: one running stack, its clients, and the secrets that were planted in it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use local_stack::Stack;
use local_stack::ready::Ready;
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::message::Message;

use super::api::Api;
use super::canaries::{self, Sampled};
use super::sandbox::{Outcome, Sandbox};
use super::secrets::Secrets;
use super::tables::Tables;
use super::{BOUND, Setup, until};

/// See the module.
pub struct System {
    pub stack: Stack,
    http: reqwest::Client,
    secrets: Secrets,
    tables: Tables,
    sampled: Sampled,
    /// Parts of the error lines that tests announced.
    announced: Mutex<Vec<&'static str>>,
}

/// An account that was connected.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Ours.
    pub id: String,
    /// Merge's.
    pub merge_id: String,
    pub origin_id: String,
    pub account_token: String,
}

impl System {
    pub async fn start(setup: Setup) -> Self {
        let settings = setup.sandbox;
        let stack = Stack::start(setup.options).await.unwrap_or_else(|error| panic!("the stack: {error}"));
        // An answer may take the edge's 30 s.
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build();
        let http = http.expect("an HTTP client");
        let tables = Tables::of(stack.ready());
        let (secrets, sampled) = (Secrets::new(), Sampled::default());
        let system = Self { stack, http, secrets, tables, sampled, announced: Mutex::default() };
        system.sandbox().settings(settings).await;
        system
    }

    pub fn ready(&self) -> &Ready {
        self.stack.ready()
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub fn sampled(&self) -> &Sampled {
        &self.sampled
    }

    pub fn sandbox(&self) -> Sandbox<'_> {
        Sandbox::new(self)
    }

    /// The API as `organization` (`org_<name>`) calls it, with the three data scopes.
    pub async fn api(&self, organization: &str) -> Api<'_> {
        self.api_with_scope(organization, None).await
    }

    /// The API with other scopes than the default ones.
    pub async fn api_with_scope(&self, organization: &str, scope: Option<&str>) -> Api<'_> {
        let token = self.access_token(organization, scope).await;
        let slug = organization.trim_start_matches("org_").replace('_', "-");
        self.secrets.plant("e-mail address", &format!("admin@{slug}.example"));
        Api::new(self, organization, token)
    }

    /// An access token of an organization, with the three data scopes or others.
    pub async fn access_token(&self, organization: &str, scope: Option<&str>) -> String {
        let mut form =
            vec![("grant_type", "client_credentials"), ("client_id", organization), ("client_secret", "dev")];
        form.extend(scope.map(|scope| ("scope", scope)));
        let answer = self.http.post(&self.ready().token).form(&form).send().await.expect("the issuer answers");
        let answer: Value = answer.json().await.expect("a token answer");
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}"));
        self.secrets.plant("access token", token);
        token.to_owned()
    }

    /// Connects an account, from the link token to the exchange.
    pub async fn connect(&self, api: &Api<'_>, category: &str, integration: &str) -> Connected {
        let (link_token, id) = api.link_token(category).await;
        let public_token = self.sandbox().link(&link_token, integration, Outcome::Success).await;
        let public_token = public_token.expect("a public token");
        let body = json!({"public_token": public_token, "category": category});
        let answer = api.call(Method::POST, "/v1/linked-accounts", Some(body)).await;
        // 200 when the webhook was faster and the first sync is over already.
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        assert_eq!(answer.json()["id"], id.as_str(), "the account is the one that was reserved");
        self.connected(api, category, &id).await
    }

    /// What stands at Merge for one of our accounts.
    pub async fn connected(&self, api: &Api<'_>, category: &str, id: &str) -> Connected {
        let account = self.sandbox().account_for(&api.organization, category, id).await.expect("Merge's account");
        let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
        Connected {
            id: id.to_owned(),
            merge_id: text("id"),
            origin_id: text("end_user_origin_id"),
            account_token: text("account_token"),
        }
    }

    /// Connects an account and waits for its first sync.
    pub async fn connect_and_sync(&self, api: &Api<'_>, category: &str, integration: &str) -> Connected {
        let connected = self.connect(api, category, integration).await;
        self.synced(api, &connected.id, BOUND).await;
        connected
    }

    /// Waits for an account's first sync.
    pub async fn synced(&self, api: &Api<'_>, id: &str, bound: Duration) -> Value {
        let account = until("the first sync is complete", bound, async || {
            let account = api.account(id).await;
            if account["initial_sync_completed"] == true { Ok(account) } else { Err(account.to_string()) }
        })
        .await;
        let category = account["category"].as_str().unwrap_or_default();
        if let Some(at_merge) = self.sandbox().account_for(&api.organization, category, id).await {
            canaries::plant(self, &at_merge).await;
        }
        account
    }

    /// Completes a relink of an account as its end user would.
    pub async fn relink(&self, api: &Api<'_>, account: &Connected, category: &str, integration: &str) {
        self.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        let link = api.post(&format!("/v1/linked-accounts/{}/relink", account.id), json!({}), 201).await;
        let link_token = link["link_token"].as_str().unwrap_or_default();
        let public_token = self.sandbox().link(link_token, integration, Outcome::Success).await;
        let body = json!({"public_token": public_token.expect("a public token"), "category": category});
        let answer = api.post("/v1/linked-accounts", body, 200).await;
        assert_eq!(answer["id"], account.id.as_str(), "the account stays the same");
    }

    /// Puts a message of ours on the sync queue.
    pub async fn send(&self, message: &Message) {
        let ready = self.ready();
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new(ready.region.clone()))
            .endpoint_url(&ready.aws)
            .credentials_provider(aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "e2e"))
            .build();
        let send = aws_sdk_sqs::Client::from_conf(config).send_message().queue_url(&ready.queue_url);
        let send = send.message_body(serde_json::to_string(message).expect("a message"));
        let send = send.message_group_id(message.merge_id.as_str());
        let id = message.deduplication_id();
        send.message_deduplication_id(id.as_str()).send().await.expect("the queue takes it");
    }

    /// Waits until an account is erased.
    pub async fn erased(&self, api: &Api<'_>, id: &str, bound: Duration) {
        until("the account is erased", bound, async || {
            let answer = api.call(Method::GET, &format!("/v1/linked-accounts/{id}"), None).await;
            if answer.status == 404 { Ok(()) } else { Err(answer.body) }
        })
        .await;
    }

    /// Waits for a moment at which no queue holds anything.
    pub async fn idle(&self) {
        until("the queues are empty", BOUND, async || {
            let depths = self.stack.queue_depths().await;
            let busy: Vec<_> = depths.iter().filter(|(_, depth)| **depth != Default::default()).collect();
            if busy.is_empty() { Ok(()) } else { Err(format!("{busy:?}")) }
        })
        .await;
    }

    /// Waits until the sandbox has no webhook under way.
    pub async fn webhooks_settled(&self) {
        until("every webhook was answered", BOUND, async || {
            let counts = self.sandbox().state().await["webhooks"].clone();
            let count = |name: &str| counts[name].as_u64().unwrap_or_default();
            if count("sent") == count("delivered") { Ok(()) } else { Err(counts.to_string()) }
        })
        .await;
    }

    /// Error lines that contain `part` are expected from now on.
    pub fn announce(&self, part: &'static str) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    pub(super) fn is_announced(&self, line: &str) -> bool {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|part| line.contains(part))
    }
}
