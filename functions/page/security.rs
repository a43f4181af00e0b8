//! The page's security headers: what the browser may load, call, embed and be embedded in.

use lambda_http::http::{HeaderValue, header::InvalidHeaderValue};
use shared::config::Page;

/// The Content-Security-Policy. Nothing is allowed that is not named; there is no inline script or style.
pub fn content_security_policy(page: &Page) -> String {
    let script = page.link_script_origin();
    let api = page.link_api_origin();
    let mut connect = vec![page.issuer_origin(), api.clone(), script.clone()];
    connect.extend(token_endpoint_of_cognito(&page.issuer));
    let mut images = page.img_src_hosts.clone();
    images.extend(page.brand_logo_origin());
    let ancestors = if page.frame_ancestors.is_empty() { "'none'".to_owned() } else { page.frame_ancestors.join(" ") };
    [
        "default-src 'none'".to_owned(),
        format!("script-src 'self' {script}"),
        format!("connect-src 'self' {}", listed(connect)),
        format!("frame-src {}", listed(vec![script, api])),
        format!("img-src 'self' data: {}", images.join(" ")),
        "style-src 'self'".to_owned(),
        "font-src 'self'".to_owned(),
        "base-uri 'none'".to_owned(),
        "form-action 'none'".to_owned(),
        format!("frame-ancestors {ancestors}"),
    ]
    .join("; ")
}

/// Each source once, in the order given: in the local stack several are one.
fn listed(mut sources: Vec<String>) -> String {
    let mut seen = std::collections::HashSet::new();
    sources.retain(|source| seen.insert(source.clone()));
    sources.join(" ")
}

/// Cognito's token endpoint is on another host than its issuer, named by a domain that the issuer does not tell.
fn token_endpoint_of_cognito(issuer: &str) -> Option<String> {
    let region = issuer.strip_prefix("https://cognito-idp.")?.split('.').next()?;
    Some(format!("https://*.auth.{region}.amazoncognito.com"))
}

/// The headers that every answer of the page function has. An error: the configuration makes no policy.
pub fn headers(page: &Page) -> Result<Vec<(&'static str, HeaderValue)>, InvalidHeaderValue> {
    let mut headers = vec![
        ("referrer-policy", HeaderValue::from_static("no-referrer")),
        (
            "permissions-policy",
            HeaderValue::from_static(
                "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
            ),
        ),
        // The provider's sign-in may open a window of its own.
        ("cross-origin-opener-policy", HeaderValue::from_static("same-origin-allow-popups")),
        ("strict-transport-security", HeaderValue::from_static("max-age=31536000")),
    ];
    headers.push(("content-security-policy", HeaderValue::from_str(&content_security_policy(page))?));
    if page.frame_ancestors.is_empty() {
        headers.push(("x-frame-options", HeaderValue::from_static("DENY")));
    }
    Ok(headers)
}
