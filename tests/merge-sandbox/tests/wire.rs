//! The sandbox behind a real listener: webhooks that arrive, bodies that break off, state that survives.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use merge_sandbox::{Options, Sandbox, webhook};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// One webhook as it arrived.
struct Arrival {
    at: Instant,
    signature: String,
    body: Bytes,
}

/// Someone who listens for webhooks and answers with the statuses given, then with 200.
struct Listener {
    url: String,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

type Plan = (mpsc::UnboundedSender<Arrival>, Arc<Mutex<Vec<u16>>>);

impl Listener {
    async fn start(mut answers: Vec<u16>) -> Listener {
        answers.reverse();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", socket.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state((sender, Arc::new(Mutex::new(answers))));
        tokio::spawn(async move { axum::serve(socket, router).await });
        Listener { url, arrivals }
    }

    /// The next webhook; fails after ten seconds without one.
    async fn next(&mut self) -> Arrival {
        tokio::time::timeout(Duration::from_secs(10), self.arrivals.recv()).await.unwrap().unwrap()
    }
}

async fn receive(State((sender, answers)): State<Plan>, request: Request) -> StatusCode {
    let signature = request.headers()["x-merge-webhook-signature"].to_str().unwrap().to_owned();
    assert_eq!(request.headers()["content-type"], "application/json");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let arrival = Arrival { at: Instant::now(), signature, body };
    if sender.send(arrival).is_err() {
        return StatusCode::GONE;
    }
    let answer = answers.lock().unwrap().pop().unwrap_or(200);
    StatusCode::from_u16(answer).unwrap()
}

struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Caller {
    fn new(sandbox: &Sandbox) -> Caller {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Caller { client, base: format!("http://{}", sandbox.address()) }
    }

    /// Status, headers, and the body if it came whole.
    async fn send(&self, method: &str, path: &str, token: &str, body: Value) -> (StatusCode, HeaderMap, Option<Bytes>) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", "Bearer dev-api-key")
            .header("X-Account-Token", token)
            .body(Full::new(body))
            .unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.ok().map(|body| body.to_bytes());
        (parts.status, parts.headers, body)
    }

    async fn text(&self, method: &str, path: &str, token: &str, body: Value) -> String {
        let (_, _, body) = self.send(method, path, token, body).await;
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    }

    async fn json(&self, method: &str, path: &str, token: &str, body: Value) -> Value {
        serde_json::from_str(&self.text(method, path, token, body).await).unwrap()
    }

    /// Links an HRIS account; (id, token).
    async fn link(&self) -> (String, String) {
        let body = json!({"end_user_email_address": "a@b.c", "end_user_organization_name": "Acme",
            "end_user_origin_id": "one", "categories": ["hris"]});
        let token = self.json("POST", "/api/hris/v1/link-token", "", body).await;
        let attempt = json!({"link_token": token["link_token"], "integration_slug": "hibob", "outcome": "success"});
        let linked = self.json("POST", "/_sandbox/link", "", attempt).await;
        let path = format!("/api/hris/v1/account-token/{}", linked["public_token"].as_str().unwrap());
        let account = self.json("GET", &path, "", Value::Null).await;
        (account["id"].as_str().unwrap().to_owned(), account["account_token"].as_str().unwrap().to_owned())
    }
}

fn fast() -> Options {
    Options { employees: 10, speed: 100.0, ..Options::default() }
}

#[tokio::test]
async fn webhooks_arrive_signed_over_the_bytes_that_were_sent() {
    let mut listener = Listener::start(vec![]).await;
    let sandbox = Sandbox::start(Options { webhook_url: Some(listener.url.clone()), ..fast() }).await.unwrap();
    let (id, token) = Caller::new(&sandbox).link().await;
    let mut events = Vec::new();
    while events.len() < 18 {
        let arrival = listener.next().await;
        assert!(arrival.signature.len() == 44 && arrival.signature.ends_with('='));
        assert!(webhook::verify("dev-webhook-key", &arrival.body, &arrival.signature));
        let body: Value = serde_json::from_slice(&arrival.body).unwrap();
        assert_eq!(body["linked_account"]["id"], json!(id));
        if body["hook"]["event"] == "LinkedAccount.linked" {
            assert_eq!(body["data"]["account_token"], json!(token));
        }
        events.push(body["hook"]["event"].as_str().unwrap().to_owned());
    }
    for event in ["LinkedAccount.linked", "Employee.synced", "LinkedAccount.sync_completed"] {
        assert_eq!(events.iter().filter(|name| *name == event).count(), 1, "{event} of {events:?}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_5xx_is_tried_again_after_one_and_two_seconds_and_a_4xx_never() {
    let mut listener = Listener::start(vec![500, 503]).await;
    let sandbox = Sandbox::start(Options { webhook_url: Some(listener.url.clone()), ..fast() }).await.unwrap();
    let caller = Caller::new(&sandbox);
    caller.text("POST", "/_sandbox/webhooks/ping", "", json!({})).await;
    let (first, second, third) = (listener.next().await, listener.next().await, listener.next().await);
    assert_eq!((&first.body, &second.body), (&second.body, &third.body));
    assert!(serde_json::from_slice::<Value>(&first.body).unwrap().get("hook").is_none());
    assert!(second.at - first.at >= Duration::from_millis(950), "{:?}", second.at - first.at);
    assert!(third.at - second.at >= Duration::from_millis(1_950), "{:?}", third.at - second.at);

    let mut refusing = Listener::start(vec![400]).await;
    sandbox.set_webhook_url(Some(refusing.url.clone()));
    caller.text("POST", "/_sandbox/webhooks/ping", "", json!({})).await;
    let refused = refusing.next().await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let state = caller.json("GET", "/_sandbox/state", "", Value::Null).await;
        if state["webhooks"] == json!({"sent": 4, "delivered": 1, "failed": 1, "dropped": 0}) {
            break;
        }
        assert!(Instant::now() < deadline, "{}", state["webhooks"]);
        tokio::task::yield_now().await;
    }
    let replayed = caller.json("POST", "/_sandbox/webhooks/replay", "", json!({"event": "ping"})).await;
    assert_eq!(replayed["replayed"], 2);
    // Were the refused one tried again, it would come before or among these.
    assert_eq!((refusing.next().await.body, refusing.next().await.body), (refused.body.clone(), refused.body));
    assert!(refusing.arrivals.try_recv().is_err());
    sandbox.stop().await;
}

#[tokio::test]
async fn without_webhooks_nothing_is_sent() {
    let mut listener = Listener::start(vec![]).await;
    let options = Options { webhook_url: Some(listener.url.clone()), webhooks: false, ..fast() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let caller = Caller::new(&sandbox);
    let (id, _) = caller.link().await;
    caller.text("POST", &format!("/_sandbox/accounts/{id}/remove"), "", json!({})).await;
    let state = caller.json("GET", "/_sandbox/state", "", Value::Null).await;
    assert_eq!(state["webhooks"], json!({"sent": 0, "delivered": 0, "failed": 0, "dropped": 0}));
    assert!(listener.arrivals.try_recv().is_err());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_truncated_body_breaks_off() {
    let sandbox = Sandbox::start(fast()).await.unwrap();
    let caller = Caller::new(&sandbox);
    let (_, token) = caller.link().await;
    let fault = json!({"route": "GET *sync-status", "truncate": true, "times": 1});
    caller.text("POST", "/_sandbox/faults", "", fault).await;
    let path = "/api/hris/v1/sync-status";
    let (status, _, body) = caller.send("GET", path, &token, Value::Null).await;
    assert_eq!((status, body), (StatusCode::OK, None));
    assert!(caller.send("GET", path, &token, Value::Null).await.2.is_some());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_429_says_how_long_to_wait() {
    let sandbox = Sandbox::start(fast()).await.unwrap();
    let caller = Caller::new(&sandbox);
    let (_, token) = caller.link().await;
    caller.text("POST", "/_sandbox/settings", "", json!({"plan_limit": 1})).await;
    let path = "/api/hris/v1/sync-status";
    assert_eq!(caller.send("GET", path, &token, Value::Null).await.0, StatusCode::OK);
    let (status, headers, _) = caller.send("GET", path, &token, Value::Null).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    sandbox.stop().await;
}

#[tokio::test]
async fn accounts_tokens_records_and_settings_survive_a_restart() {
    let folder = std::env::temp_dir().join(format!("merge-sandbox-test-{}", std::process::id()));
    let options = || Options { data_dir: Some(folder.clone()), ..fast() };
    let sandbox = Sandbox::start(options()).await.unwrap();
    let caller = Caller::new(&sandbox);
    let (id, token) = caller.link().await;
    let path = format!("/_sandbox/accounts/{id}/records/hris.Employee");
    let deadline = Instant::now() + Duration::from_secs(10);
    while caller.text("GET", "/_sandbox/state", "", Value::Null).await.contains("SYNCING") {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    let mutate = json!({"model_id": "hris.Employee", "count": 4});
    caller.text("POST", &format!("/_sandbox/accounts/{id}/mutate"), "", mutate).await;
    caller.text("POST", "/_sandbox/settings", "", json!({"max_page_size": 3})).await;
    let records = caller.text("GET", &path, "", Value::Null).await;
    sandbox.stop().await;

    let sandbox = Sandbox::start(options()).await.unwrap();
    let caller = Caller::new(&sandbox);
    let page = caller.json("GET", "/api/hris/v1/employees", &token, Value::Null).await;
    assert_eq!(page["results"].as_array().unwrap().len(), 3);
    assert_eq!(caller.text("GET", &path, "", Value::Null).await, records);
    // Changes that were waiting for a sync still do.
    let start = format!("/_sandbox/accounts/{id}/start-sync");
    caller.text("POST", &start, "", json!({"duration_ms": 10})).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let differing = |now: &str| records.lines().zip(now.lines()).filter(|(old, new)| old != new).count();
    while differing(&caller.text("GET", &path, "", Value::Null).await) != 4 {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    sandbox.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn browsers_may_load_the_script_and_call_the_dialogs_routes_from_another_origin() {
    let sandbox = Sandbox::start(fast()).await.unwrap();
    let caller = Caller::new(&sandbox);
    let (status, headers, body) = caller.send("GET", "/initialize.js", "", Value::Null).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/javascript; charset=utf-8"));
    assert!(String::from_utf8(body.unwrap().to_vec()).unwrap().contains("window.MergeLink"));
    let (_, headers, _) = caller.send("GET", "/_sandbox/state", "", Value::Null).await;
    assert!(!headers.contains_key("access-control-allow-origin"), "the control API shows tokens");
    let (status, headers, _) = caller.send("OPTIONS", "/api/integrations/link/x/linked-account", "", Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers["access-control-allow-headers"], "content-type");
    assert_eq!(headers["access-control-allow-origin"], "*");
    let catalogue = caller.json("GET", "/api/integrations", "", Value::Null).await;
    for item in catalogue.as_array().unwrap() {
        for image in ["image", "square_image"] {
            let path = item[image].as_str().unwrap().strip_prefix(&caller.base).unwrap();
            let (status, headers, body) = caller.send("GET", path, "", Value::Null).await;
            assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "image/svg+xml"));
            assert!(body.unwrap().starts_with(b"<svg"));
        }
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_sentence() {
    let sandbox = Sandbox::start(fast()).await.unwrap();
    let open = Sandbox::start(Options { listen: "0.0.0.0:0".parse().unwrap(), ..fast() }).await.err().unwrap();
    assert!(open.to_string().contains("loopback"), "{open}");
    let error = Sandbox::start(Options { listen: sandbox.address(), ..fast() }).await.err().unwrap();
    let expected = format!("the Merge sandbox cannot listen on {}: ", sandbox.address());
    assert!(error.to_string().starts_with(&expected), "{error}");
    sandbox.stop().await;
}
