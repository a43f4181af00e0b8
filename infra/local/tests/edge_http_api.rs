//! The HTTP API's answers: what a function's answer becomes, and what a failing function looks like.

mod support;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_stack::deployment::Route;
use local_stack::edge::route::Routes;
use local_stack::edge::{FunctionUrl, HttpApi, HttpApiOptions};
use local_stack::lambda::Host;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use support::{ACCOUNT, client, echo, host, listener, url};

struct Api {
    url: String,
    http: Client,
    host: Host,
    _api: HttpApi,
}

/// An API that waits for its functions as long as a busy machine needs.
async fn api() -> Api {
    api_waiting(Duration::from_secs(25)).await
}

async fn api_waiting(integration_timeout: Duration) -> Api {
    let (host, _) = host(vec![echo(Duration::from_secs(30))]).await;
    let route = Route { method: "POST".into(), path: "/do".into(), function: "F".into(), ..Default::default() };
    let protected = Route { path: "/protected".into(), jwt: true, ..route.clone() };
    let binaries = [("F".to_owned(), "echo".to_owned())].into();
    let listener = listener().await;
    let url = url(&listener);
    let api = HttpApi::start(
        listener,
        HttpApiOptions {
            routes: Routes::new(&[route, protected], &binaries),
            authorizer: None,
            cors_origins: vec!["https://app.example".to_owned()],
            account_id: ACCOUNT.to_owned(),
            integration_timeout,
            host: host.clone(),
        },
    );
    Api { url, http: client(), host, _api: api }
}

impl Api {
    async fn post(&self, event: Value) -> Response {
        let request = self.http.post(format!("{}/do", self.url)).header("content-type", "application/json");
        request.body(event.to_string()).send().await.expect("an answer")
    }

    async fn answer(&self, answer: Value) -> Response {
        self.post(json!({"do": "answer", "answer": answer})).await
    }
}

async fn check(response: Response, status: u16, body: &str) {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.text().await.expect("text"), body);
}

const INTERNAL: &str = r#"{"message":"Internal Server Error"}"#;

#[tokio::test]
async fn an_answer_becomes_a_response() {
    let api = api().await;
    let answer = json!({
        "statusCode": 201,
        "headers": {"content-type": "application/problem+json", "x-number": 7},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": "{}",
    });
    let response = api.answer(answer).await;
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["x-number"], "7");
    let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2"]);
    assert!(headers.contains_key("apigw-requestid"));
    check(response, 201, "{}").await;

    let bytes = [0_u8, 159, 146, 150];
    let response =
        api.answer(json!({"statusCode": 200, "isBase64Encoded": true, "body": STANDARD.encode(bytes)})).await;
    assert_eq!(response.bytes().await.expect("bytes").as_ref(), bytes);
    check(api.answer(json!({"statusCode": 204})).await, 204, "").await;
}

#[tokio::test]
async fn an_answer_without_a_status_is_the_body_of_a_200() {
    let api = api().await;
    let response = api.answer(json!({"hello": "there"})).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    check(response, 200, r#"{"hello":"there"}"#).await;
    check(api.answer(json!("text")).await, 200, "text").await;
}

#[tokio::test]
async fn malformed_answers_and_failing_functions_are_500() {
    let api = api().await;
    for answer in [
        json!({"statusCode": "many"}),
        json!({"statusCode": 99_999}),
        json!({"statusCode": 200, "headers": {"bad name": "x"}}),
        json!({"statusCode": 200, "isBase64Encoded": true, "body": "%"}),
    ] {
        check(api.answer(answer).await, 500, INTERNAL).await;
    }
    for event in [json!({"do": "fail"}), json!({"do": "panic"}), json!({"do": "exit"})] {
        check(api.post(event).await, 500, INTERNAL).await;
    }
    check(api.post(json!({"do": "large", "bytes": 6_300_000})).await, 500, INTERNAL).await;
}

#[tokio::test]
async fn a_slow_function_is_a_503() {
    let api = api_waiting(Duration::from_millis(700)).await;
    check(api.post(json!({"do": "sleep", "ms": 60_000})).await, 503, r#"{"message":"Service Unavailable"}"#).await;
}

#[tokio::test]
async fn a_protected_route_without_an_authorizer_is_closed() {
    let api = api().await;
    let answer = api.http.post(format!("{}/protected", api.url)).bearer_auth("x").send().await.expect("an answer");
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    check(answer, 401, r#"{"message":"Unauthorized"}"#).await;
    assert!(api.host.processes("echo").is_empty(), "no function ran");
}

#[tokio::test]
async fn only_named_origins_may_read_answers() {
    let api = api().await;
    let ask = async |origin: &str| {
        let request = api.http.request(reqwest::Method::OPTIONS, format!("{}/do", api.url)).header("origin", origin);
        request.header("access-control-request-method", "POST").send().await.expect("an answer")
    };
    let named = ask("https://app.example").await;
    assert_eq!(named.status().as_u16(), 204);
    assert_eq!(named.headers()["access-control-allow-origin"], "https://app.example");
    assert!(!ask("https://evil.example").await.headers().contains_key("access-control-allow-origin"));
    let plain = api.http.post(format!("{}/do", api.url)).header("origin", "https://app.example").body("{}");
    let plain = plain.send().await.expect("an answer");
    assert_eq!(plain.headers()["access-control-allow-origin"], "https://app.example");
}

#[tokio::test]
async fn a_failing_function_behind_a_function_url_is_a_502() {
    let (host, _) = host(vec![echo(Duration::from_secs(5))]).await;
    let listener = listener().await;
    let url = url(&listener);
    let _function_url = FunctionUrl::start(listener, host, "echo".to_owned());
    let post = async |event: Value| {
        let request = client().post(&url).header("content-type", "application/json").body(event.to_string());
        request.send().await.expect("an answer")
    };
    check(post(json!({"do": "answer", "answer": {"statusCode": 200, "body": "ok"}})).await, 200, "ok").await;
    for event in [json!({"do": "exit"}), json!({"do": "fail"}), json!({"do": "sleep", "ms": 60_000})] {
        check(post(event).await, 502, "Internal Server Error").await;
    }
}
