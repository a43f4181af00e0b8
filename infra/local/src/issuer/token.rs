//! The token endpoint: an authorization code of the page, or the client credentials of a service.

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::identity::{LIFETIME, Organization, access_claims, id_claims, person};
use super::scopes::{Audience, Scopes};
use super::{CLIENT_SECRET, PAGE_CLIENT, Shared};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    code_verifier: String,
}

pub(super) async fn token(State(issuer): State<Shared>, headers: HeaderMap, Form(mut ask): Form<Ask>) -> Response {
    if let Some((client, secret)) = basic(&headers) {
        (ask.client_id, ask.client_secret) = (Some(client), Some(secret));
    }
    match ask.grant_type.as_str() {
        "client_credentials" => client_credentials(&issuer, &ask),
        "authorization_code" => authorization_code(&issuer, &ask),
        _ => refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    }
}

fn client_credentials(issuer: &Shared, ask: &Ask) -> Response {
    let client = ask.client_id.as_deref().and_then(Organization::parse);
    let Some(organization) = client.filter(|_| ask.client_secret.as_deref() == Some(CLIENT_SECRET)) else {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    match Scopes::grant(ask.scope.as_deref(), &issuer.scope_prefix, Audience::Service) {
        Ok(scopes) => {
            let client = organization.id();
            let now = issuer.now();
            let claims = access_claims(&issuer.url, &issuer.audience, &organization, client, client, &scopes, now);
            answer(issuer, &claims, None, &scopes)
        }
        Err(_) => refuse(StatusCode::BAD_REQUEST, "invalid_scope"),
    }
}

fn authorization_code(issuer: &Shared, ask: &Ask) -> Response {
    if ask.client_id.as_deref() != Some(PAGE_CLIENT) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let Some(grant) = issuer.codes.redeem(&ask.code, &ask.redirect_uri, &ask.code_verifier) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let (organization, scopes, now) = (&grant.organization, &grant.scopes, issuer.now());
    let subject = person(organization);
    let access = access_claims(&issuer.url, &issuer.audience, organization, &subject, PAGE_CLIENT, scopes, now);
    let id = scopes
        .contains("openid")
        .then(|| id_claims(&issuer.url, PAGE_CLIENT, organization, grant.nonce.as_deref(), now));
    answer(issuer, &access, id.as_ref(), scopes)
}

fn answer(issuer: &Shared, access: &Value, id: Option<&Value>, scopes: &Scopes) -> Response {
    let signed = issuer.key.sign("at+jwt", access).and_then(|access| {
        let id = id.map(|claims| issuer.key.sign("JWT", claims)).transpose()?;
        Ok((access, id))
    });
    let Ok((access, id)) = signed else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error");
    };
    let mut body = json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "scope": scopes.to_string(),
    });
    if let Some(id) = id {
        body["id_token"] = id.into();
    }
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

fn refuse(status: StatusCode, error: &str) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], (status, axum::Json(json!({ "error": error })))).into_response()
}

/// Client id and secret of HTTP Basic authentication (RFC 6749 §2.3.1: form-encoded inside).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (client, secret) = pair.split_once(':')?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decode(client), decode(secret)))
}
