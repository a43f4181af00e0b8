//! The world of these tests: emulated AWS, simulated Merge, and handlers built as each `main` builds its own.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use functions::accounts::{self, Accounts};
use functions::delete::{self, Deletes};
use functions::exchange::{self, Exchanges};
use functions::link_token::{self, LinkTokens};
use functions::records::{self, Records};
use functions::relink::{self, Relinks};
use lambda_http::{Body, Request, request::RequestContext};
use local_stack::aws::{Aws, AwsOptions};
use local_stack::provision::provision;
use local_stack::template::{Inputs, load};
use merge_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use shared::api::limiter::Limiter;
use shared::config::{self, Clock, Section};
use shared::domain::account::LinkedAccount;
use shared::domain::ids::{AccountId, MergeLinkedAccountId, OrganizationId};
use shared::domain::secret::{AccountToken, ApiKey};
use shared::http;
use shared::linking::Linking;
use shared::merge::MergeClient;
use shared::queue::Queue;
use shared::secrets::{TokenCipher, TokenContext};
use shared::store::Store;
use shared::store::accounts::Change;
use tokio::runtime::Runtime;

use crate::answer::Answer;
use crate::queue::WorkQueue;

pub struct World {
    pub linking: Linking,
    sandbox: String,
    browser: reqwest::Client,
    link_tokens: LinkTokens,
    exchanges: Exchanges,
    relinks: Relinks,
    deletes: Deletes,
    accounts: Accounts,
    records: Records,
    database: aws_sdk_dynamodb::Client,
    pub queue: WorkQueue,
    _aws: Aws,
    _sandbox: Sandbox,
}

fn section<S: Section>(variables: &[(&str, &str)]) -> S {
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    config::load_from(&find).unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A world whose functions have these variables set.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let (region, account_id) = ("us-east-1".to_owned(), "000000000000".to_owned());
        let aws = Aws::start(AwsOptions { listen, data_dir: None, region, account_id }).await.unwrap();
        let sandbox = Sandbox::start(Options { listen, employees: 20, webhooks: false, ..Options::default() });
        let sandbox_server = sandbox.await.unwrap();
        let sandbox = format!("http://{}", sandbox_server.address());
        let base_url = format!("{sandbox}/api");
        let deployment = load(&template(), &inputs(&aws.endpoint())).unwrap();
        provision(&deployment, &aws.endpoint()).await.unwrap();
        let sdk = sdk(&aws.endpoint()).await;
        let table = |id: &str| deployment.tables.iter().find(|table| table.logical_id == id).unwrap().name.clone();
        let queue = deployment.queues.iter().find(|queue| queue.logical_id == "SyncQueue").unwrap();
        let key = deployment.keys.iter().find(|key| key.logical_id == "TokenKey").unwrap();

        let store = Store::new(aws_sdk_dynamodb::Client::new(&sdk), table("AccountsTable"), table("RecordsTable"));
        let secret = [("MERGE_BASE_URL", base_url.as_str()), ("MERGE_API_KEY_SECRET", "secret")];
        let merge = MergeClient::new(&section::<config::Merge>(&secret), ApiKey::new("dev-api-key")).unwrap();
        let sender = Queue::new(&sdk, &config::Queue { url: queue.url.clone() });
        let cipher = TokenCipher::new(&sdk, &config::TokenKey { id: key.arn.clone(), previous: None });
        let retention: config::Retention = section(&[]);
        let identity: config::Identity = section(variables);
        let linking: config::Linking = section(variables);
        let core = Linking {
            store: store.clone(),
            merge: merge.clone(),
            tokens: Arc::new(cipher),
            history: retention.history,
        };
        Self {
            link_tokens: LinkTokens {
                store: store.clone(),
                merge: merge.clone(),
                identity: identity.clone(),
                linking: linking.clone(),
                retention: retention.clone(),
                limiter: Limiter::new(linking.token_burst),
                refused: section(variables),
            },
            exchanges: Exchanges {
                linking: core.clone(),
                queue: sender.clone(),
                identity: identity.clone(),
                refused: section(variables),
                limit: section(variables),
            },
            relinks: Relinks {
                store: store.clone(),
                merge,
                identity: identity.clone(),
                linking: linking.clone(),
                retention: retention.clone(),
                limit: section(variables),
                refused: section(variables),
            },
            deletes: Deletes {
                store: store.clone(),
                queue: sender.clone(),
                identity: identity.clone(),
                retention: retention.clone(),
                limit: section(variables),
            },
            accounts: Accounts {
                linking: core.clone(),
                queue: sender,
                identity: identity.clone(),
                models: section(&[]),
                clock: Clock::REAL,
                retention: retention.clone(),
                limit: section(variables),
                refused: section(variables),
            },
            records: Records { store, identity, retention },
            linking: core,
            sandbox,
            browser: config::tls::http_client().unwrap(),
            database: aws_sdk_dynamodb::Client::new(&sdk),
            queue: WorkQueue::new(&sdk, &queue.url),
            _aws: aws,
            _sandbox: sandbox_server,
        }
    }

    /// A request of an organization, with every scope.
    pub async fn ask(&self, organization: &str, route: impl AsRef<str>, body: Value) -> Answer {
        let scopes = "tether/linked-accounts:read tether/linked-accounts:write tether/records:read";
        self.ask_with(organization, scopes, route.as_ref(), body).await
    }

    /// A request of a service for an organization: its token names no end user.
    pub async fn ask_as_a_service(&self, organization: &str, route: &str, body: Value) -> Answer {
        self.answer(route, || event(organization, "tether/linked-accounts:write", route, &body, false)).await
    }

    /// A request of one of an organization's people.
    pub async fn ask_as(&self, organization: &str, subject: &str, route: &str, body: Value) -> Answer {
        let request = || {
            let mut request = event(organization, "tether/linked-accounts:write", route, &body, true);
            let context = request.extensions_mut().get_mut::<RequestContext>().unwrap();
            let RequestContext::ApiGatewayV2(context) = context else { panic!("{context:?}") };
            let claims = &mut context.authorizer.as_mut().unwrap().jwt.as_mut().unwrap().claims;
            claims.insert("sub".to_owned(), subject.to_owned());
            request
        };
        self.answer(route, request).await
    }

    /// A request of an organization with these scopes. `route`: method and path, query included.
    pub async fn ask_with(&self, organization: &str, scopes: &str, route: &str, body: Value) -> Answer {
        self.answer(route, || event(organization, scopes, route, &body, true)).await
    }

    /// A request that names itself.
    pub async fn ask_named(&self, organization: &str, key: &str, route: &str, body: Value) -> Answer {
        let scopes = "tether/linked-accounts:read tether/linked-accounts:write";
        let request = || {
            let mut request = event(organization, scopes, route, &body, true);
            request.headers_mut().insert("idempotency-key", key.parse().unwrap());
            request
        };
        self.answer(route, request).await
    }

    async fn answer(&self, route: &str, request: impl Fn() -> Request) -> Answer {
        let path = route.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let answer = match (route.split(' ').next().unwrap(), path, last) {
            ("POST", "/v1/link-tokens", _) => {
                http::respond(request(), &|r| link_token::handle(&self.link_tokens, r)).await
            }
            ("POST", "/v1/linked-accounts", _) => {
                http::respond(request(), &|r| exchange::handle(&self.exchanges, r)).await
            }
            ("POST", _, "relink") => http::respond(request(), &|r| relink::handle(&self.relinks, r)).await,
            ("DELETE", ..) => http::respond(request(), &|r| delete::handle(&self.deletes, r)).await,
            ("GET", _, "changes") => http::respond(request(), &|r| records::handle(&self.records, r)).await,
            ("GET", path, _) if path.contains("/records/") => {
                http::respond(request(), &|r| records::handle(&self.records, r)).await
            }
            _ => http::respond(request(), &|r| accounts::handle(&self.accounts, r)).await,
        };
        let status = answer.status().as_u16();
        let text = match answer.body() {
            Body::Text(text) => text.clone(),
            _ => String::new(),
        };
        self.holds_no_secret(route, &text).await;
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), text, retry_after }
    }

    /// No answer holds an account token or an origin id; a link token only where it was asked for.
    async fn holds_no_secret(&self, route: &str, text: &str) {
        for account in self.merge_accounts().await {
            for name in ["account_token", "end_user_origin_id"] {
                let secret = account[name].as_str().unwrap();
                assert!(!text.contains(secret), "{route} shows {name}: {text}");
            }
        }
    }

    /// The answer to a request for a link token: its id and the token.
    pub async fn link_token(&self, organization: &str, category: &str) -> (String, String) {
        let answer = self.ask(organization, "POST /v1/link-tokens", json!({ "category": category })).await.expect(201);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("id"), text("link_token"))
    }

    /// What the dialog gives the page once somebody has finished it.
    pub async fn dialog(&self, link_token: &str, credentials: &str) -> String {
        let attempt = json!({
            "link_token": link_token, "integration_slug": "bamboohr", "outcome": "success",
            "credentials": { "api_key": credentials },
        });
        let answer = self.control("POST", "/_sandbox/link", attempt).await;
        answer["public_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub async fn exchange(&self, organization: &str, public_token: &str) -> Answer {
        let body = json!({ "public_token": public_token, "category": "hris" });
        self.ask(organization, "POST /v1/linked-accounts", body).await
    }

    /// Connects an HR system, and answers the id of the account.
    pub async fn connect(&self, organization: &str, credentials: &str) -> String {
        let (id, link_token) = self.link_token(organization, "hris").await;
        let public_token = self.dialog(&link_token, credentials).await;
        let account = self.exchange(organization, &public_token).await.expect(201);
        assert_eq!(account["id"], json!(id));
        id
    }

    /// The ids and statuses that the list shows.
    pub async fn list(&self, organization: &str) -> Vec<(String, String)> {
        let list = self.ask(organization, "GET /v1/linked-accounts", Value::Null).await.expect(200);
        let text = |account: &Value, name: &str| account[name].as_str().unwrap().to_owned();
        let results = list["results"].as_array().unwrap().iter();
        results.map(|account| (text(account, "id"), text(account, "status"))).collect()
    }

    /// The stored account of Acme.
    pub async fn account(&self, id: &str) -> LinkedAccount {
        self.linking.store.account(&org("acme"), account_id(id)).await.unwrap().unwrap()
    }

    /// Changes the stored account of Acme.
    pub async fn change(&self, id: &str, change: impl Fn(&mut LinkedAccount)) {
        let changed = |account: &mut LinkedAccount| {
            change(account);
            Change::Write
        };
        self.linking.store.change_account(&org("acme"), account_id(id), changed).await.unwrap().unwrap();
    }

    /// Merge's accounts as its own control API shows them.
    pub async fn merge_accounts(&self) -> Vec<Value> {
        let state = self.control("GET", "/_sandbox/state", Value::Null).await;
        state["accounts"].as_array().unwrap().clone()
    }

    /// Calls to Merge so far, of routes that contain `part`.
    pub async fn calls(&self, part: &str) -> u64 {
        let state = self.control("GET", "/_sandbox/state", Value::Null).await;
        let requests = state["requests"].as_object().unwrap().iter();
        requests.filter(|(route, _)| route.contains(part)).map(|(_, count)| count.as_u64().unwrap()).sum()
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.browser.request(method.parse().unwrap(), format!("{}{path}", self.sandbox));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A token as the webhook function would queue it.
    pub async fn webhook_token(&self, merge_id: &MergeLinkedAccountId, token: &str) -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let context = TokenContext::Webhook { merge_id };
        let ciphertext = self.linking.tokens.encrypt(&AccountToken::new(token), context).await.unwrap();
        BASE64_STANDARD.encode(ciphertext)
    }

    /// Sort keys of every row of the Accounts table under one partition key.
    pub async fn rows(&self, pk: &str) -> Vec<String> {
        self.items(pk).await.iter().map(|item| item["sk"].as_s().unwrap().clone()).collect()
    }

    /// Every row of the Accounts table under one partition key.
    pub async fn items(&self, pk: &str) -> Vec<HashMap<String, AttributeValue>> {
        let query = self.database.query().table_name("tether-local-AccountsTable");
        let query = query.key_condition_expression("pk = :pk");
        let pk = AttributeValue::S(pk.to_owned());
        query.expression_attribute_values(":pk", pk).send().await.unwrap().items.unwrap_or_default()
    }
}

/// Runs a test. All share one runtime, because the process's HTTP client, which the handlers share as well, belongs to
/// the runtime that first used it.
pub fn run(test: impl Future<Output = ()>) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(test);
}

pub fn org(name: &str) -> OrganizationId {
    OrganizationId::parse(name).unwrap()
}

pub fn account_id(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn template() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/template.yaml")
}

fn inputs(endpoint: &str) -> Inputs {
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Inputs {
        stack_name: "tether-local".into(),
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
        aws_endpoint: endpoint.to_owned(),
        api_endpoint: "http://127.0.0.1:1".into(),
        function_url: "http://127.0.0.1:2/".into(),
        parameters: BTreeMap::from([
            text("MergeApiKey", "dev-api-key"),
            text("WebhookKeys", r#"["dev-webhook-key"]"#),
            text("OidcIssuer", "http://127.0.0.1:3"),
            text("OidcAudience", "tether-local"),
            text("OidcClientId", "tether-page"),
        ]),
    }
}

async fn sdk(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .load()
        .await
}

/// What API Gateway makes of a request.
fn event(organization: &str, scopes: &str, route: &str, body: &Value, labels: bool) -> Request {
    let (method, url) = route.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut segments = path.split('/').skip(3);
    let id = segments.next().filter(|_| path.starts_with("/v1/linked-accounts/"));
    let model = segments.nth(1).filter(|_| path.contains("/records/"));
    let parameters: BTreeMap<&str, &str> =
        [("id", id), ("model", model)].into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": {},
        "pathParameters": parameters,
        "requestContext": {
            "accountId": "1", "apiId": "a", "stage": "$default", "requestId": "request", "routeKey": "$default",
            "timeEpoch": 0,
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1" },
            "authorizer": { "jwt": { "scopes": [], "claims": {
                "sub": format!("{organization}-user"), "org_id": organization, "scope": scopes,
                "email": if labels { "admin@example.com" } else { "" }, "org_name": if labels { "Example" } else { "" },
            }}},
        },
        "body": body, "isBase64Encoded": false,
    });
    lambda_http::request::from_str(&event.to_string()).unwrap()
}
