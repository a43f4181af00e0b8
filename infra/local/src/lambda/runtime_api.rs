//! The Lambda Runtime API, version 2018-06-01: what every function process talks to.
//!
//! On AWS each execution environment has an endpoint of its own. Here one listener serves all: the
//! base URL that a process is given ends in `/w/{worker}`, which names it. (The runtime crate takes a
//! base path only behind a scheme, so `AWS_LAMBDA_RUNTIME_API` begins with `http://`.)

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::Registry;
use super::worker::Answer;

/// Largest response that Lambda takes from a function.
const RESPONSE_LIMIT: usize = 6_291_556;

/// How long a process may be unknown after its start: its registration follows the fork.
const REGISTRATION: Duration = Duration::from_secs(5);

pub(super) fn router(registry: Registry) -> Router {
    Router::new()
        .route("/w/{worker}/2018-06-01/runtime/invocation/next", get(next))
        .route("/w/{worker}/2018-06-01/runtime/invocation/{request}/response", post(response))
        .route("/w/{worker}/2018-06-01/runtime/invocation/{request}/error", post(error))
        .route("/w/{worker}/2018-06-01/runtime/init/error", post(init_error))
        .with_state(registry)
}

async fn next(State(registry): State<Registry>, Path(worker): Path<String>) -> Response {
    let Some(worker) = registry.wait_for(&worker, REGISTRATION).await else {
        return unknown("worker");
    };
    let Some(job) = worker.next().await else {
        return unknown("worker");
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", job.request_id.clone()),
        ("lambda-runtime-deadline-ms", job.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", job.function_arn),
        ("lambda-runtime-trace-id", job.trace_header),
    ];
    worker.began(job.request_id, job.answer);
    (headers, job.payload).into_response()
}

async fn response(
    State(registry): State<Registry>,
    Path((worker, request)): Path<(String, String)>,
    body: Request<Body>,
) -> Response {
    let Some(worker) = registry.wait_for(&worker, Duration::ZERO).await else {
        return unknown("worker");
    };
    let answer = match to_bytes(body.into_body(), RESPONSE_LIMIT).await {
        Ok(body) => Answer::Response(body),
        Err(_) => Answer::Error {
            kind: "Function.ResponseSizeTooLarge".to_owned(),
            message: format!("Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."),
        },
    };
    let too_large = matches!(answer, Answer::Error { .. });
    match (worker.answered(&request, answer), too_large) {
        (false, _) => unknown("request"),
        (true, true) => {
            problem(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "Exceeded maximum payload size")
        }
        (true, false) => accepted(),
    }
}

async fn error(
    State(registry): State<Registry>,
    Path((worker, request)): Path<(String, String)>,
    headers: HeaderMap,
    body: Request<Body>,
) -> Response {
    let Some(worker) = registry.wait_for(&worker, Duration::ZERO).await else {
        return unknown("worker");
    };
    let answer = diagnostic(&headers, body).await;
    if worker.answered(&request, answer) { accepted() } else { unknown("request") }
}

async fn init_error(
    State(registry): State<Registry>,
    Path(worker): Path<String>,
    headers: HeaderMap,
    body: Request<Body>,
) -> Response {
    let Some(worker) = registry.wait_for(&worker, REGISTRATION).await else {
        return unknown("worker");
    };
    worker.init_failed(diagnostic(&headers, body).await);
    accepted()
}

/// `{"errorType", "errorMessage"}`, either of which may be absent.
async fn diagnostic(headers: &HeaderMap, body: Request<Body>) -> Answer {
    let body = to_bytes(body.into_body(), RESPONSE_LIMIT).await.unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = headers.get("lambda-runtime-function-error-type").and_then(|value| value.to_str().ok());
    let kind = json["errorType"].as_str().or(header).unwrap_or("Unhandled").to_owned();
    let message = json["errorMessage"].as_str().unwrap_or_default().to_owned();
    Answer::Error { kind, message }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({"status": "OK"}))).into_response()
}

fn unknown(what: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "InvalidRequestID", &format!("Unknown {what}"))
}

fn problem(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, axum::Json(json!({"errorType": kind, "errorMessage": message}))).into_response()
}
