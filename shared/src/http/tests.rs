use lambda_http::request::from_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::config::{self, Identity};

fn request(claims: Value, headers: Value, body: &str) -> Request {
    let event = json!({
        "version": "2.0", "routeKey": "POST /v1/x/{id}", "rawPath": "/v1/x/42", "rawQueryString": "limit=7&flag=true",
        "queryStringParameters": {"limit": "7", "flag": "true"}, "pathParameters": {"id": "42", "model": "a%40b+c"},
        "headers": headers,
        "requestContext": {
            "accountId": "1", "apiId": "a", "stage": "$default", "requestId": "gateway-id", "routeKey": "POST /v1/x/{id}",
            "timeEpoch": 0, "http": {"method": "POST", "path": "/v1/x/42", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "authorizer": {"jwt": {"claims": claims, "scopes": []}},
        },
        "body": body, "isBase64Encoded": false,
    });
    from_str(&event.to_string()).unwrap()
}

fn identity() -> Identity {
    config::load_from(&|_| None).unwrap()
}

fn status_and_code(result: Result<Caller, Problem>) -> Code {
    result.map(|caller| panic!("accepted {caller:?}")).unwrap_or_else(|problem| problem.code())
}

#[test]
fn the_organization_is_the_claim_whatever_the_header_says() {
    let claims =
        json!({"sub": "u1", "org_id": "org_acme", "scope": "tether/linked-accounts:read", "email": "a@acme.example"});
    let caller = Caller::of(&request(claims, json!({"tether-organization": "org_globex"}), ""), &identity()).unwrap();
    assert_eq!(caller.organization.as_str(), "org_acme");
    assert_eq!(caller.email.as_deref(), Some("a@acme.example"));
    assert!(caller.has(Scope::LinkedAccountsRead));
    assert_eq!(caller.require(Scope::LinkedAccountsWrite).map_err(|p| p.code()), Err(Code::Forbidden));
}

#[test]
fn a_service_that_may_act_names_the_organization_and_lends_it_no_labels() {
    let claims = json!({"sub": "svc", "org_id": "org_svc", "scope": "[tether/organizations:act tether/records:read]", "email": "svc@x.example"});
    let acting = request(claims.clone(), json!({"Tether-Organization": "org_globex"}), "");
    let caller = Caller::of(&acting, &identity()).unwrap();
    assert_eq!(caller.organization.as_str(), "org_globex");
    assert_eq!(caller.email, None);
    assert!(caller.has(Scope::RecordsRead));
    let caller = Caller::of(&request(claims.clone(), json!({}), ""), &identity()).unwrap();
    assert_eq!(caller.organization.as_str(), "org_svc");
    let broken = request(claims, json!({"Tether-Organization": "a#b"}), "");
    assert_eq!(status_and_code(Caller::of(&broken, &identity())), Code::Forbidden);
}

#[test]
fn checklist_18_missing_claims_are_refused_again_in_the_handler() {
    assert_eq!(status_and_code(Caller::of(&request(json!({}), json!({}), ""), &identity())), Code::Unauthorized);
    let without_organization = request(json!({"sub": "u1"}), json!({}), "");
    assert_eq!(status_and_code(Caller::of(&without_organization, &identity())), Code::Forbidden);
    assert!(is_authenticated(&without_organization).is_ok());
    assert!(is_authenticated(&request(json!({}), json!({}), "")).is_err());
}

proptest::proptest! {
    /// Whatever a token claims, the caller is refused or has an organization that can stand in a key; and scopes are
    /// only those that are written out.
    #[test]
    fn any_claims_make_a_caller_or_are_refused(
        sub in proptest::prelude::any::<String>(),
        organization in proptest::prelude::any::<String>(),
        scope in "[ -~]{0,60}",
        header in "[!-~]{0,40}",
    ) {
        let claims = json!({"sub": sub, "org_id": organization, "scope": scope, "email": organization});
        let request = request(claims, json!({"tether-organization": header}), "");
        if let Ok(caller) = Caller::of(&request, &identity()) {
            let acts = caller.has(Scope::OrganizationsAct);
            let expected = if acts { header.as_str() } else { organization.trim() };
            proptest::prop_assert_eq!(caller.organization.as_str(), expected);
            proptest::prop_assert!(!caller.organization.as_str().contains('#'));
            for wanted in [Scope::LinkedAccountsWrite, Scope::RecordsRead, Scope::OrganizationsAct] {
                let name = format!("tether/{}", wanted.name());
                proptest::prop_assert!(!caller.has(wanted) || scope.contains(&name));
            }
        }
    }
}

#[test]
fn with_user_owned_accounts_the_subject_is_the_organization() {
    let identity = config::load_from(&|name| (name == "ACCOUNT_OWNER").then(|| "user".to_owned())).unwrap();
    let caller = Caller::of(&request(json!({"sub": "u1", "org_id": "org_acme"}), json!({}), ""), &identity).unwrap();
    assert_eq!(caller.organization.as_str(), "u1");
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    name: String,
}

#[track_caller]
fn refuses(text: &str, code: Code, detail: &str) {
    let problem =
        body::<Input>(&request(json!({}), json!({}), text)).err().unwrap_or_else(|| panic!("accepted {text}"));
    assert_eq!(problem.code(), code);
    assert!(format!("{problem:?}").contains(detail), "{problem:?}");
}

#[test]
fn a_body_is_refused_with_a_sentence_that_repeats_no_value() {
    assert_eq!(body::<Input>(&request(json!({}), json!({}), r#"{"name":"x"}"#)).unwrap().name, "x");
    refuses("", Code::InvalidRequest, "needs a JSON body");
    refuses(r#"["x"]"#, Code::InvalidRequest, "not a JSON object");
    refuses("{", Code::InvalidRequest, "not valid JSON");
    refuses(r#"{"name":"x","nam":1}"#, Code::InvalidRequest, "unknown field `nam`");
    refuses("{}", Code::InvalidRequest, "missing field `name`");
    refuses(&format!("{{\"name\":\"{}\"}}", "x".repeat(70_000)), Code::TooLarge, "64 kB");
    let problem = body::<Input>(&request(json!({}), json!({}), r#"{"name":["canary"]}"#)).err().unwrap();
    assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
    let problem = body::<Input>(&request(json!({}), json!({}), r#" {"name":{"canary":1}}"#)).err().unwrap();
    assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
    assert_eq!(body_or_default::<Input>(&request(json!({}), json!({}), "")).unwrap().name, "");
}

#[test]
fn parameters_are_parsed_or_refused() {
    let request = request(json!({}), json!({}), "");
    assert_eq!(query(&request).limit().unwrap(), 7);
    assert!(query(&request).flag("flag").unwrap());
    assert!(!query(&request).flag("other").unwrap());
    assert_eq!(path_parameter(&request, "model").as_deref(), Some("a@b+c"));
    assert_eq!(account_id(&request).map_err(|p| p.code()), Err(Code::NotFound));
}

#[tokio::test]
async fn a_problem_is_an_answer_with_code_request_id_and_headers() {
    let limited = |_| async { Err(Problem::rate_limited(std::time::Duration::from_millis(1500))) };
    let answer = respond(request(json!({}), json!({}), ""), &limited).await;
    assert_eq!(answer.status().as_u16(), 429);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let Body::Text(text) = answer.body() else { panic!("no text") };
    let members: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&members["code"], &members["request_id"]), (&json!("rate_limited"), &json!("gateway-id")));
}

#[tokio::test]
async fn an_error_of_ours_shows_the_caller_nothing() {
    let failing = |_| async { Err(std::io::Error::other("canary of the database").into()) };
    let answer = respond(request(json!({}), json!({}), ""), &failing).await;
    assert_eq!(answer.status().as_u16(), 500);
    let Body::Text(text) = answer.body() else { panic!("no text") };
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn codes_are_unique_and_lower_case() {
    let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Code::ALL.len());
    assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
}
