//! The matrix of tenancy: every route of the template, every field that holds an id, and in it what is one's own,
//! another's, nobody's or no id at all. What is another's and what is nobody's are answered alike, byte for byte.
//!
//! The routes come from the template and their fields from the published document, so that neither grows without a row
//! here. A look-up that forgets the organization is planted, and noticed on every route that makes one.

mod rows;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::http::request::Parts;
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::relay::{Changes, Relay, Said};
use crate::harness::{
    Api, BOUND, Connected, ORGANIZATION_HEADER, Outcome, Raw, Setup, System, alone, until, workspace,
};
use rows::{Field, ROWS, Row};

const NOBODYS: &str = "7a1d6f2e-5b0c-4f7e-9c41-2f3a8f1e0b9d";
const NO_IDS: [&str; 3] = ["42", "...", "7A1D6F2E-5B0C-4F7E-9C41-2F3A8F1E0B9D"];

/// One side of a matrix: a caller with an account that is synced and a second one, so that every list has a next page.
struct Side<'a> {
    api: Api<'a>,
    account: Connected,
    /// An issue of the account.
    issue: String,
}

impl<'a> Side<'a> {
    async fn new(system: &System, api: Api<'a>) -> Self {
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.connect(&api, "crm", "hubspot").await;
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "third_party_offline"})).await;
        let issue = until("the issue is told", BOUND, async || {
            let shown = api.account(&account.id).await;
            shown["open_issues"][0]["id"].as_str().map(str::to_owned).ok_or_else(|| shown.to_string())
        });
        Self { issue: issue.await, api, account }
    }

    /// Whatever of the account a stranger could have changed.
    async fn facts(&self) -> (Value, usize) {
        let shown = self.api.account(&self.account.id).await;
        let events = self.api.get(&format!("/v1/linked-accounts/{}/events", self.account.id), 200).await;
        let kept = ["id", "status", "display_name", "created_at", "duplicate_ignored"].map(|name| shown[name].clone());
        assert_eq!(shown["open_issues"][0]["id"], self.issue, "nobody has acknowledged it");
        (json!(kept), events["results"].as_array().map_or(0, Vec::len))
    }
}

impl Row {
    /// The request with other text in one of its fields.
    async fn ask(&self, side: &Side<'_>, field: Field, text: &str, headers: &[(&str, &str)]) -> Raw {
        let (method, path) = self.route.split_once(' ').expect("a method and a path");
        let id = if field == Field::Account { text } else { &side.account.id };
        let path = path.replace("{id}", id).replace("{model}", "hris.Employee");
        let given = match field {
            Field::AccountOf(name) => format!("&{name}={text}"),
            Field::Cursor => format!("&cursor={text}"),
            Field::Account | Field::Issue | Field::PublicToken => String::new(),
        };
        let body = match field {
            Field::PublicToken => Some(json!({"public_token": text, "category": "ats"})),
            Field::Issue => Some(json!({"acknowledge_issues": [text]})),
            _ => self.body.map(|body| serde_json::from_str(body).expect("JSON")),
        };
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        side.api.send(method, &format!("{path}?{}{given}", self.query), body, headers).await
    }

    /// The cursor that the first page of this list gives; no text where there is none.
    async fn cursor(&self, side: &Side<'_>) -> String {
        let first = self.ask(side, Field::Account, &side.account.id, &[]).await.json();
        first["next_cursor"].as_str().unwrap_or("none").to_owned()
    }
}

/// A public token for an attempt of this side.
async fn public_token(system: &System, side: &Side<'_>) -> String {
    let (link_token, _) = side.api.link_token("ats").await;
    system.sandbox().link(&link_token, "greenhouse", Outcome::Success).await.expect("a public token")
}

/// Where the answers to `mine` tell a stranger's things from nobody's; empty is good.
async fn findings(system: &System, mine: &Side<'_>, theirs: &Side<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for row in &ROWS {
        for field in row.ids {
            // What is whose. The public token of one's own is made last: with an attempt of one's own Merge is asked.
            let (others, nobodys, malformed) = match field {
                Field::Account | Field::AccountOf(_) => {
                    (theirs.account.id.clone(), NOBODYS.to_owned(), NO_IDS.map(str::to_owned).to_vec())
                }
                Field::Cursor => {
                    let made_up = "eyJiIjoiQUFBQUFBQUEiLCJwIjpudWxsfQ".to_owned();
                    (row.cursor(theirs).await, made_up, vec!["x".to_owned(), "%00".to_owned()])
                }
                Field::Issue => (theirs.issue.clone(), NOBODYS.to_owned(), NO_IDS.map(str::to_owned).to_vec()),
                Field::PublicToken => {
                    let made_up = "a-public-token-that-nobody-has".to_owned();
                    (public_token(system, theirs).await, made_up, vec!["..%2F".to_owned(), String::new()])
                }
            };
            let what = format!("{} {}", row.route, field.name());
            let refused = row.ask(mine, *field, &nobodys, &[]).await;
            let expected = if matches!(field, Field::Cursor | Field::Issue) { 400 } else { 404 };
            if refused.status != expected {
                found.push(format!("{what}: nobody's: {refused:?}"));
            }
            let compare = |name: &str, answer: &Raw| {
                let alike = answer.without_request_id() == refused.without_request_id();
                (!alike).then(|| format!("{what}: {name}: {answer:?} is not {refused:?}"))
            };
            found.extend(compare("another's", &row.ask(mine, *field, &others, &[]).await));
            if !mine.api.acts() {
                // Only a service may name an organization; for everybody else the header says nothing.
                let named = [(ORGANIZATION_HEADER, theirs.api.organization.as_str())];
                found.extend(compare("another's, with a header", &row.ask(mine, *field, &others, &named).await));
            }
            for text in malformed {
                let answer = row.ask(mine, *field, &text, &[]).await;
                match field {
                    Field::Account | Field::Cursor | Field::Issue => {
                        found.extend(compare(&format!("malformed {text:?}"), &answer))
                    }
                    // A value that cannot be one is the caller's mistake, and says nothing about what exists.
                    _ if answer.status == 400 => {}
                    _ => found.push(format!("{what}: malformed {text:?}: {answer:?}")),
                }
            }
            let own = match field {
                Field::Account | Field::AccountOf(_) => mine.account.id.clone(),
                Field::Cursor => row.cursor(mine).await,
                Field::Issue => mine.issue.clone(),
                Field::PublicToken => public_token(system, mine).await,
            };
            let answer = row.ask(mine, *field, &own, &[]).await;
            // The webhook may complete a link before the exchange does.
            if answer.status != row.own && !(*field == Field::PublicToken && answer.status == 200) {
                found.push(format!("{what}: one's own: {answer:?}"));
            }
        }
    }
    found
}

/// The template's routes are those of the matrix.
fn covers(system: &System) {
    let routes = system.stack.deployment().routes.iter().map(|route| format!("{} {}", route.method, route.path));
    let routes: BTreeSet<String> = routes.collect();
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.route.to_owned()).collect();
    assert_eq!(routes, rows, "every route of the template has a row, and no other");
}

/// Runs the matrix, and looks whether the other side is as it was.
async fn hold(system: &System, mine: Api<'_>, theirs: Api<'_>) {
    covers(system);
    let (mine, theirs) = (Side::new(system, mine).await, Side::new(system, theirs).await);
    system.webhooks_settled().await;
    system.idle().await;
    let before = theirs.facts().await;
    let found = findings(system, &mine, &theirs).await;
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(theirs.facts().await, before, "the other side is as it was");
    assert!(system.sandbox().account(&theirs.account.merge_id).await.is_some(), "at Merge too");
    system.erased(&mine.api, &mine.account.id, BOUND).await;
}

#[test]
fn checklist_19_an_organization_cannot_tell_anothers_account_from_nobodys() {
    alone(Setup::default, async |system| {
        hold(system, system.api("org_acme").await, system.api("org_globex").await).await;
    });
}

#[test]
fn checklist_19_a_user_cannot_tell_a_colleagues_account_from_nobodys() {
    alone(
        || Setup::default().parameter("AccountOwner", "user"),
        async |system| {
            // Two subjects of one organization.
            let person = system.person("org_acme", "user_acme_admin").await;
            hold(system, person, system.api("org_acme").await).await;
        },
    );
}

#[test]
fn checklist_19_a_service_sees_the_organization_that_it_names_and_no_other() {
    alone(Setup::default, async |system| {
        let scope = "tether/organizations:act tether/linked-accounts:read tether/linked-accounts:write \
                     tether/records:read";
        let service = async || system.api_with_scope("org_service", Some(scope)).await;
        hold(system, service().await.acting_for("org_acme"), service().await.acting_for("org_globex")).await;

        // The header itself: its own field, of every route that takes a token.
        let globex = Side { api: service().await.acting_for("org_globex"), account: none(), issue: String::new() };
        let list = async |name: &str| {
            let named = [(ORGANIZATION_HEADER, name)];
            globex.api.send(Method::GET, "/v1/linked-accounts", None, &named).await
        };
        assert!(!list("org_globex").await.json()["results"].as_array().expect("a list").is_empty());
        assert_eq!(list("org_nobody").await.json()["results"], json!([]));
        for malformed in ["org#acme", "org acme", "", &"x".repeat(129)] {
            assert_eq!(list(malformed).await.status, 403, "{malformed:?}");
        }
    });
}

fn none() -> Connected {
    Connected {
        id: NOBODYS.to_owned(),
        merge_id: String::new(),
        origin_id: String::new(),
        account_token: String::new(),
    }
}

/// A mistake that the functions do not make, made for them at the wire, as if their code had: when an account is looked
/// up, the organization is left out, and whoever knows the id is shown what Globex has.
fn without_organization(said: &Said, call: &Parts, body: Bytes) -> Bytes {
    let target = call.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(mut input) = serde_json::from_slice::<Value>(&body) else { return body };
    let of_account = input["Key"]["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("ACCOUNT#"));
    if !said.has("mistake") || !target.ends_with(".GetItem") || !of_account {
        return body;
    }
    input["Key"]["pk"] = json!({"S": "ORG#org_globex"});
    Bytes::from(input.to_string())
}

#[test]
fn an_organization_check_that_is_left_out_is_noticed_on_every_route() {
    static WIRE: LazyLock<Relay> =
        LazyLock::new(|| Relay::start(Changes { call: without_organization, answer: |_, _, answer| answer }));
    let setup = || {
        let looking_up = ["accounts", "records", "relink", "delete"];
        looking_up.into_iter().fold(Setup::default().without_schedule(), |setup, binary| {
            setup.variable(binary, "AWS_ENDPOINT_URL", &WIRE.url)
        })
    };
    alone(setup, async |system| {
        // Nothing is wrong yet: everybody's accounts are their own.
        WIRE.aim(&system.ready().aws);
        let globex = Side::new(system, system.api("org_globex").await).await;
        let acme = Side::new(system, system.api("org_acme").await).await;
        system.webhooks_settled().await;
        system.idle().await;
        WIRE.say("mistake");
        let found = findings(system, &acme, &globex).await;
        for row in ROWS.iter().filter(|row| row.ids.contains(&Field::Account)) {
            let noticed = format!("{} id: another's:", row.route);
            assert!(found.iter().any(|finding| finding.starts_with(&noticed)), "{noticed} {found:#?}");
        }
        let noticed = "GET /v1/linked-accounts duplicates_of: another's:";
        assert!(found.iter().any(|finding| finding.starts_with(noticed)), "{found:#?}");
    });
}

/// The fields of a schema, those of objects in it after a dot.
fn properties(document: &Value, schema: &Value, before: &str, found: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).expect("a schema");
        properties(document, schema, before, found);
    }
    for alternative in ["oneOf", "anyOf", "allOf"] {
        for schema in schema[alternative].as_array().into_iter().flatten() {
            properties(document, schema, before, found);
        }
    }
    if schema["items"].is_object() {
        properties(document, &schema["items"], before, found);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{before}{name}");
        let known = found.len();
        properties(document, schema, &format!("{path}."), found);
        if found.len() == known {
            found.insert(path);
        }
    }
}

#[test]
fn every_route_has_a_row_and_every_field_is_in_it() {
    let text = std::fs::read_to_string(workspace().join("web/openapi.json")).expect("the document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    for row in &ROWS {
        let (method, path) = row.route.split_once(' ').expect("a method and a path");
        let operation = &document["paths"][path][method.to_lowercase()];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut fields: BTreeSet<String> =
            parameters.filter_map(|parameter| parameter["name"].as_str()).map(str::to_owned).collect();
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        properties(&document, body, "", &mut fields);
        let in_path = path.split(['{', '}']).skip(1).step_by(2).map(|name| name.trim_end_matches('+'));
        fields.extend(in_path.map(str::to_owned));
        let known = row.ids.iter().map(|field| field.name()).chain(row.plain.iter().copied());
        assert_eq!(fields, known.map(str::to_owned).collect(), "{}", row.route);
    }
}
