use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use lambda_http::Body;
use lambda_http::request::from_str;
use serde_json::{Value, json};
use shared::domain::secret::ApiKey;
use shared::merge::{Limits, Transport, TransportError};

use super::*;

/// Merge, answering one catalogue of two pages, or nothing at all.
#[derive(Debug, Default)]
struct Script {
    calls: AtomicUsize,
    down: std::sync::atomic::AtomicBool,
}

impl Transport for Script {
    fn send(
        &self,
        request: http::Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let entry =
            |name: &str, category: &str| json!({"name": name, "slug": name, "categories": [category], "image": null});
        let first = !request.uri().query().unwrap_or_default().contains("cursor=");
        let body = if first {
            json!({"next": "cD0y", "results": [entry("a", "hris"), {"name": "no slug"}]})
        } else {
            json!({"next": null, "results": [entry("b", "crm")]})
        };
        let answer = if self.down.load(Ordering::Relaxed) {
            Err(TransportError::Timeout)
        } else {
            Ok(http::Response::new(Bytes::from(body.to_string())))
        };
        Box::pin(async move { answer })
    }
}

fn integrations() -> (Integrations, Arc<Script>) {
    let script = Arc::new(Script::default());
    let merge = MergeClient::over("https://merge.example/api", ApiKey::new("k"), script.clone()).unwrap();
    (Integrations::new(merge), script)
}

fn request(query: &str, claims: Value) -> Request {
    let event = json!({
        "version": "2.0", "routeKey": "GET /v1/integrations", "rawPath": "/v1/integrations", "rawQueryString": query,
        "headers": {}, "isBase64Encoded": false,
        "requestContext": {
            "timeEpoch": 0, "stage": "$default", "http": {"method": "GET", "path": "/v1/integrations"},
            "authorizer": {"jwt": {"claims": claims, "scopes": []}},
        },
    });
    from_str(&event.to_string()).unwrap()
}

async fn listed(integrations: &Integrations, query: &str) -> (Vec<String>, String) {
    let answer = handle(integrations, request(query, json!({"sub": "u"}))).await.unwrap();
    let Body::Text(text) = answer.body() else { panic!("no text") };
    let read: Value = serde_json::from_str(text).unwrap();
    let names = read["results"].as_array().unwrap().iter().map(|entry| entry["slug"].as_str().unwrap().to_owned());
    (names.collect(), read["source"].as_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_is_read_to_its_end_and_kept_for_a_while() {
    let (integrations, script) = integrations();
    assert_eq!(listed(&integrations, "").await, (vec!["a".to_owned(), "b".to_owned()], "live".to_owned()));
    assert_eq!(listed(&integrations, "category=crm").await, (vec!["b".to_owned()], "cached".to_owned()));
    assert_eq!(script.calls.load(Ordering::Relaxed), 2);
    tokio::time::advance(FRESH_FOR).await;
    assert_eq!(listed(&integrations, "").await.1, "live");
}

#[tokio::test(start_paused = true)]
async fn an_outage_shows_the_last_catalogue_or_the_built_in_one() {
    let (integrations, script) = integrations();
    script.down.store(true, Ordering::Relaxed);
    let (names, source) = listed(&integrations, "category=hris").await;
    assert_eq!(source, "fallback");
    for name in ["bamboohr", "workday", "adp-workforce-now", "hibob", "officient"] {
        assert!(names.contains(&name.to_owned()), "{name}");
    }
    assert_eq!(listed(&integrations, "").await.1, "fallback");
    assert_eq!(script.calls.load(Ordering::Relaxed), 1, "Merge is left alone for a while");
    script.down.store(false, Ordering::Relaxed);
    tokio::time::advance(PAUSE_AFTER_FAILURE).await;
    assert_eq!(listed(&integrations, "").await.1, "live");
    script.down.store(true, Ordering::Relaxed);
    tokio::time::advance(FRESH_FOR).await;
    assert_eq!(listed(&integrations, "").await, (vec!["a".to_owned(), "b".to_owned()], "cached".to_owned()));
}

#[tokio::test]
async fn no_token_and_no_such_category_are_refused() {
    let (integrations, _) = integrations();
    let refused =
        |request| async { handle(&integrations, request).await.map_err(|problem| problem.code().as_str()).err() };
    assert_eq!(refused(request("", json!({}))).await, Some("unauthorized"));
    assert_eq!(refused(request("category=payroll", json!({"sub": "u"}))).await, Some("invalid_request"));
}

#[test]
fn the_built_in_list_covers_every_category_once_per_system() {
    let entries = fallback().unwrap();
    for category in Category::ALL {
        assert!(
            entries.iter().filter(|entry| entry.categories.iter().any(|name| name == category.slug())).count() >= 3,
            "{category}"
        );
    }
    let slugs: std::collections::HashSet<_> = entries.iter().map(|entry| &entry.slug).collect();
    assert_eq!(slugs.len(), entries.len());
}
