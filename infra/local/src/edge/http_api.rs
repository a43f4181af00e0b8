//! An HTTP API of API Gateway: routes, JWT authorizer, limits.
//!
//! The order is API Gateway's: route (404), body (413), token (401), scope (403), function. A function
//! that fails is a 500, one that takes longer than 30 s a 503.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::authorizer::{Authorizer, Refusal};
use super::event::{self, Call};
use super::route::Routes;
use super::{EVENT_LIMIT, message, now, read};
use crate::lambda::trace::Trace;
use crate::lambda::{Host, Invocation};

const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// Request headers that another origin's page may send: those of the template.
const ALLOWED_HEADERS: &str = "authorization,content-type,idempotency-key,tether-organization";
/// API Gateway's limit for an integration.
pub const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What an HTTP API is made of.
#[derive(Debug)]
pub struct HttpApiOptions {
    pub routes: Routes,
    /// `None` refuses every protected route.
    pub authorizer: Option<Authorizer>,
    /// Origins whose pages may read answers; empty: CORS is off.
    pub cors_origins: Vec<String>,
    pub account_id: String,
    /// How long a function may take to answer.
    pub integration_timeout: Duration,
    pub host: Host,
}

/// A serving HTTP API; dropping it ends the server.
#[derive(Debug)]
pub struct HttpApi {
    server: JoinHandle<()>,
}

impl HttpApi {
    pub fn start(listener: TcpListener, options: HttpApiOptions) -> Self {
        let router = Router::new().fallback(handle).with_state(Arc::new(options));
        Self { server: crate::server::spawn(listener, router) }
    }
}

impl Drop for HttpApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(
    State(api): State<Arc<HttpApiOptions>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let request_id = Uuid::new_v4().simple().to_string();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed =
        origin.filter(|origin| api.cors_origins.iter().any(|known| known == "*" || *origin == known.as_str()));
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key("access-control-request-method");
    let mut response = if preflight && !api.cors_origins.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        respond(&api, peer, request, &request_id).await
    };
    if let Some(origin) = allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("DELETE,GET,PATCH,POST"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
        }
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("apigw-requestid", id);
    }
    response
}

async fn respond(api: &HttpApiOptions, peer: SocketAddr, request: Request, request_id: &str) -> Response {
    let (parts, body) = request.into_parts();
    // API Gateway decodes a path once, before it looks for the route.
    let Ok(path) = percent_decode_str(parts.uri.path()).decode_utf8() else {
        return message(StatusCode::BAD_REQUEST, "Bad Request");
    };
    let Some((route, path_parameters)) = api.routes.find(parts.method.as_str(), &path) else {
        return message(StatusCode::NOT_FOUND, "Not Found");
    };
    let Some(body) = read(body, BODY_LIMIT).await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let mut authorizer = None;
    if route.jwt {
        let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let decided = match &api.authorizer {
            Some(authorizer) => authorizer.authorize(token, &route.scopes).await,
            None => Err(Refusal::Unauthorized),
        };
        authorizer = match decided {
            Ok(context) => Some(context),
            Err(refusal) => return refuse(refusal, &route.scopes),
        };
    }
    let call = Call {
        route_key: &route.key,
        raw_path: &path,
        raw_query_string: parts.uri.query().unwrap_or_default(),
        path_parameters,
        authorizer,
        account_id: &api.account_id,
        api_id: "local",
        request_id,
        source_ip: peer.ip(),
        now: now(),
    };
    let event = event::event(call, &parts, &body).to_string();
    if event.len() > EVENT_LIMIT {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    }
    let chain = Trace::start(now().as_second().unsigned_abs());
    let invocation = api.host.invoke(&route.binary, event.into(), &chain);
    match tokio::time::timeout(api.integration_timeout, invocation).await {
        Ok(Invocation::Response(answer)) => event::response(&answer)
            .unwrap_or_else(|| message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")),
        Ok(Invocation::FunctionError { .. } | Invocation::Timeout) => {
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
        Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

fn refuse(refusal: Refusal, scopes: &[String]) -> Response {
    let (status, text, challenge) = match refusal {
        Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized", "Bearer".to_owned()),
        Refusal::Forbidden => {
            let challenge = format!("Bearer scope=\"{}\" error=\"insufficient_scope\"", scopes.join(" "));
            (StatusCode::FORBIDDEN, "Forbidden", challenge)
        }
    };
    ([(header::WWW_AUTHENTICATE, challenge)], message(status, text)).into_response()
}
