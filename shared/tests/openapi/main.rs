//! OpenAPI: `web/openapi.json` is what the types and the list of operations here say, and its operations are the routes
//! of the template, with their scopes.
//!
//! After a change of the API, `UPDATE_OPENAPI=1 cargo test -p shared --test openapi` writes the file anew.

#![allow(clippy::unwrap_used, reason = "tests")]

mod document;
mod operations;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use local_stack::template::{Inputs, load};
use serde_json::Value;

use operations::operations;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[tokio::test]
async fn the_published_document_is_the_generated_one() {
    let generated = serde_json::to_string_pretty(&document::document().await).unwrap() + "\n";
    let path = repository("web/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == generated, "web/openapi.json is not what the code says; see this test's first lines");
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document::document().await;
    let mut referenced = std::collections::BTreeSet::new();
    references(&document, &mut referenced);
    for reference in &referenced {
        let found = document.pointer(reference.trim_start_matches('#'));
        assert!(found.is_some(), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(referenced.contains(&format!("#/components/schemas/{name}")), "{name} is used nowhere");
    }
}

fn references(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().filter(|_| name == "$ref") {
                    Some(reference) => drop(found.insert(reference.to_owned())),
                    None => references(member, found),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| references(element, found)),
        _ => {}
    }
}

#[test]
fn operations_are_the_templates_routes_with_their_scopes() {
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let inputs = Inputs {
        stack_name: "tether-local".into(),
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
        aws_endpoint: "http://127.0.0.1:1".into(),
        api_endpoint: "http://127.0.0.1:2".into(),
        function_url: "http://127.0.0.1:3/".into(),
        parameters: BTreeMap::from([
            text("MergeApiKey", "dev-api-key"),
            text("WebhookKeys", "[]"),
            text("OidcIssuer", "http://127.0.0.1:4"),
            text("OidcAudience", "tether-local"),
            text("OidcClientId", "tether-page"),
        ]),
    };
    let deployment = load(&repository("infra/template.yaml"), &inputs).unwrap();
    let deployed: BTreeMap<String, Vec<String>> = deployment
        .routes
        .iter()
        .filter(|route| route.jwt)
        .map(|route| (format!("{} {}", route.method, route.path), route.scopes.clone()))
        .collect();
    let described: BTreeMap<String, Vec<String>> = operations()
        .iter()
        .map(|operation| {
            let route = format!("{} {}", operation.method, operation.path);
            (route, vec![format!("tether/{}", operation.scope.name())])
        })
        .collect();
    assert_eq!(described, deployed);
    for route in deployment.routes.iter().filter(|route| !route.jwt) {
        assert!(!route.path.starts_with("/v1/"), "{} is open to everybody", route.path);
    }
}
