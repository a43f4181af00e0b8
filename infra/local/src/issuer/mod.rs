//! The issuer: a small OpenID Connect provider that stands in for the identity provider of a deployment.
//!
//! People sign in on the page's behalf with authorization code and PKCE and choose an organization;
//! services use client credentials. Every organization `org_<name>` exists. Tokens are RS256.

mod identity;
mod key;
mod scopes;
mod sign_in;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use key::SigningKey;
use scopes::Scopes;
use sign_in::Codes;

/// The connect page's public client.
pub const PAGE_CLIENT: &str = "tether-page";

/// The secret of every organization's own client.
pub const CLIENT_SECRET: &str = "dev";

/// What an issuer is made of.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// Its own URL, without a trailing slash.
    pub url: String,
    /// The only origin that people are sent back to and that may read answers.
    pub page_origin: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// Put before the API's scopes.
    pub scope_prefix: String,
    /// Keeps the key across restarts.
    pub data_dir: Option<PathBuf>,
}

/// A serving issuer; dropping it ends the server.
#[derive(Debug)]
pub struct Issuer {
    server: JoinHandle<()>,
}

/// Why an issuer cannot work.
#[derive(Debug, Error)]
pub enum IssuerError {
    #[error("the issuer's key file cannot be used: {0}")]
    KeyFile(std::io::Error),
    #[error("the issuer's key cannot be generated")]
    KeyGeneration,
    #[error("the issuer's key cannot sign: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
}

struct Provider {
    url: String,
    page_origin: String,
    audience: String,
    scope_prefix: String,
    key: SigningKey,
    codes: Codes,
}

type Shared = Arc<Provider>;

impl Issuer {
    /// # Errors
    ///
    /// When the key cannot be made, read or stored.
    pub fn start(listener: TcpListener, options: IssuerOptions) -> Result<Self, IssuerError> {
        let provider: Shared = Arc::new(Provider {
            key: SigningKey::load(options.data_dir.as_deref())?,
            url: options.url,
            page_origin: options.page_origin,
            audience: options.audience,
            scope_prefix: options.scope_prefix,
            codes: Codes::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery).options(preflight))
            .route("/.well-known/jwks.json", get(keys).options(preflight))
            .route("/token", post(token::token).options(preflight))
            .route("/authorize", get(sign_in::page).post(sign_in::choose))
            .route("/logout", get(logout))
            .layer(map_response_with_state(provider.clone(), allow_page))
            .with_state(provider);
        Ok(Self { server: crate::server::spawn(listener, router) })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Provider {
    /// Seconds since the epoch.
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

async fn discovery(State(issuer): State<Shared>) -> Json<Value> {
    let url = &issuer.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "end_session_endpoint": format!("{url}/logout"),
        "scopes_supported": Scopes::supported(&issuer.scope_prefix),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "org_id", "org_name"],
    }))
}

async fn keys(State(issuer): State<Shared>) -> Json<Value> {
    Json(json!(issuer.key.public()))
}

#[derive(Debug, Deserialize)]
struct Logout {
    post_logout_redirect_uri: Option<String>,
    state: Option<String>,
}

/// There is no session to end: the page only wants to come back.
async fn logout(State(issuer): State<Shared>, Query(ask): Query<Logout>) -> Response {
    let target = ask.post_logout_redirect_uri.as_deref().and_then(|url| Url::parse(url).ok());
    match target.filter(|url| url.origin().ascii_serialization() == issuer.page_origin) {
        Some(mut url) => {
            if let Some(state) = &ask.state {
                url.query_pairs_mut().append_pair("state", state);
            }
            Redirect::to(url.as_str()).into_response()
        }
        None => "You are signed out.".into_response(),
    }
}

async fn preflight() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Lets the page, and no other origin, read every answer.
async fn allow_page(State(issuer): State<Shared>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(&issuer.page_origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization,content-type"));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    response
}
