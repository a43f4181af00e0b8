//! The client of Merge against its wire: small servers on this machine that answer as Merge does, and as it must not.

#![allow(clippy::unwrap_used, reason = "tests")]

mod server;
mod transport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::config::tls::http_client;
use shared::domain::account::AccountStatus;
use shared::domain::category::Category;
use shared::domain::endpoint::Endpoint;
use shared::domain::ids::MergeLinkedAccountId;
use shared::domain::issue::IssueStatus;
use shared::domain::origin::EndUserOriginId;
use shared::domain::secret::{AccountToken, ApiKey, PublicToken};
use shared::domain::sync_status::SyncState;
use shared::merge::{
    ErrorKind, InvalidBaseUrl, KeySource, LinkTokenRequest, MergeClient, MergeError, PageRequest, RateBudget,
    ReqwestTransport, Retry, TestAccounts,
};
use shared::telemetry::chain;

use server::Server;

fn token() -> AccountToken {
    AccountToken::new("canary-account-token")
}

fn employees() -> PageRequest {
    PageRequest::first(Endpoint::by_slug("hris.employees").unwrap())
}

#[track_caller]
fn shows_no_secret(error: &MergeError) {
    let text = format!("{error:?} {}", chain(error));
    assert!(!text.contains("canary"), "{text}");
    assert!(!text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn a_link_token_is_asked_for_as_merges_sdk_does() {
    let server =
        Server::json(json!({"link_token": "lt", "integration_name": null, "magic_link_url": "", "new": 1})).await;
    let origin_id = EndUserOriginId::stored("org_acme_hris_1");
    let request = LinkTokenRequest {
        category: Category::Hris,
        origin_id: &origin_id,
        email: "a@acme.example",
        organization_name: "Acme",
        integration: Some("bamboohr"),
        language: None,
        magic_link: false,
        expiry_minutes: 30,
    };
    let answer = server.merge().create_link_token(&request).await.unwrap();
    assert_eq!(
        (answer.link_token.expose(), answer.integration_name, answer.magic_link_url.is_none()),
        ("lt", None, true)
    );
    let seen = server.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/api/hris/v1/link-token"));
    assert_eq!(seen.header("authorization"), "Bearer canary-api-key");
    assert_eq!(seen.header("x-account-token"), "");
    assert_eq!(seen.header("content-type"), "application/json");
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let expected = json!({
        "end_user_email_address": "a@acme.example", "end_user_organization_name": "Acme",
        "end_user_origin_id": "org_acme_hris_1", "categories": ["hris"], "link_expiry_mins": 30, "integration": "bamboohr",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_public_token_is_exchanged_by_get_and_shown_in_no_error() {
    let server = Server::json(json!({"account_token": "at", "id": "acc-1", "integration": {"name": "BambooHR", "slug": "bamboohr", "square_image": "s"}})).await;
    let public = PublicToken::parse("canary-public_token~=").unwrap();
    let exchanged = server.merge().exchange_public_token(Category::Hris, &public).await.unwrap();
    assert_eq!((exchanged.account_token.expose(), exchanged.merge_id.as_str()), ("at", "acc-1"));
    assert_eq!((exchanged.integration.slug.as_str(), exchanged.integration.image.as_deref()), ("bamboohr", Some("s")));
    let seen = server.last();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/api/hris/v1/account-token/canary-public_token~%3D")
    );

    let refusing = Server::start(|_| {
        (StatusCode::NOT_FOUND, axum::Json(json!({"detail": "canary-public_token~= is unknown"}))).into_response()
    })
    .await;
    let error = refusing.merge().exchange_public_token(Category::Hris, &public).await.unwrap_err();
    assert_eq!((error.kind(), error.merge_status()), (ErrorKind::NotFound, Some(404)));
    assert_eq!(error.merge_detail(), Some("[redacted] is unknown"));
    shows_no_secret(&error);
    let nobody = MergeClient::over(
        "http://127.0.0.1:1/api",
        ApiKey::new("canary-api-key"),
        Arc::new(ReqwestTransport::new(http_client().unwrap())),
    )
    .unwrap();
    let error = nobody.exchange_public_token(Category::Hris, &public).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    shows_no_secret(&error);
}

#[tokio::test]
async fn account_details_may_lack_anything() {
    let server = Server::json(json!({
        "id": "acc-1", "integration": "BambooHR", "integration_slug": "bamboohr", "category": "hris",
        "end_user_origin_id": "org_acme_hris_1", "status": "RELINK_NEEDED", "is_duplicate": null,
    }))
    .await;
    let details = server.merge().account_details(Category::Hris, &token()).await.unwrap();
    assert_eq!(details.end_user_origin_id.as_deref(), Some("org_acme_hris_1"));
    assert_eq!((details.category, details.status), (Some(Category::Hris), AccountStatus::RelinkNeeded));
    assert_eq!(server.last().header("x-account-token"), "canary-account-token");
    let sparse =
        Server::json(json!({"id": 7, "category": "datawarehouse", "end_user_origin_id": "", "is_duplicate": "yes"}))
            .await;
    let details = sparse.merge().account_details(Category::Hris, &token()).await.unwrap();
    assert_eq!(
        (details.merge_id, details.category, details.end_user_origin_id, details.is_duplicate),
        (None, None, None, None)
    );
}

#[tokio::test]
async fn an_account_is_deleted_whatever_the_body_says() {
    for body in ["", "{}", "<html>"] {
        let server = Server::start(move |_| body.into_response()).await;
        server.merge().delete_account(Category::Crm, &token()).await.unwrap();
        let seen = server.last();
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str(), seen.body.len()),
            ("POST", "/api/crm/v1/delete-account", 0)
        );
    }
}

#[tokio::test]
async fn an_account_is_looked_up_among_production_and_test_accounts() {
    let server = Server::start(|seen| {
        let tests = seen.query().contains(&("is_test_account".to_owned(), "true".to_owned()));
        let row = json!({"id": "acc-1", "status": "IDLE", "category": "hris", "integration": {"name": "Workday", "slug": "workday"}});
        axum::Json(json!({"next": null, "results": if tests { vec![row] } else { vec![] }})).into_response()
    })
    .await;
    let id = |text: &str| MergeLinkedAccountId::parse(text).unwrap();
    let found = server.merge().linked_account(&id("acc-1")).await.unwrap().unwrap();
    assert_eq!((found.status, found.integration.slug.as_str()), (AccountStatus::Idle, "workday"));
    assert!(server.merge().linked_account(&id("acc-2")).await.unwrap().is_none(), "another account is no answer");
    assert_eq!(server.seen().len(), 4);
    assert_eq!(server.last().header("x-account-token"), "");
}

#[tokio::test]
async fn a_key_that_sees_no_account_in_either_half_is_told_apart() {
    for (production, tests, any) in [(1, 0, true), (0, 1, true), (0, 0, false)] {
        let server = Server::start(move |seen| {
            let is_test = seen.query().contains(&("is_test_account".to_owned(), "true".to_owned()));
            let rows = vec![json!({"id": "acc-1"}); if is_test { tests } else { production }];
            axum::Json(json!({"next": null, "results": rows})).into_response()
        })
        .await;
        assert_eq!(server.merge().has_linked_accounts().await.unwrap(), any, "{production} {tests}");
        assert_eq!(server.last().header("x-account-token"), "");
    }
}

#[tokio::test]
async fn the_census_pages_through_all_accounts() {
    let server = Server::start(|seen| {
        let second = seen.query().contains(&("cursor".to_owned(), "cD0y+/=".to_owned()));
        let row = |id: &str| json!({"id": id, "status": "COMPLETE"});
        let page = if second {
            json!({"next": "", "results": [row("b"), {"status": "COMPLETE"}]})
        } else {
            json!({"next": "cD0y+/=", "results": [row("a")]})
        };
        axum::Json(page).into_response()
    })
    .await;
    let merge = server.merge();
    let (first, next) = merge.linked_accounts(TestAccounts::Exclude, None).await.unwrap();
    let (second, end) = merge.linked_accounts(TestAccounts::Exclude, next.as_ref()).await.unwrap();
    assert_eq!((first[0].merge_id.as_str(), second.len(), second[0].merge_id.as_str(), end), ("a", 1, "b", None));
}

#[tokio::test]
async fn sync_status_is_read_to_its_last_page() {
    let server = Server::start(|seen| {
        let page = seen.query().iter().find(|(name, _)| name == "cursor").map_or(1, |(_, value)| value.parse::<u32>().unwrap());
        let row = json!({"model_id": format!("hris.M{page}"), "model_name": "M", "status": "DONE", "is_initial_sync": false, "last_sync_finished": "2026-01-01T00:00:00Z"});
        let next = if page < 3 { json!((page + 1).to_string()) } else { Value::Null };
        axum::Json(json!({"next": next, "previous": null, "results": [row, {"model_id": null}]})).into_response()
    })
    .await;
    // One call at once, then one every 1.58 s.
    let (budget, started) = (RateBudget::new(39), Instant::now());
    let rows = server.merge().sync_status(Category::Hris, &token(), Some(&budget)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(1_500), "further pages are taken out of the budget");
    let models: Vec<_> = rows.iter().map(|row| row.model_id.as_str()).collect();
    assert_eq!(models, ["hris.M1", "hris.M2", "hris.M3"]);
    assert_eq!(rows[0].status, SyncState::Done);

    // One of them is a minute away: nobody waits for it.
    let error = server.merge().sync_status(Category::Hris, &token(), Some(&RateBudget::new(2))).await.unwrap_err();
    assert!(matches!(error.retry(), Retry::After(left) if left > Duration::from_secs(20)), "{error:?}");
}

#[tokio::test]
async fn checklist_30_a_list_that_does_not_end_is_refused() {
    let repeated = Server::json(json!({"next": "same", "results": []})).await;
    let error = repeated.merge().sync_status(Category::Hris, &token(), None).await.unwrap_err();
    assert_eq!((error.kind(), repeated.seen().len()), (ErrorKind::Endless, 2));
    let circle = Server::start(|seen| {
        let next = if seen.target.contains("cursor=a") { "b" } else { "a" };
        axum::Json(json!({"next": next, "results": []})).into_response()
    })
    .await;
    let error = circle.merge().integrations().await.unwrap_err();
    assert_eq!((error.kind(), circle.seen().len()), (ErrorKind::Endless, 3));
}

#[tokio::test]
async fn a_resync_answers_with_a_bare_array_and_issues_are_asked_for_by_account() {
    let server =
        Server::json(json!([{"model_id": "hris.Employee", "status": "SYNCING", "is_initial_sync": true}])).await;
    assert_eq!(server.merge().resync(Category::Hris, &token()).await.unwrap().len(), 1);
    assert_eq!(
        (server.last().method.as_str(), server.last().target.as_str()),
        ("POST", "/api/hris/v1/sync-status/resync")
    );
    let server = Server::json(json!({"next": null, "results": [{"id": "i1", "status": "RESOLVED", "error_description": "API error", "end_user": "uuid"}]})).await;
    let id = MergeLinkedAccountId::parse("acc-1").unwrap();
    let issues = server.merge().issues(Category::Hris, &id).await.unwrap();
    assert_eq!((issues.len(), issues[0].status), (1, IssueStatus::Resolved));
    assert!(server.last().query().contains(&("linked_account_id".to_owned(), "acc-1".to_owned())));
}

#[tokio::test]
async fn a_page_of_records_is_asked_for_with_its_window_and_kept_byte_for_byte() {
    let body = "{\"next\":\"n\",\"results\":[{\"id\":\"1\",\"x\": 1.100}]}";
    let server = Server::start(move |_| body.into_response()).await;
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let mut request = PageRequest { modified_after: at(0), modified_before: at(86_400), ..employees() };
    let page = server.merge().records_page(&token(), &request).await.unwrap();
    assert_eq!(page.records().collect::<Vec<_>>(), ["{\"id\":\"1\",\"x\": 1.100}"]);
    let pairs = [
        ("page_size", "100"),
        ("include_deleted_data", "true"),
        ("modified_after", "1970-01-01T00:00:00Z"),
        ("modified_before", "1970-01-02T00:00:00Z"),
    ];
    assert_eq!(server.last().query(), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(server.last().target.starts_with("/api/hris/v1/employees?"));

    request.cursor = page.next;
    let error = server.merge().records_page(&token(), &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Endless, "the same cursor again");
    let full = PageRequest {
        modified_after: at(0),
        ..PageRequest::first(Endpoint::by_slug("accounting.payment-terms").unwrap())
    };
    server.merge().records_page(&token(), &full).await.unwrap();
    assert!(server.last().query().iter().all(|(name, _)| name != "modified_after"));
}

#[tokio::test]
async fn checklist_29_a_url_is_no_cursor() {
    let elsewhere = Server::json(json!({"next": null, "results": []})).await;
    let next = format!("{}/api/hris/v1/employees?cursor=canary", elsewhere.origin);
    let server = Server::start(move |_| axum::Json(json!({"next": next, "results": []})).into_response()).await;
    let error = server.merge().records_page(&token(), &employees()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StrayCursor);
    shows_no_secret(&error);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn checklist_31_a_redirect_is_followed_by_nobody() {
    let elsewhere = Server::json(json!({"next": null, "results": []})).await;
    let url = format!("{}/api/hris/v1/employees?cursor=canary", elsewhere.origin);
    for status in [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
        let to = url.clone();
        let server = Server::start(move |_| (status, [("location", to.clone())]).into_response()).await;
        let error = server.merge().records_page(&token(), &employees()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Redirect, Retry::Never));
        shows_no_secret(&error);
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_refused_key_is_read_again_and_the_call_made_once_more() {
    let server = Server::start(|seen| match seen.header("authorization") {
        "Bearer newer" => axum::Json(json!({"next": null, "results": []})).into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    })
    .await;
    let source = |key: &'static str| -> KeySource { Arc::new(move || Box::pin(async move { Some(ApiKey::new(key)) })) };
    let stale = server.merge().with_key_source(source("canary-api-key"));
    assert!(stale.integrations().await.unwrap_err().is_api_key_refused());
    assert_eq!(server.seen().len(), 1, "the same key is not tried twice");
    let renewed = server.merge().with_key_source(source("newer"));
    assert!(renewed.integrations().await.unwrap().is_empty());
    assert!(renewed.clone().integrations().await.unwrap().is_empty());
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn every_status_has_its_kind() {
    for (status, kind, retry) in [
        (400, ErrorKind::Rejected, Retry::Never),
        (401, ErrorKind::Unauthorized, Retry::Backoff),
        (403, ErrorKind::Forbidden, Retry::Never),
        (404, ErrorKind::NotFound, Retry::Never),
        (409, ErrorKind::Rejected, Retry::Never),
        (429, ErrorKind::RateLimited, Retry::After(Duration::from_secs(120))),
        (500, ErrorKind::Unavailable, Retry::After(Duration::from_secs(120))),
        (503, ErrorKind::Unavailable, Retry::After(Duration::from_secs(120))),
    ] {
        let server = Server::start(move |_| {
            let status = StatusCode::from_u16(status).unwrap();
            let detail = json!({"detail": "key canary-api-key and token canary-account-token"});
            (status, [("retry-after", "120")], axum::Json(detail)).into_response()
        })
        .await;
        let error = server.merge().records_page(&token(), &employees()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry(), error.merge_status()), (kind, retry, Some(status)));
        assert!(!error.is_api_key_refused(), "the call named an account");
        shows_no_secret(&error);
        if kind == ErrorKind::Unauthorized {
            assert!(server.merge().integrations().await.unwrap_err().is_api_key_refused());
        }
    }
}

#[tokio::test]
async fn checklist_32_a_body_that_is_not_merges_is_a_bounded_failure() {
    for body in ["<html>canary</html>", "{\"next\":null,\"results\":[{\"id\":\"canary\"", "{}", "null"] {
        let server = Server::start(move |_| body.into_response()).await;
        let error = server.merge().records_page(&token(), &employees()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{body}");
        shows_no_secret(&error);
    }
    let large = Server::start(|_| Body::from(vec![b' '; 33 * 1024 * 1024]).into_response()).await;
    let error = large.merge().records_page(&token(), &employees()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::TooLarge, Retry::Never));
}

#[tokio::test]
async fn after_ten_errors_merge_is_left_alone() {
    let server = Server::start(|_| StatusCode::BAD_GATEWAY.into_response()).await;
    let merge = server.merge();
    for _ in 0..10 {
        assert_eq!(merge.integrations().await.unwrap_err().merge_status(), Some(502));
    }
    let error = merge.records_page(&token(), &employees()).await.unwrap_err();
    assert_eq!((error.kind(), error.merge_status()), (ErrorKind::Unavailable, None));
    assert!(matches!(error.retry(), Retry::After(left) if left <= Duration::from_secs(10)));
    assert_eq!(server.seen().len(), 10);
}

#[tokio::test]
async fn limits_of_rate_do_not_open_the_breaker() {
    let server = Server::start(|_| StatusCode::TOO_MANY_REQUESTS.into_response()).await;
    let merge = server.merge();
    for _ in 0..12 {
        assert_eq!(merge.integrations().await.unwrap_err().kind(), ErrorKind::RateLimited);
    }
    assert_eq!(server.seen().len(), 12);
}

#[test]
fn a_key_is_sent_to_nobody_over_plain_http() {
    let over = |url: &str| {
        let transport = Arc::new(ReqwestTransport::new(http_client().unwrap()));
        MergeClient::over(url, ApiKey::new("k"), transport).map(|_| ())
    };
    assert!(matches!(over("http://api.merge.dev/api"), Err(InvalidBaseUrl::NotHttps)));
    assert!(matches!(over("ftp://127.0.0.1/api"), Err(InvalidBaseUrl::NotHttps)));
    for url in ["https://user@api.merge.dev/api", "https://api.merge.dev/api?x=1", "api"] {
        assert!(matches!(over(url), Err(InvalidBaseUrl::NotPlain)), "{url}");
    }
    assert!(over("https://api.merge.dev/api").is_ok());
}
