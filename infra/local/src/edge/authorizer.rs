//! The JWT authorizer of an HTTP API: it verifies a token as API Gateway does, before any function runs.
//!
//! Only RS256 is accepted, whatever a token's header says, and keys come only from the issuer's own
//! JWKS, so neither `alg: none` nor an HMAC keyed with the public key passes. Checked are `iss`, `aud`
//! (or `client_id` when there is no `aud`), `exp`, `nbf`, `iat` and the route's scopes.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html>

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, get_current_timestamp};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::deployment::JwtAuthorizer;

/// An unknown key id makes the keys be read again, at most this often.
const REFRESH: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Authorizer {
    issuer: String,
    audiences: Vec<String>,
    http: reqwest::Client,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    by_id: HashMap<String, Jwk>,
    read_at: Option<Instant>,
}

/// Why a request does not reach its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No valid token: 401.
    Unauthorized,
    /// A valid token without any of the route's scopes: 403.
    Forbidden,
}

impl Authorizer {
    pub fn new(authorizer: &JwtAuthorizer, http: reqwest::Client) -> Self {
        Self {
            issuer: authorizer.issuer.clone(),
            audiences: authorizer.audiences.clone(),
            http,
            keys: Mutex::default(),
        }
    }

    /// Verifies the `Authorization` header for a route that wants one of `scopes` and returns
    /// `requestContext.authorizer`.
    ///
    /// # Errors
    ///
    /// How API Gateway refuses.
    pub async fn authorize(&self, header: Option<&str>, scopes: &[String]) -> Result<Value, Refusal> {
        let header = header.ok_or(Refusal::Unauthorized)?.trim();
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            Some(_) => return Err(Refusal::Unauthorized),
            None => header,
        };
        let claims = self.verify(token).await.ok_or(Refusal::Unauthorized)?;
        let carried = claims.get("scope").or_else(|| claims.get("scp")).map(words).unwrap_or_default();
        let matching: Vec<_> = scopes.iter().filter(|scope| carried.contains(scope)).collect();
        if !scopes.is_empty() && matching.is_empty() {
            return Err(Refusal::Forbidden);
        }
        let claims: Map<_, _> = claims.iter().map(|(name, value)| (name.clone(), as_string(value).into())).collect();
        let scopes = if scopes.is_empty() { Value::Null } else { json!(matching) };
        Ok(json!({"jwt": {"claims": claims, "scopes": scopes}}))
    }

    async fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let header = decode_header(token).ok()?;
        if header.alg != Algorithm::RS256 {
            return None;
        }
        let key = self.key(&header.kid?).await?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.set_issuer(&[&self.issuer]);
        // Its own rule follows: `client_id` may stand in for a missing `aud`.
        validation.validate_aud = false;
        let claims = decode::<Map<String, Value>>(token, &key, &validation).ok()?.claims;
        let named = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).collect(),
            Some(audience) => audience.as_str().into_iter().collect::<Vec<_>>(),
            None => claims.get("client_id")?.as_str().into_iter().collect(),
        };
        if !named.iter().any(|name| self.audiences.iter().any(|audience| audience == name)) {
            return None;
        }
        let issued_at = claims.get("iat").map_or(Some(0), Value::as_u64)?;
        (issued_at <= get_current_timestamp()).then_some(claims)
    }

    async fn key(&self, id: &str) -> Option<DecodingKey> {
        let mut keys = self.keys.lock().await;
        if !keys.by_id.contains_key(id) && keys.read_at.is_none_or(|at| at.elapsed() > REFRESH) {
            match self.read_keys().await {
                Ok(set) => {
                    let named = set.keys.into_iter().filter_map(|key| Some((key.common.key_id.clone()?, key)));
                    *keys = Keys { by_id: named.collect(), read_at: Some(Instant::now()) };
                }
                Err(error) => tracing::warn!(%error, issuer = self.issuer, "the issuer's keys cannot be read"),
            }
        }
        DecodingKey::from_jwk(keys.by_id.get(id)?).ok()
    }

    async fn read_keys(&self) -> reqwest::Result<JwkSet> {
        #[derive(serde::Deserialize)]
        struct Discovery {
            jwks_uri: String,
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.http.get(url).send().await?.error_for_status()?.json().await?;
        self.http.get(discovery.jwks_uri).send().await?.error_for_status()?.json().await
    }
}

/// A scope claim's words, be it one string or a list.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Claims are strings in events; a list is written `[a b]`.
fn as_string(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(as_string).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}
