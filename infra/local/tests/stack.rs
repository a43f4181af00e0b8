//! The whole stack from the real template, with the test function in place of every function.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use local_stack::deployment::Deployment;
use local_stack::ports::Ports;
use local_stack::{Leftovers, Options, Stack, StartError};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{client, eventually, is_alive};

const BINARIES: [&str; 11] = [
    "link-token",
    "exchange",
    "relink",
    "delete",
    "accounts",
    "integrations",
    "records",
    "page",
    "webhook",
    "sync-worker",
    "poller",
];

fn options() -> Options {
    let echo = PathBuf::from(env!("CARGO_BIN_EXE_echo-function"));
    Options {
        template: Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml"),
        functions: BINARIES.iter().map(|binary| ((*binary).to_owned(), echo.clone())).collect(),
        employees: 10,
        schedule: false,
        ..Options::default()
    }
}

async fn stack() -> Stack {
    Stack::start(options()).await.expect("the stack starts")
}

/// An access token of `org_acme`, with the default scopes unless named.
async fn token(stack: &Stack, scope: &str) -> String {
    let form =
        [("grant_type", "client_credentials"), ("client_id", "org_acme"), ("client_secret", "dev"), ("scope", scope)];
    let answer = client().post(&stack.ready().token).form(&form).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn text(response: reqwest::Response) -> (StatusCode, String) {
    (response.status(), response.text().await.expect("text"))
}

#[tokio::test]
async fn everything_answers_where_the_ready_file_says() {
    let stack = stack().await;
    let ready = stack.ready();
    let base = ready.port_base;
    let json = serde_json::to_value(ready).expect("JSON");
    let expected = json!({
        "version": 1, "pid": std::process::id(), "port_base": base,
        "page": format!("http://127.0.0.1:{base}/"), "api": format!("http://127.0.0.1:{base}"),
        "webhook": format!("http://127.0.0.1:{}/", base + 1),
        "merge": format!("http://127.0.0.1:{}/api", base + 2),
        "sandbox": format!("http://127.0.0.1:{}/_sandbox", base + 2),
        "aws": format!("http://127.0.0.1:{}", base + 3),
        "issuer": format!("http://127.0.0.1:{}", base + 4), "token": format!("http://127.0.0.1:{}/token", base + 4),
        "runtime": format!("http://127.0.0.1:{}", base + 5),
        "region": "us-east-1",
        "tables": {"accounts": ready.tables["accounts"], "records": ready.tables["records"]},
        "queue_url": ready.queue_url, "dlq_url": ready.dlq_url, "data_dir": null,
    });
    assert_eq!(json, expected);
    assert!(!ready.tables["accounts"].is_empty() && !ready.tables["records"].is_empty());
    assert!(ready.queue_url.starts_with(&ready.aws) && ready.queue_url.ends_with(".fifo"));
    assert!(ready.dlq_url.starts_with(&ready.aws));
    assert_eq!(stack.stop().await, Leftovers::default());
}

#[tokio::test]
async fn the_http_api_makes_events_of_format_2() {
    let stack = stack().await;
    let token = token(&stack, "").await;
    let url = format!("{}/v1/linked-accounts/a%40b/records/hris.Employee?limit=2&x=1&x=2%20y", stack.ready().api);
    let request = client()
        .get(url)
        .bearer_auth(&token)
        .header("X-Twice", "a")
        .header("x-twice", "b")
        .header("cookie", "c=1; d=2");
    let (status, body) = text(request.send().await.expect("an answer")).await;
    assert_eq!(status, StatusCode::OK);
    let event = serde_json::from_str::<Value>(&body).expect("JSON")["event"].clone();
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "GET /v1/linked-accounts/{id}/records/{model}");
    assert_eq!(event["rawPath"], "/v1/linked-accounts/a@b/records/hris.Employee");
    assert_eq!(event["rawQueryString"], "limit=2&x=1&x=2%20y");
    assert_eq!(event["queryStringParameters"], json!({"limit": "2", "x": "1,2 y"}));
    assert_eq!(event["pathParameters"], json!({"id": "a@b", "model": "hris.Employee"}));
    assert_eq!(event["cookies"], json!(["c=1", "d=2"]));
    assert_eq!((&event["headers"]["x-twice"], &event["headers"]["cookie"]), (&json!("a,b"), &Value::Null));
    assert_eq!((&event["isBase64Encoded"], &event["body"]), (&json!(false), &Value::Null));
    let context = &event["requestContext"];
    assert_eq!(context["http"]["method"], "GET");
    assert_eq!(context["http"]["sourceIp"], "127.0.0.1");
    assert_eq!((&context["stage"], &context["routeKey"]), (&json!("$default"), &event["routeKey"]));
    let claims = &context["authorizer"]["jwt"]["claims"];
    assert_eq!((&claims["org_id"], &claims["aud"]), (&json!("org_acme"), &json!("tether-local")));
    assert!(claims["exp"].is_string(), "claims are strings");
    assert_eq!(context["authorizer"]["jwt"]["scopes"], json!(["tether/records:read"]));
    stack.stop().await;
}

#[tokio::test]
async fn the_http_api_has_error_bodies_of_its_own() {
    let stack = stack().await;
    let api = stack.ready().api.clone();
    let (data, act) = (token(&stack, "").await, token(&stack, "tether/organizations:act").await);
    let check = async |method: Method, path: &str, token: Option<&str>, expected: (u16, &str)| {
        let mut request = client().request(method, format!("{api}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let (status, body) = text(request.send().await.expect("an answer")).await;
        let expected = (expected.0, json!({"message": expected.1}).to_string());
        assert_eq!((status.as_u16(), body), expected, "{path}");
    };
    check(Method::GET, "/v1/nothing", Some(&data), (404, "Not Found")).await;
    check(Method::PUT, "/v1/linked-accounts", Some(&data), (404, "Not Found")).await;
    check(Method::OPTIONS, "/v1/linked-accounts", Some(&data), (404, "Not Found")).await;
    check(Method::GET, "/v1/linked-accounts", None, (401, "Unauthorized")).await;
    check(Method::GET, "/v1/linked-accounts", Some("a.b.c"), (401, "Unauthorized")).await;
    check(Method::GET, "/v1/linked-accounts", Some(&act), (403, "Forbidden")).await;
    check(Method::GET, "/assets/%ff", None, (400, "Bad Request")).await;

    // The test function fails on a body that is no JSON event, and answers what it is told to.
    let large =
        client().post(format!("{api}/v1/link-tokens")).bearer_auth(&data).body("x".repeat(10 * 1024 * 1024 + 1));
    let (status, body) = text(large.send().await.expect("an answer")).await;
    assert_eq!((status.as_u16(), body.as_str()), (413, r#"{"message":"Request Entity Too Large"}"#));
    stack.stop().await;
}

#[tokio::test]
async fn the_function_url_takes_everything_up_to_six_megabytes() {
    let stack = stack().await;
    let url = stack.ready().webhook.clone();
    let post = async |body: Vec<u8>, kind: &str| {
        let request = client().patch(format!("{url}any/pa%20th?q=1")).header("content-type", kind).body(body);
        text(request.send().await.expect("an answer")).await
    };
    let (status, body) = post(br#"{"a": 1}"#.to_vec(), "application/json").await;
    assert_eq!(status, StatusCode::OK);
    let event = serde_json::from_str::<Value>(&body).expect("JSON")["event"].clone();
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(r#"{"a": 1}"#), &json!(false)));
    assert_eq!((&event["routeKey"], &event["rawPath"]), (&json!("$default"), &json!("/any/pa%20th")));
    assert_eq!(event["requestContext"]["authorizer"], Value::Null);

    let (_, body) = post(vec![0xff, 0], "application/json").await;
    let event = serde_json::from_str::<Value>(&body).expect("JSON")["event"].clone();
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));

    let (status, body) = post(vec![b'x'; 6 * 1024 * 1024 + 1], "text/plain").await;
    assert_eq!((status.as_u16(), body.as_str()), (413, r#"{"message":"Request Entity Too Large"}"#));
    stack.stop().await;
}

#[tokio::test]
async fn messages_of_the_templates_queue_reach_the_worker_and_ticks_the_poller() {
    let stack = stack().await;
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .region(aws_sdk_sqs::config::Region::new("us-east-1"))
        .endpoint_url(&stack.ready().aws)
        .credentials_provider(aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test"))
        .build();
    let message = aws_sdk_sqs::Client::from_conf(config).send_message().queue_url(&stack.ready().queue_url);
    let message = message.message_body("{}").message_group_id("g").message_deduplication_id("d");
    message.send().await.expect("sent");
    eventually("the worker got it", || async {
        stack.logs().iter().any(|line| line.function == "sync-worker" && line.line.contains("SyncQueue"))
    })
    .await;
    let at = "2026-11-22T10:00:00Z".parse().expect("a time");
    let ticked = stack.tick(at).await;
    assert_eq!(support::answer(ticked[0].clone())["event"], json!({"scheduled_time": "2026-11-22T10:00:00Z"}));
    eventually("the message is deleted", || async {
        stack.queue_depths().await.values().all(|depth| *depth == local_stack::stack::QueueDepth::default())
    })
    .await;
    let pids: Vec<_> = BINARIES.iter().flat_map(|binary| stack.processes(binary)).collect();
    assert_eq!(pids.len(), 2);
    assert_eq!(stack.stop().await, Leftovers::default());
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "no process is left");
}

#[tokio::test]
async fn each_function_has_its_own_key_and_the_templates_environment() {
    let mut options = options();
    let extra = BTreeMap::from([("EXTRA".to_owned(), "1".to_owned())]);
    options.environment = BTreeMap::from([("records".to_owned(), extra)]);
    options.speed = 60.0;
    let stack = Stack::start(options).await.expect("the stack starts");
    let environment = async |binary: &str| support::answer(stack.invoke(binary, json!({"do": "environment"})).await);
    let (records, worker) = (environment("records").await, environment("sync-worker").await);
    assert_eq!(records["AWS_ACCESS_KEY_ID"], "local-records");
    assert_eq!(records["AWS_ENDPOINT_URL"], stack.ready().aws);
    assert_eq!(records["RECORDS_TABLE"], stack.ready().tables["records"]);
    assert_eq!((&records["EXTRA"], &worker["EXTRA"]), (&json!("1"), &Value::Null));
    assert_eq!((&records["SCHEDULE_SPEED"], &worker["SCHEDULE_SPEED"]), (&Value::Null, &json!("60")));
    assert_eq!(worker["MERGE_BASE_URL"], stack.ready().merge);
    assert_ne!(worker["SCHEDULE_ORIGIN"], "0");
    stack.stop().await;
}

#[tokio::test]
async fn the_schedule_runs_with_its_speed_and_event_time_advances_a_minute_each_tick() {
    let mut options = options();
    options.schedule = true;
    options.speed = 300.0;
    let print = BTreeMap::from([("PRINT_EVENTS".to_owned(), "1".to_owned())]);
    options.environment = BTreeMap::from([("poller".to_owned(), print)]);
    let stack = Stack::start(options).await.expect("the stack starts");
    let ticks = || {
        let lines = stack.logs().into_iter().filter(|line| line.function == "poller");
        let events = lines.filter_map(|line| serde_json::from_str::<Value>(&line.line).ok());
        let mut times: Vec<Timestamp> =
            events.filter_map(|event| event["scheduled_time"].as_str()?.parse().ok()).collect();
        times.sort_unstable();
        times
    };
    eventually("five ticks in about a second", || async { ticks().len() >= 5 }).await;
    for pair in ticks().windows(2) {
        let seconds = pair[1].duration_since(pair[0]).as_secs();
        assert!(seconds >= 60 && seconds % 60 == 0, "{pair:?}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_one_sentence() {
    let sentence = async |options: Options| match Stack::start(options).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    let mut missing = options();
    missing.functions.remove("webhook");
    assert_eq!(
        sentence(missing).await,
        "the template's function WebhookFunction runs the binary `webhook`, which was not built"
    );

    let running = stack().await;
    let mut taken = options();
    taken.port_base = Some(running.ready().port_base - 2);
    let text = sentence(taken).await;
    let expected = format!("port {} (Merge sandbox) is already in use", running.ready().port_base);
    assert!(text.starts_with(&expected), "{text}");
    running.stop().await;

    let mut absent = options();
    absent.template = "/nonexistent/template.yaml".into();
    assert!(sentence(absent).await.contains("/nonexistent/template.yaml"));
    let mut slow = options();
    slow.speed = 0.0;
    assert!(matches!(Stack::start(slow).await, Err(StartError::Speed(_))));
}

#[tokio::test]
async fn the_deployment_knows_every_function_of_the_template() {
    let stack = stack().await;
    let Deployment { functions, .. } = stack.deployment();
    let mut binaries: Vec<_> = functions.iter().map(|function| function.binary.as_str()).collect();
    binaries.sort_unstable();
    let mut expected = BINARIES;
    expected.sort_unstable();
    assert_eq!(binaries, expected);
    stack.stop().await;
}

/// Restarts on the same data and the same ports, as a person would.
#[tokio::test]
async fn a_data_directory_survives_a_restart() {
    let directory = std::env::temp_dir().join(format!("tether-stack-{}", uuid::Uuid::new_v4()));
    let mut options = options();
    options.data_dir = Some(directory.clone());
    let first = Stack::start(options.clone()).await.expect("the stack starts");
    options.port_base = Some(first.ready().port_base);
    let token = token(&first, "").await;
    let key = json!({"S": "ORG#persisted"});
    let put = json!({"TableName": first.ready().tables["accounts"], "Item": {"pk": key, "sk": key}});
    dynamodb(&first, "PutItem", &put).await;
    link(&first).await;
    let accounts = sandbox_accounts(&first).await;
    assert_eq!(accounts.as_array().map(Vec::len), Some(1));
    assert_eq!(first.stop().await, Leftovers::default());

    // A process that another test starts holds copies of all listeners until it runs its own program.
    eventually("the ports are free again", async || Ports::bind(options.port_base).await.is_ok()).await;
    let second = Stack::start(options).await.expect("it starts again");
    let get = json!({"TableName": second.ready().tables["accounts"], "Key": {"pk": key, "sk": key}});
    assert_eq!(dynamodb(&second, "GetItem", &get).await["Item"]["pk"], key);
    let names = |accounts: &Value| accounts[0]["end_user_origin_id"].clone();
    assert_eq!(names(&sandbox_accounts(&second).await), names(&accounts));
    let url = format!("{}/v1/linked-accounts", second.ready().api);
    let answer = client().get(url).bearer_auth(token).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK, "the earlier token is still good");
    second.stop().await;
    std::fs::remove_dir_all(directory).expect("cleaned up");
}

async fn dynamodb(stack: &Stack, action: &str, input: &Value) -> Value {
    let request = client().post(&stack.ready().aws).header("content-type", "application/x-amz-json-1.0");
    let request = request.header("x-amz-target", format!("DynamoDB_20120810.{action}")).header(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
    );
    let answer = request.body(input.to_string()).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.expect("JSON")
}

/// Connects an account at the sandbox without any function of ours.
async fn link(stack: &Stack) {
    let asked = json!({
        "end_user_email_address": "a@b.example", "end_user_organization_name": "B", "end_user_origin_id": "persisted",
        "categories": ["hris"],
    });
    let request = client().post(format!("{}/hris/v1/link-token", stack.ready().merge)).bearer_auth("dev-api-key");
    let answer: Value = request.json(&asked).send().await.expect("an answer").json().await.expect("JSON");
    let linked = json!({"link_token": answer["link_token"], "integration_slug": "bamboohr", "outcome": "success"});
    let request = client().post(format!("{}/link", stack.ready().sandbox)).json(&linked);
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
}

async fn sandbox_accounts(stack: &Stack) -> Value {
    let answer = client().get(format!("{}/state", stack.ready().sandbox)).send().await.expect("an answer");
    answer.json::<Value>().await.expect("JSON")["accounts"].clone()
}
