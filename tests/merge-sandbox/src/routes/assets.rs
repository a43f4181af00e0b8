//! What browsers load: the dialog's script and the integrations' logos.

use axum::body::Body;
use axum::response::Response;
use http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::integrations;
use crate::reply::Reply;

/// `GET /initialize.js`.
pub fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/initialize.js"))
}

/// `GET /link/{token}`: where a magic link leads.
pub fn magic_link_page() -> Response {
    asset("text/html; charset=utf-8", include_str!("../../assets/magic-link.html"))
}

/// `GET /magic-link.js`.
pub fn magic_link_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/magic-link.js"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `GET /logos/{slug}.svg` and `{slug}-square.svg`.
pub fn logo(file: &str) -> Response {
    let name = file.strip_suffix(".svg").unwrap_or(file);
    let (slug, is_square) = name.strip_suffix("-square").map_or((name, false), |slug| (slug, true));
    let Some(integration) = integrations::by_slug(slug) else { return Reply::not_found().into_response() };
    let mut response = Response::new(Body::from(integration.logo(is_square)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// The browser's question before the dialog posts JSON from another origin.
pub fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    response
}
