//! HTTP: what our functions take from API Gateway and answer to it. The only place that knows status codes.
//!
//! A handler is `async fn(Request) -> Result<Answer, Problem>`; [`serve`] runs it under Lambda, and [`respond`] is one
//! turn of that, for whoever hosts handlers otherwise. What goes wrong is a [`Problem`]; who asks is a [`Caller`].

mod arrival;
mod caller;
mod input;
mod problem;

use std::borrow::Cow;
use std::future::Future;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use lambda_http::{Adapter, Body, Request, RequestExt, Response, service_fn};
use serde::Serialize;
use tracing::Instrument;

pub use caller::{Caller, Scope, is_authenticated};
pub use input::{Query, account_id, body, body_or_default, idempotency_key, path_parameter, query, raw_body};
pub use problem::{Code, Problem};

use crate::telemetry;
use arrival::Arrival;

/// What a handler answers.
pub type Answer = Response<Body>;

/// The statuses that are not problems, and the empty ones of the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 201.
    Created,
    /// 202.
    Accepted,
    /// 304.
    NotModified,
    /// 401 without a body, for a webhook whose signature does not hold.
    Unauthorized,
    /// 404 without a body.
    NotFound,
    /// 405 without a body.
    MethodNotAllowed,
    /// 503 without a body: Merge tries a webhook again after 5xx, never after 4xx.
    Unavailable,
}

impl Status {
    fn code(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Created => StatusCode::CREATED,
            Self::Accepted => StatusCode::ACCEPTED,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// 200 with a JSON body.
pub fn ok<T: Serialize + ?Sized>(value: &T) -> Result<Answer, Problem> {
    json(Status::Ok, value)
}

/// 201 with a JSON body.
pub fn created<T: Serialize + ?Sized>(value: &T) -> Result<Answer, Problem> {
    json(Status::Created, value)
}

/// 202 with a JSON body.
pub fn accepted<T: Serialize + ?Sized>(value: &T) -> Result<Answer, Problem> {
    json(Status::Accepted, value)
}

/// A JSON body of any status.
pub fn json<T: Serialize + ?Sized>(status: Status, value: &T) -> Result<Answer, Problem> {
    let text = serde_json::to_string(value).map_err(Problem::internal)?;
    Ok(json_text(status, text))
}

/// A body that is JSON already, such as a page of records spliced together byte for byte.
pub fn json_text(status: Status, text: String) -> Answer {
    let mut answer = empty(status);
    *answer.body_mut() = Body::Text(text);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// No body at all.
pub fn empty(status: Status) -> Answer {
    let mut answer = Answer::new(Body::Empty);
    *answer.status_mut() = status.code();
    answer
}

/// A file: its bytes, and headers of its own. Text stays text, since Lambda carries binary bodies as base64.
pub fn file(bytes: Cow<'static, [u8]>, headers: &[(HeaderName, HeaderValue)]) -> Answer {
    let body = match String::from_utf8(bytes.into_owned()) {
        Ok(text) => Body::Text(text),
        Err(binary) => Body::Binary(binary.into_bytes()),
    };
    let mut answer = empty(Status::Ok);
    *answer.body_mut() = body;
    answer.headers_mut().extend(headers.iter().cloned());
    answer
}

/// Runs a handler under Lambda until the process ends.
pub async fn serve<F, Fut>(handler: F) -> Result<(), lambda_http::Error>
where
    F: Fn(Request) -> Fut + Sync,
    Fut: Future<Output = Result<Answer, Problem>> + Send,
{
    let handler = &handler;
    let service =
        service_fn(
            |request: Request| async move { Ok::<_, std::convert::Infallible>(respond(request, handler).await) },
        );
    lambda_http::lambda_runtime::run(Arrival(Adapter::from(service))).await
}

/// Answers one request: runs the handler within the invocation's span, turns a [`Problem`] into an answer and logs it,
/// once, and adds the headers that every answer has.
pub async fn respond<F, Fut>(request: Request, handler: &F) -> Answer
where
    F: Fn(Request) -> Fut,
    Fut: Future<Output = Result<Answer, Problem>>,
{
    let invocation = request.lambda_context_ref().map(|context| context.request_id.clone()).unwrap_or_default();
    let request_id = input::request_id(&request).unwrap_or_else(|| invocation.clone());
    let route = input::route(&request);
    let span = telemetry::invocation(&invocation);
    async {
        let mut answer = match handler(request).await {
            Ok(answer) => {
                tracing::debug!(route, status = answer.status().as_u16(), "answered");
                answer
            }
            Err(problem) => {
                problem.log(&route, &request_id);
                problem.into_answer(&request_id)
            }
        };
        let headers = answer.headers_mut();
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests;
