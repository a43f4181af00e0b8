//! The page function: serves the connect page, its files, its configuration and the API's description. Public: nothing
//! here depends on who asks.

mod assets;
mod security;

use std::borrow::Cow;

use lambda_http::http::{HeaderName, HeaderValue, header, header::InvalidHeaderValue};
use lambda_http::{Request, RequestExt};
use serde_json::json;
use shared::config::{Page, PageLocale, PageMode};
use shared::http::{Answer, Problem, Status, empty, file, json_text};

use assets::Asset;

/// What the function answers with, made once.
pub struct PageFiles {
    config: String,
    headers: Vec<(&'static str, HeaderValue)>,
}

/// May be kept for ever: the path names the version.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// May be kept, and is asked about each time.
const REVALIDATED: &str = "no-cache";
/// Seconds between two polls of the page while something is moving; on a developer's machine syncs take seconds.
const POLL_SECONDS: u32 = 15;
const POLL_SECONDS_LOCALLY: u32 = 2;

impl PageFiles {
    /// The page of a deployment. Without its policy there is none.
    pub fn new(page: &Page) -> Result<Self, InvalidHeaderValue> {
        Ok(Self { config: config_json(page), headers: security::headers(page)? })
    }
}

/// Answers one request.
pub async fn handle(files: &PageFiles, request: Request) -> Result<Answer, Problem> {
    let path = request.raw_http_path().to_owned();
    let mut answer = match path.as_str() {
        "/" => served(&request, &assets::INDEX, REVALIDATED),
        "/config.json" => with_cache(json_text(Status::Ok, files.config.clone()), REVALIDATED),
        "/openapi.json" => match &assets::OPENAPI {
            Some(openapi) => served(&request, openapi, REVALIDATED),
            None => return Err(Problem::not_found()),
        },
        other => match other.strip_prefix("/assets/").and_then(assets::find) {
            Some((asset, true)) => served(&request, asset, IMMUTABLE),
            Some((asset, false)) => served(&request, asset, REVALIDATED),
            None => return Err(Problem::not_found()),
        },
    };
    answer
        .headers_mut()
        .extend(files.headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())));
    Ok(answer)
}

/// A file, compressed if the browser takes it; or nothing new, if the browser has it.
fn served(request: &Request, asset: &'static Asset, cache: &'static str) -> Answer {
    let sent = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let gzip = asset.gzip.filter(|_| accepts_gzip(sent(header::ACCEPT_ENCODING)));
    let tag = format!("\"{}{}\"", asset.hash, if gzip.is_some() { "-gz" } else { "" });
    let mut headers = vec![(header::VARY, HeaderValue::from_static("accept-encoding"))];
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.push((header::ETAG, tag));
    }
    let answer = if sent(header::IF_NONE_MATCH).split(',').any(|known| known.trim().trim_start_matches("W/") == tag) {
        let mut answer = empty(Status::NotModified);
        answer.headers_mut().extend(headers);
        answer
    } else {
        headers.push((header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)));
        if gzip.is_some() {
            headers.push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        file(Cow::Borrowed(gzip.unwrap_or(asset.bytes)), &headers)
    };
    with_cache(answer, cache)
}

fn with_cache(mut answer: Answer, cache: &'static str) -> Answer {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && parts.all(|weight| weight.trim_end_matches(['0', '.']) != "q=")
    })
}

/// `/config.json`: what the page has to know, and nothing that is secret.
fn config_json(page: &Page) -> String {
    let prefix = &page.scope_prefix;
    json!({
        "api_base": "",
        "issuer": page.issuer,
        "client_id": page.client_id,
        "scope": format!("openid profile email {prefix}linked-accounts:read {prefix}linked-accounts:write"),
        "allow_insecure_issuer": page.allow_insecure_issuer,
        "brand": { "name": page.brand_name, "logo": page.brand_logo, "accent": page.brand_accent },
        "categories": page.categories,
        "mode": match page.mode { PageMode::Simple => "simple", PageMode::AppCentre => "app_centre" },
        "locale": match page.locale { PageLocale::En => "en", PageLocale::De => "de", PageLocale::Auto => "auto" },
        "one_per_category": page.one_per_category,
        "link_script_url": page.link_script_url,
        "link_api_host": page.link_api_host,
        "host_origins": page.frame_ancestors,
        "poll_seconds": if page.allow_insecure_issuer { POLL_SECONDS_LOCALLY } else { POLL_SECONDS },
    })
    .to_string()
}

#[cfg(test)]
mod tests;
