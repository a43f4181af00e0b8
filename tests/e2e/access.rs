//! Access: who gets in, and with what. Every route of the template is asked without a token, with forged ones and with
//! each scope that it does not want, at the edge and behind it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use local_stack::deployment::Route;
use local_stack::lambda::Invocation;
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::secret::WebhookKey;
use shared::merge::signature;

use crate::harness::{Setup, SharedStack, System, alone};

static STACK: SharedStack = SharedStack::new(Setup::default);

const SCOPES: [&str; 4] = ["linked-accounts:read", "linked-accounts:write", "records:read", "organizations:act"];

/// The routes that take a token.
fn protected(system: &System) -> Vec<Route> {
    let routes: Vec<_> = system.stack.deployment().routes.iter().filter(|route| route.jwt).cloned().collect();
    assert_eq!(routes.len(), 13, "every route under /v1");
    routes
}

/// A path of the route, with an id that nobody has.
fn path(route: &Route) -> String {
    let id = "7a1d6f2e-5b0c-4f7e-9c41-2f3a8f1e0b9d";
    route.path.replace("{id}", id).replace("{model}", "hris.Employee")
}

async fn ask(system: &System, route: &Route, token: Option<&str>) -> (u16, String) {
    let method = Method::from_bytes(route.method.as_bytes()).expect("a method");
    let request = system.http().request(method, format!("{}{}", system.ready().api, path(route)));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

/// A token of three parts: header and claims as they are, and a signature over both.
fn token(header: &Value, claims: &str, sign: impl Fn(&[u8]) -> String) -> String {
    let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{signature}")
}

#[test]
fn checklist_18_forged_tokens_are_refused_on_every_route() {
    STACK.run(async |system| {
        let genuine = system.access_token("org_acme", None).await;
        let claims = genuine.split('.').nth(1).expect("claims").to_owned();
        let keys: Value = {
            let url = format!("{}/.well-known/jwks.json", system.ready().issuer);
            system.http().get(url).send().await.expect("the keys").json().await.expect("JSON")
        };
        let key = &keys["keys"][0];
        let (id, modulus) = (key["kid"].clone(), key["n"].as_str().expect("a public key"));
        // HMAC with what everybody knows, in each form that a careless verifier would take for the secret.
        let hmac = |secret: &str| {
            let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": id});
            token(&header, &claims, |signed| {
                signature::sign(signed, &WebhookKey::new(secret)).trim_end_matches('=').to_owned()
            })
        };
        let none = |alg: &str| token(&json!({"alg": alg, "typ": "at+jwt", "kid": id}), &claims, |_| String::new());
        let other_claims = {
            let mut other: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&claims).expect("base64")).expect("JSON");
            other["org_id"] = json!("org_globex");
            let parts: Vec<&str> = genuine.split('.').collect();
            format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(other.to_string()), parts[2])
        };
        let forged = [
            ("alg none", none("none")),
            ("alg None", none("None")),
            ("HS256 over the modulus", hmac(modulus)),
            ("HS256 over the key set", hmac(&keys.to_string())),
            ("HS256 over the key", hmac(&key.to_string())),
            ("other claims under the same signature", other_claims),
            ("no token at all", "e30.e30.e30".to_owned()),
        ];
        for route in protected(system) {
            let (method, path) = (&route.method, &route.path);
            let (status, nobody) = ask(system, &route, None).await;
            assert_eq!(status, 401, "{method} {path} without a token");
            for (what, token) in &forged {
                assert_eq!(ask(system, &route, Some(token)).await, (401, nobody.clone()), "{method} {path}: {what}");
            }
            let (status, body) = ask(system, &route, Some(&genuine)).await;
            assert!(status != 401 && status != 403, "{method} {path}: the genuine token gets in: {status} {body}");
        }
    });
}

#[test]
fn checklist_18_a_function_behind_no_authorizer_refuses_all_the_same() {
    STACK.run(async |system| {
        for route in protected(system) {
            let deployment = system.stack.deployment();
            let function = deployment.functions.iter().find(|function| function.logical_id == route.function);
            let binary = &function.expect("the function").binary;
            for (claims, expected, code) in [
                (json!(null), 401, "unauthorized"),
                (json!({"jwt": {"claims": {"org_id": "org_acme"}, "scopes": []}}), 401, "unauthorized"),
                (json!({"jwt": {"claims": {"sub": "someone", "org_id": "org_acme"}, "scopes": []}}), 403, "forbidden"),
            ] {
                if binary == "integrations" && expected == 403 {
                    // The catalogue is the same for everybody who is signed in.
                    continue;
                }
                let event = json!({
                    "version": "2.0", "routeKey": format!("{} {}", route.method, route.path), "rawPath": path(&route),
                    "rawQueryString": "", "headers": {"tether-organization": "org_acme"}, "isBase64Encoded": false,
                    "requestContext": {
                        "accountId": "1", "apiId": "a", "stage": "$default", "requestId": "r", "timeEpoch": 0,
                        "authorizer": claims,
                        "http": {"method": route.method, "path": path(&route)},
                    },
                });
                let Invocation::Response(answer) = system.stack.invoke(binary, event).await else {
                    panic!("{binary} fails")
                };
                let answer: Value = serde_json::from_slice(&answer).expect("an answer");
                let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).expect("JSON");
                assert_eq!((&answer["statusCode"], &body["code"]), (&json!(expected), &json!(code)), "{binary}");
            }
        }
    });
}

#[test]
fn checklist_18_a_token_that_names_no_organization_is_refused_on_every_route() {
    alone(
        || Setup::default().parameter("OrganizationClaim", "tenant_id"),
        async |system| {
            let token = system.access_token("org_acme", None).await;
            for route in protected(system).iter().filter(|route| route.path != "/v1/integrations") {
                let (status, body) = ask(system, route, Some(&token)).await;
                assert_eq!(status, 403, "{} {}: {body}", route.method, route.path);
                assert!(body.contains("does not name an organization"), "{body}");
            }
        },
    );
}

#[test]
fn checklist_20_a_scope_opens_its_own_routes_and_no_other() {
    STACK.run(async |system| {
        for scope in SCOPES {
            let scope = format!("tether/{scope}");
            let token = system.access_token("org_scoped", Some(&scope)).await;
            for route in protected(system) {
                let wanted = route.scopes.contains(&scope);
                let (status, body) = ask(system, &route, Some(&token)).await;
                assert_eq!(status == 403, !wanted, "{} {} with {scope}: {status} {body}", route.method, route.path);
            }
        }
        let writes = ["POST", "PATCH", "DELETE"];
        for route in protected(system).iter().filter(|route| writes.contains(&route.method.as_str())) {
            assert_eq!(route.scopes, ["tether/linked-accounts:write"], "{} {}", route.method, route.path);
        }
    });
}

#[test]
fn checklist_43_a_foreign_origin_gets_no_allow_header() {
    STACK.run(async |system| {
        let token = system.access_token("org_acme", None).await;
        for (method, url) in [
            (Method::GET, format!("{}/v1/linked-accounts", system.ready().api)),
            (Method::OPTIONS, format!("{}/v1/linked-accounts", system.ready().api)),
            (Method::GET, format!("{}config.json", system.ready().page)),
            (Method::GET, system.ready().page.clone()),
        ] {
            let request = system.http().request(method.clone(), &url).bearer_auth(&token);
            let request = request.header("origin", "https://evil.example");
            let request = request.header("access-control-request-method", "DELETE");
            let answer = request.send().await.expect("an answer");
            let allowed: Vec<_> =
                answer.headers().keys().filter(|name| name.as_str().starts_with("access-control-allow")).collect();
            assert!(allowed.is_empty(), "{method} {url}: {allowed:?}");
        }
    });
    alone(
        || Setup::default().parameter("AllowedOrigins", "https://app.example.com"),
        async |system| {
            for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example", false)] {
                let request = system.http().get(format!("{}/v1/linked-accounts", system.ready().api));
                let answer = request.header("origin", origin).send().await.expect("an answer");
                let header = answer.headers().get("access-control-allow-origin");
                assert_eq!(header.is_some_and(|value| value == origin), allowed, "{origin}");
                assert_eq!(header.is_some(), allowed, "{origin}");
            }
        },
    );
}
