use std::collections::HashMap;

use lambda_http::Body;
use lambda_http::request::from_str;
use serde_json::{Value, json};
use shared::config::ConfigError;

use super::*;

fn page(extra: &[(&str, &str)]) -> Page {
    config(extra).unwrap()
}

fn config(extra: &[(&str, &str)]) -> Result<Page, ConfigError> {
    let mut variables = HashMap::from([
        ("OIDC_ISSUER", "https://id.example.com/pool"),
        ("OIDC_CLIENT_ID", "page"),
        ("LINK_SCRIPT_URL", "https://cdn.merge.dev/initialize.js"),
        ("LINK_API_HOST", "https://api.merge.dev"),
    ]);
    variables.extend(extra.iter().copied());
    shared::config::load_from(&|name| variables.get(name).map(|value| (*value).to_owned()))
}

async fn get(path: &str, headers: Value) -> Result<Answer, Problem> {
    let event = json!({
        "version": "2.0", "routeKey": "GET /", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": {"timeEpoch": 0, "stage": "$default", "http": {"method": "GET", "path": path}},
        "isBase64Encoded": false,
    });
    handle(&PageFiles::new(&page(&[])).unwrap(), from_str(&event.to_string()).unwrap()).await
}

fn text(answer: &Answer) -> &str {
    match answer.body() {
        Body::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_index_names_versioned_files_that_are_served_for_ever() {
    let index = get("/", json!({})).await.unwrap();
    assert_eq!(index.headers()["cache-control"], "no-cache");
    assert_eq!(index.headers()["content-type"], "text/html; charset=utf-8");
    let html = text(&index);
    let named: Vec<_> = html.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(named.iter().any(|name| name.ends_with("/app.js")), "{named:?}");
    for name in named {
        let asset = get(&format!("/assets/{name}"), json!({})).await.unwrap();
        assert_eq!(asset.headers()["cache-control"], IMMUTABLE, "{name}");
    }
}

#[tokio::test]
async fn a_file_is_compressed_for_those_who_take_it_and_not_sent_twice() {
    let plain = get("/assets/app.js", json!({})).await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(plain.headers()["cache-control"], "no-cache");
    assert!(plain.headers().get("content-encoding").is_none());
    let zipped = get("/assets/app.js", json!({"accept-encoding": "br, gzip"})).await.unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    assert!(matches!(zipped.body(), Body::Binary(bytes) if bytes.len() < text(&plain).len()));
    let tag = zipped.headers()["etag"].to_str().unwrap();
    assert_ne!(tag, plain.headers()["etag"]);
    let known = get("/assets/app.js", json!({"accept-encoding": "gzip", "if-none-match": format!("\"x\", W/{tag}")}))
        .await
        .unwrap();
    assert_eq!(known.status().as_u16(), 304);
    assert_eq!(known.headers()["etag"], tag);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for path in
        ["/assets/", "/assets/../app.js", "/assets/types.d.ts", "/assets/package.json", "/assets/index.html", "/nope"]
    {
        assert_eq!(
            get(path, json!({})).await.map_err(|problem| problem.code().as_str()).err(),
            Some("not_found"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_answer_carries_the_policy() {
    for path in ["/", "/config.json", "/assets/app.js"] {
        let answer = get(path, json!({})).await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self' https://cdn.merge.dev;"), "{policy}");
        assert!(
            policy.contains("connect-src 'self' https://id.example.com https://api.merge.dev https://cdn.merge.dev;"),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers()["x-frame-options"], "DENY");
    }
}

#[test]
fn the_policy_follows_the_configuration() {
    let page = page(&[
        ("OIDC_ISSUER", "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc"),
        ("FRAME_ANCESTORS", "https://app.example https://admin.example"),
        ("IMG_SRC_HOSTS", "https://logos.example"),
        ("BRAND_LOGO", "https://brand.example/logo.svg"),
    ]);
    let policy = security::content_security_policy(&page);
    assert!(policy.contains("https://*.auth.eu-central-1.amazoncognito.com"), "{policy}");
    assert!(policy.contains("img-src 'self' data: https://logos.example https://brand.example;"), "{policy}");
    assert!(policy.ends_with("frame-ancestors https://app.example https://admin.example"), "{policy}");
    assert!(security::headers(&page).unwrap().iter().all(|(name, _)| *name != "x-frame-options"));
    let local = "http://127.0.0.1:9002";
    let page = self::page(&[
        ("LINK_SCRIPT_URL", "http://127.0.0.1:9002/initialize.js"),
        ("LINK_API_HOST", local),
        ("OIDC_ISSUER", local),
    ]);
    let policy = security::content_security_policy(&page);
    assert!(policy.contains(&format!("connect-src 'self' {local}; frame-src {local};")), "{policy}");
}

#[test]
fn no_setting_can_end_a_directive_or_lose_the_policy() {
    let hosts = [
        "https://api.merge.dev/x; script-src *",
        "https://api.merge.dev/a b",
        "https://api\t.merge.dev",
        "https://a,b",
    ];
    for host in hosts.into_iter().chain(["https://api.merge.dev/'unsafe-inline'"]) {
        for variable in ["LINK_API_HOST", "LINK_SCRIPT_URL", "OIDC_ISSUER"] {
            let refused = config(&[(variable, host)]).map(|_| ()).map_err(|error| error.to_string());
            assert!(refused.as_ref().is_err_and(|error| error.contains(variable)), "{variable} {host}: {refused:?}");
        }
    }
    // Only the origin of what the dialog calls stands in the policy.
    let policy = security::content_security_policy(&page(&[("LINK_API_HOST", "https://api.merge.dev/some/path")]));
    assert!(policy.contains("frame-src https://cdn.merge.dev https://api.merge.dev;"), "{policy}");
    // What got past the configuration all the same keeps the page from starting.
    let mut page = page(&[]);
    page.frame_ancestors = vec!["https://app.example\n".to_owned()];
    assert!(PageFiles::new(&page).is_err());
}

/// Merge's three regions: the script comes from one host, the dialog calls the region's own.
#[test]
fn the_dialog_is_allowed_its_hosts_in_every_region_and_nothing_else() {
    for api in ["https://api.merge.dev", "https://api-eu.merge.dev", "https://api-ap.merge.dev"] {
        let policy = security::content_security_policy(&page(&[("LINK_API_HOST", api)]));
        let sources = |directive: &str| {
            let found = policy.split("; ").find_map(|part| part.strip_prefix(&format!("{directive} ")));
            found.unwrap_or_default().split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let script = "https://cdn.merge.dev";
        assert_eq!(sources("script-src"), ["'self'", script], "{api}");
        assert_eq!(sources("frame-src"), [script, api], "{api}");
        assert_eq!(sources("connect-src"), ["'self'", "https://id.example.com", api, script], "{api}");
    }
}

#[tokio::test]
async fn the_configuration_has_the_shape_that_the_page_reads() {
    let answer = get("/config.json", json!({})).await.unwrap();
    let config: Value = serde_json::from_str(text(&answer)).unwrap();
    let expected = json!({
        "api_base": "", "issuer": "https://id.example.com/pool", "client_id": "page",
        "scope": "openid profile email tether/linked-accounts:read tether/linked-accounts:write",
        "allow_insecure_issuer": false, "brand": {"name": "Tether", "logo": null, "accent": "#3454d1"},
        "categories": ["hris", "ats", "crm", "accounting", "ticketing", "filestorage", "knowledgebase"],
        "mode": "simple", "locale": "en", "one_per_category": false, "link_script_url": "https://cdn.merge.dev/initialize.js",
        "link_api_host": "https://api.merge.dev", "host_origins": [], "poll_seconds": 15,
    });
    assert_eq!(config, expected);
}

#[test]
fn the_page_knows_where_only_one_system_fits_and_whose_language_it_speaks() {
    let page = page(&[("ORIGIN_ID_STRATEGY", "one_per_category"), ("PAGE_LOCALE", "auto")]);
    let config: Value = serde_json::from_str(&config_json(&page)).unwrap();
    assert_eq!((&config["one_per_category"], &config["locale"]), (&json!(true), &json!("auto")));
}

#[test]
fn gzip_is_sent_only_where_it_is_taken() {
    for (accepted, expected) in [
        ("gzip", true),
        ("br;q=1.0, GZIP;q=0.5", true),
        ("gzip;q=0", false),
        ("gzip; q=0.0", false),
        ("deflate", false),
        ("", false),
    ] {
        assert_eq!(accepts_gzip(accepted), expected, "{accepted}");
    }
}
