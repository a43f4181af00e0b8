//! Targets: what the fuzzer feeds to each parser that reads what others write, and what must hold of the outcome.
//! Shared by the fuzzer and by the test that replays its corpora.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use shared::api::cursor;
use shared::config::{self, Identity};
use shared::domain::category::Category;
use shared::domain::endpoint::Endpoint;
use shared::domain::ids::MergeLinkedAccountId;
use shared::domain::message::Message;
use shared::domain::origin::{EndUserOriginId, OriginIdStrategy};
use shared::domain::secret::{AccountToken, ApiKey, WebhookKey};
use shared::http::{Caller, Scope};
use shared::merge::{Cursor, Limits, MergeClient, PageRequest, Transport, TransportError, signature, webhook};
use tokio::runtime::{Builder, Runtime};

/// What is done with an input.
type Target = fn(&[u8]);

/// Every target, under the name of its corpus.
pub const TARGETS: [(&str, Target); 7] = [
    ("signature", signature_header),
    ("webhook", webhook_body),
    ("cursor", api_cursor),
    ("merge_answer", merge_answer),
    ("claims", token_claims),
    ("origin_id", origin_id),
    ("message", queue_message),
];

/// The lines of an input, as many as wanted; what is missing is empty.
fn lines<const N: usize>(data: &[u8]) -> [String; N] {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(N, '\n').map(str::to_owned);
    std::array::from_fn(|_| lines.next().unwrap_or_default())
}

/// A header and a body: only the very signature of the body is one.
fn signature_header(data: &[u8]) {
    let key = WebhookKey::new("key");
    let [header, body] = lines(data);
    let genuine = signature::sign(body.as_bytes(), &key);
    let verified = signature::verify(&header, body.as_bytes(), std::slice::from_ref(&key)).is_some();
    assert_eq!(verified, header == genuine || header == genuine.trim_end_matches('='));
    assert!(signature::is_well_formed(&header) || !verified);
    // And one character further.
    let (at, other) = (data.len() % 43, data.first().copied().unwrap_or(b'A') & 0x7f);
    let mut changed = genuine.clone().into_bytes();
    changed[at] = other;
    let changed = String::from_utf8(changed).expect("ASCII");
    let verified = signature::verify(&changed, body.as_bytes(), &[key]).is_some();
    assert_eq!(verified, changed == genuine);
}

/// A body whose signature held: it is read or ignored, and what is read shows no token.
fn webhook_body(data: &[u8]) {
    webhook::is_of_test_account(data);
    let Ok(delivery) = webhook::parse(data) else { return };
    assert!(delivery.event.len() <= 256, "names are capped");
    let token = serde_json::from_slice::<Value>(data).ok().and_then(|mut body| {
        let token = body.pointer_mut("/data/account_token")?.take().as_str()?.to_owned();
        // A short one is part of many words, and what stands elsewhere too is no secret.
        (token.len() >= 12 && !format!("{body:?}").contains(&token)).then_some(token)
    });
    let shown = format!("{delivery:?}");
    assert!(token.is_none_or(|token| !shown.contains(&token)), "{shown}");
}

/// A cursor as text, and one that holds anything at all.
fn api_cursor(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    for cursor in [text.clone(), BASE64.encode(data)] {
        if let Ok(position) = cursor::decode::<Value>(&["org", "records"], &cursor) {
            assert!(cursor::decode::<Value>(&["other", "records"], &cursor).is_err(), "bound to its list");
            let again = cursor::encode(&["org", "records"], &position).expect("what was read can be written");
            assert_eq!(cursor::decode::<Value>(&["org", "records"], &again).ok(), Some(position));
        }
        let _position: Result<(u8, String), _> = cursor::decode(&["org", "records"], &cursor);
    }
    if cursor::is_a_key(&text).is_ok() {
        assert!((1..=1_000).contains(&text.len()));
    }
    // Merge's cursors: one that leads away is none.
    if let Ok(Some(cursor)) = Cursor::parse(&text) {
        assert!(!cursor.as_str().contains("://") && cursor.as_str().len() <= text.len());
    }
}

/// Answers every call with the same thing.
#[derive(Debug)]
struct Answer(Response<Bytes>);

impl Transport for Answer {
    fn send(&self, _: Request<Bytes>, _: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

const SECRETS: [&str; 2] = ["canary-api-key-1234", "canary-account-token-1234"];

/// `Retry-After`, `X-RateLimit-Reset`, `Date`, status and body of what Merge answers: an error asks for a bounded pause
/// and repeats no secret.
fn merge_answer(data: &[u8]) {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
    let [status, retry_after, reset, date, body] = lines(data);
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = StatusCode::from_bytes(status.as_bytes()).unwrap_or(StatusCode::OK);
    for (name, value) in [("retry-after", retry_after), ("x-ratelimit-reset", reset), ("date", date)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(name, value);
        }
    }
    let client = |answer| {
        MergeClient::over("https://merge.example/api", ApiKey::new(SECRETS[0]), Arc::new(Answer(answer)))
            .expect("a client")
    };
    let token = AccountToken::new(SECRETS[1]);
    let merge_id = MergeLinkedAccountId::parse("5a1ee7c0-0000-4000-8000-000000000001").expect("an id");
    let endpoint = Endpoint::by_slug("hris.employees").expect("an endpoint");
    RUNTIME.block_on(async {
        let checked = |error: Option<shared::merge::MergeError>| {
            let Some(error) = error else { return };
            assert!(error.retry_after().is_none_or(|pause| pause <= Duration::from_secs(3_600)), "{error:?}");
            let shown = format!("{error} {error:?} {:?}", error.merge_detail());
            assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
        };
        let page = client(answer.clone()).records_page(&token, &PageRequest::first(endpoint)).await;
        if let Ok(page) = &page {
            assert!(page.records().all(|record| serde_json::from_str::<&serde_json::value::RawValue>(record).is_ok()));
        }
        checked(page.err());
        checked(client(answer.clone()).sync_status(Category::Hris, &token, None).await.err());
        checked(client(answer.clone()).issues(Category::Hris, &merge_id).await.err());
        checked(client(answer.clone()).account_details(Category::Hris, &token).await.err());
        checked(client(answer).integrations().await.err());
    });
}

/// Subject, organization, scopes and the header, as the authorizer passes them on; and any event at all.
fn token_claims(data: &[u8]) {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| config::load_from(&|_| None).expect("the defaults"));
    if let Ok(request) = lambda_http::request::from_reader(data) {
        let _caller = Caller::of(&request, &IDENTITY);
    }
    let [subject, organization, scopes, header] = lines(data);
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
        "headers": {"tether-organization": header},
        "requestContext": {
            "accountId": "1", "apiId": "a", "stage": "$default", "requestId": "r", "routeKey": "$default", "timeEpoch": 0,
            "http": {"method": "GET", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "authorizer": {"jwt": {"scopes": [], "claims": {
                "sub": subject, "org_id": organization, "scope": scopes, "email": organization, "org_name": subject,
            }}},
        },
        "body": "", "isBase64Encoded": false,
    });
    let Ok(request) = lambda_http::request::from_str(&event.to_string()) else { return };
    let Ok(caller) = Caller::of(&request, &IDENTITY) else { return };
    let named = caller.organization.as_str();
    assert!((1..=128).contains(&named.len()) && named.bytes().all(|b| b.is_ascii_graphic() && b != b'#'));
    let acts = caller.has(Scope::OrganizationsAct) && request.headers().contains_key("tether-organization");
    assert_eq!(named, if acts { header.as_str() } else { organization.trim() });
    for scope in [Scope::LinkedAccountsRead, Scope::LinkedAccountsWrite, Scope::RecordsRead, Scope::OrganizationsAct] {
        assert!(!caller.has(scope) || scopes.contains(&format!("tether/{}", scope.name())));
    }
    let labels = [&caller.email, &caller.organization_name].into_iter().flatten();
    assert!(labels.into_iter().all(|label| label.chars().count() <= 200 && !label.chars().any(char::is_control)));
}

/// An origin id that parses is the one that its parts make: nothing has two spellings.
fn origin_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(parts) = EndUserOriginId::parse(text) else { return };
    let made = match parts.account {
        Some(account) => {
            let strategy = OriginIdStrategy::ManyPerCategory;
            EndUserOriginId::new(strategy, &parts.organization, parts.category, account)
        }
        None => EndUserOriginId::stored(format!("{}_{}", parts.organization, parts.category)),
    };
    assert_eq!(made.as_str(), text);
}

/// A queue body that is read can be written, and is read again as the same.
fn queue_message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(message) = Message::parse(text) else { return };
    let written = serde_json::to_string(&message).expect("what was read can be written");
    assert_eq!(Message::parse(&written).ok(), Some(message.clone()));
    let id = message.deduplication_id();
    assert!((1..=128).contains(&id.as_str().len()), "what SQS takes");
}
