//! Reply: an answer in Merge's shapes (Django REST Framework's), before HTTP makes bytes of it.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// Status and JSON text.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub body: String,
    retry_after: Option<i64>,
}

impl Reply {
    pub fn json(status: StatusCode, body: &Value) -> Reply {
        Reply::text(status, body.to_string())
    }

    pub fn ok(body: &Value) -> Reply {
        Reply::json(StatusCode::OK, body)
    }

    /// JSON that is already text.
    pub fn text(status: StatusCode, body: String) -> Reply {
        Reply { status, body, retry_after: None }
    }

    /// `{"detail": …}`.
    pub fn detail(status: StatusCode, detail: &str) -> Reply {
        Reply::json(status, &json!({"detail": detail}))
    }

    pub fn not_found() -> Reply {
        Reply::detail(StatusCode::NOT_FOUND, "Not found.")
    }

    pub fn bad_request(detail: &str) -> Reply {
        Reply::detail(StatusCode::BAD_REQUEST, detail)
    }

    /// 429 in DRF's words, with `Retry-After`.
    pub fn throttled(seconds: i64) -> Reply {
        let detail = format!("Request was throttled. Expected available in {seconds} seconds.");
        Reply::detail(StatusCode::TOO_MANY_REQUESTS, &detail).retry_after(seconds)
    }

    pub fn retry_after(mut self, seconds: i64) -> Reply {
        self.retry_after = Some(seconds);
        self
    }

    pub fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
