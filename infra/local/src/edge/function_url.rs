//! A function URL without authorization: every method and path goes to one function, 6 MB at most.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::event::{self, Call};
use super::{EVENT_LIMIT, message, now, read};
use crate::lambda::trace::Trace;
use crate::lambda::{Host, Invocation};

/// A serving function URL; dropping it ends the server.
#[derive(Debug)]
pub struct FunctionUrl {
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Target {
    host: Host,
    binary: String,
}

impl FunctionUrl {
    pub fn start(listener: TcpListener, host: Host, binary: String) -> Self {
        let router = Router::new().fallback(handle).with_state(Arc::new(Target { host, binary }));
        Self { server: crate::server::spawn(listener, router) }
    }
}

impl Drop for FunctionUrl {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(
    State(target): State<Arc<Target>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let request_id = Uuid::new_v4().to_string();
    let (parts, body) = request.into_parts();
    let Some(body) = read(body, EVENT_LIMIT).await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    // As AWS does: the query is not what was sent, nor always the query of any URI.
    let query = parts.uri.query().unwrap_or_default().replace('+', " ");
    let call = Call {
        route_key: "$default",
        raw_path: parts.uri.path(),
        raw_query_string: &query,
        path_parameters: BTreeMap::new(),
        authorizer: None,
        account_id: "anonymous",
        api_id: "local",
        request_id: &request_id,
        source_ip: peer.ip(),
        now: now(),
    };
    let event = event::event(call, &parts, &body).to_string();
    if event.len() > EVENT_LIMIT {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    }
    let chain = Trace::start(now().as_second().unsigned_abs());
    let answer = match target.host.invoke(&target.binary, event.into(), &chain).await {
        Invocation::Response(answer) => event::response(&answer),
        Invocation::FunctionError { .. } | Invocation::Timeout => None,
    };
    let mut response = answer.unwrap_or_else(|| (StatusCode::BAD_GATEWAY, "Internal Server Error").into_response());
    if let Ok(id) = request_id.parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}
