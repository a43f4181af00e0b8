//! The edge: where HTTP enters. An HTTP API of API Gateway ([`HttpApi`]) and a function URL
//! ([`FunctionUrl`]), with their limits and their own error bodies.
//!
//! Nothing here reads a body or changes an answer: an edge turns a request into an event and an answer
//! into a response.

pub mod authorizer;
pub mod event;
mod function_url;
mod http_api;
pub mod route;

use std::time::SystemTime;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::json;

pub use function_url::FunctionUrl;
pub use http_api::{HttpApi, HttpApiOptions, INTEGRATION_TIMEOUT};

/// Largest event that Lambda takes.
const EVENT_LIMIT: usize = 6 * 1024 * 1024;

/// What is read of a body that is too large, so that its sender gets to see the answer.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;

/// The body, or `None` when it is larger than `limit` (or breaks off, when nobody is left to answer).
async fn read(body: Body, limit: usize) -> Option<Bytes> {
    let mut stream = body.into_data_stream();
    let mut kept = BytesMut::new();
    let mut received = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.ok()?;
        received += chunk.len();
        if received <= limit {
            kept.extend_from_slice(&chunk);
        } else if received > DRAIN_LIMIT {
            return None;
        }
    }
    (received <= limit).then(|| kept.freeze())
}

/// API Gateway's error body.
fn message(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}

fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or_default()
}
