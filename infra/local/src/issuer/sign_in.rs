//! Signing in: the authorization endpoint, its page with one button per organization, and the codes
//! that it hands to the connect page.
//!
//! A code is single-use, lives a minute and is bound to the redirect URI and to the PKCE challenge.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::identity::Organization;
use super::scopes::{Audience, Scopes};
use super::{PAGE_CLIENT, Shared};

const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Offered on the page, in this order.
const OFFERED: [&str; 2] = ["org_acme", "org_globex"];

/// What the authorization endpoint is asked.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    prompt: Option<String>,
    /// Only in the form: the chosen button.
    organization: Option<String>,
}

/// What a code stands for.
#[derive(Debug)]
pub(super) struct Grant {
    pub organization: Organization,
    pub scopes: Scopes,
    pub nonce: Option<String>,
    redirect_uri: String,
    challenge: String,
    issued: Instant,
}

/// The codes that were not redeemed yet.
#[derive(Debug, Default)]
pub(super) struct Codes {
    grants: Mutex<HashMap<String, Grant>>,
}

impl Codes {
    fn issue(&self, grant: Grant) -> String {
        let code = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, grant| grant.issued.elapsed() < CODE_LIFETIME);
        grants.insert(code.clone(), grant);
        code
    }

    /// Takes the code's grant, once, if the redirect URI and the PKCE verifier fit.
    pub fn redeem(&self, code: &str, redirect_uri: &str, verifier: &str) -> Option<Grant> {
        let grant = self.grants.lock().unwrap_or_else(PoisonError::into_inner).remove(code)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let fits = grant.issued.elapsed() < CODE_LIFETIME
            && grant.redirect_uri == redirect_uri
            && (43..=128).contains(&verifier.len())
            && grant.challenge == challenge;
        fits.then_some(grant)
    }
}

pub(super) async fn page(State(issuer): State<Shared>, Query(ask): Query<Ask>) -> Response {
    match check(&issuer, &ask) {
        Ok(_) => sign_in_page(&issuer, &ask),
        Err(refusal) => *refusal,
    }
}

pub(super) async fn choose(State(issuer): State<Shared>, Form(ask): Form<Ask>) -> Response {
    let (scopes, challenge) = match check(&issuer, &ask) {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    let chosen = ask.organization.as_deref().filter(|id| OFFERED.contains(id)).and_then(Organization::parse);
    let Some(organization) = chosen else {
        return back(&issuer, &ask, &[("error", "access_denied")]);
    };
    let code = issuer.codes.issue(Grant {
        organization,
        scopes,
        nonce: ask.nonce.clone(),
        redirect_uri: ask.redirect_uri.clone(),
        challenge,
        issued: Instant::now(),
    });
    back(&issuer, &ask, &[("code", &code)])
}

/// The granted scopes and the PKCE challenge of a well-formed request. A fault in the client or its
/// redirect URI is shown here; any other goes back to the client.
fn check(issuer: &Shared, ask: &Ask) -> Result<(Scopes, String), Box<Response>> {
    let shown = |text: &'static str| Box::new((StatusCode::BAD_REQUEST, text).into_response());
    if ask.client_id != PAGE_CLIENT {
        return Err(shown("This application is not known here."));
    }
    let redirect = Url::parse(&ask.redirect_uri).ok();
    if redirect.is_none_or(|url| url.origin().ascii_serialization() != issuer.page_origin || url.fragment().is_some()) {
        return Err(shown("This application may not be returned to at that address."));
    }
    let refuse = |error: &str, description: &str| {
        Err(Box::new(back(issuer, ask, &[("error", error), ("error_description", description)])))
    };
    if ask.response_type != "code" {
        return refuse("unsupported_response_type", "response_type must be code");
    }
    let challenge = match (ask.code_challenge.as_deref(), ask.code_challenge_method.as_deref()) {
        (Some(challenge), Some("S256")) if challenge.len() == 43 => challenge.to_owned(),
        _ => return refuse("invalid_request", "PKCE with S256 is required"),
    };
    if ask.prompt.as_deref() == Some("none") {
        return refuse("login_required", "nobody is signed in");
    }
    match Scopes::grant(ask.scope.as_deref(), &issuer.scope_prefix, Audience::Person) {
        Ok(scopes) => Ok((scopes, challenge)),
        Err(scope) => refuse("invalid_scope", &scope),
    }
}

/// Back to the client with `answer`, its state and our name (RFC 9207).
fn back(issuer: &Shared, ask: &Ask, answer: &[(&str, &str)]) -> Response {
    let Ok(mut url) = Url::parse(&ask.redirect_uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut query = url.query_pairs_mut();
    query.extend_pairs(answer);
    if let Some(state) = &ask.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", &issuer.url);
    drop(query);
    Redirect::to(url.as_str()).into_response()
}

fn sign_in_page(issuer: &Shared, ask: &Ask) -> Response {
    let kept = [
        ("response_type", Some(&ask.response_type)),
        ("client_id", Some(&ask.client_id)),
        ("redirect_uri", Some(&ask.redirect_uri)),
        ("scope", ask.scope.as_ref()),
        ("state", ask.state.as_ref()),
        ("nonce", ask.nonce.as_ref()),
        ("code_challenge", ask.code_challenge.as_ref()),
        ("code_challenge_method", ask.code_challenge_method.as_ref()),
    ];
    let hidden: String = kept
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)))
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escape(value)))
        .collect();
    let buttons: String = OFFERED
        .iter()
        .filter_map(|id| Organization::parse(id))
        .map(|organization| {
            format!(
                "<button type=\"submit\" name=\"organization\" value=\"{}\">{}<span>{}</span></button>\n",
                organization.id(),
                organization.name(),
                organization.email(),
            )
        })
        .collect();
    let html = include_str!("sign_in.html").replace("<!-- hidden -->", &hidden).replace("<!-- buttons -->", &buttons);
    // The form's answer redirects to the page, which browsers count as the form's target.
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        issuer.page_origin
    );
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-store".to_owned())], Html(html))
        .into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
