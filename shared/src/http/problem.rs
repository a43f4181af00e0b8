//! A problem: an answer that is not what the caller asked for, as RFC 9457 has it. It holds two messages: `detail` for
//! the caller, and the error behind it for the log.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use ::http::{HeaderValue, StatusCode, header};
use lambda_http::Body;
use serde::Serialize;

use super::Answer;
use crate::merge::MergeError;
use crate::telemetry::{self, Metric};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal $status:ident $title:literal;)+) => {
        /// The stable codes of our problems. A client may rely on them, and on nothing else of a problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant),+ }

        impl Code {
            /// Every code, for documents and tests.
            pub const ALL: &[Code] = &[$(Code::$variant),+];

            /// The code as it stands in an answer.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// One line for people; the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }
        }
    };
}

codes! {
    /// The request cannot be understood.
    InvalidRequest "invalid_request" BAD_REQUEST "The request is not valid";
    /// Neither token nor request names the end user.
    EndUserRequired "end_user_required" BAD_REQUEST "The end user is not known";
    /// The public token is unknown, used or expired.
    PublicTokenInvalid "public_token_invalid" BAD_REQUEST "The connection attempt has expired";
    /// The cursor is not one of ours.
    CursorInvalid "cursor_invalid" BAD_REQUEST "The cursor is not valid";
    /// No verified token came with the request.
    Unauthorized "unauthorized" UNAUTHORIZED "Sign in first";
    /// The token may not do this.
    Forbidden "forbidden" FORBIDDEN "Not allowed";
    /// There is no such thing, or it is another organization's.
    NotFound "not_found" NOT_FOUND "Not found";
    /// The category holds its one account already.
    AlreadyConnected "already_connected" CONFLICT "Already connected";
    /// The account is being deleted.
    Disconnecting "disconnecting" CONFLICT "Being disconnected";
    /// The account was never finished.
    NotConnected "not_connected" CONFLICT "Not connected yet";
    /// The account is gone; its records are kept for a while.
    Disconnected "disconnected" CONFLICT "Disconnected";
    /// The same connection attempt is being completed right now.
    ExchangeInProgress "exchange_in_progress" CONFLICT "Already in progress";
    /// The request with this `Idempotency-Key` is being answered right now.
    RequestInProgress "request_in_progress" CONFLICT "Already in progress";
    /// The row changed meanwhile; asking again may help.
    Conflict "conflict" CONFLICT "Changed by somebody else";
    /// The change feed no longer holds what follows the cursor.
    CursorExpired "cursor_expired" GONE "The cursor has expired";
    /// The body is larger than any valid one.
    TooLarge "request_too_large" PAYLOAD_TOO_LARGE "The request is too large";
    /// The `Idempotency-Key` came with another body before.
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY "The key is another request's";
    /// Too many requests of this kind.
    RateLimited "rate_limited" TOO_MANY_REQUESTS "Too many requests";
    /// A defect or an outage of ours.
    Internal "internal" INTERNAL_SERVER_ERROR "Something went wrong on our side";
    /// Merge does not answer, or refuses to.
    MergeUnavailable "merge_unavailable" SERVICE_UNAVAILABLE "The connection service is not available";
}

/// What went wrong, for the caller and for the log.
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    /// A problem with a sentence for the caller: nothing internal, nothing of another organization.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, cause: None }
    }

    /// 400 with a sentence that says what to correct.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// The one answer for what does not exist and for what is another organization's.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "There is no such resource.")
    }

    /// 429, with the time after which to ask again.
    pub fn rate_limited(after: Duration) -> Self {
        Self::new(Code::RateLimited, "Please try again a little later.").retry_after(after)
    }

    /// 500; the error goes to the log only.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "Please try again; the request id helps us to find the cause.").because(error)
    }

    /// Adds the time after which to ask again, sent as `Retry-After` in whole seconds.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds the error behind the problem, for the log only.
    pub fn because(mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(error.into());
        self
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Logs the problem, with the chain of its causes: an error if it is ours, a warning if it is Merge's.
    pub(super) fn log(&self, route: &str, request_id: &str) {
        let cause = self.cause.as_deref().map(|cause| telemetry::chain(cause)).unwrap_or_default();
        let code = self.code.as_str();
        match self.code {
            Code::Internal => {
                telemetry::count(Metric::InternalError, 1);
                tracing::error!(route, api_request_id = request_id, code, cause, "request failed");
            }
            Code::MergeUnavailable => tracing::warn!(route, api_request_id = request_id, code, cause, "request failed"),
            _ => tracing::info!(route, api_request_id = request_id, code, cause, "request refused"),
        }
    }

    pub(super) fn into_answer(self, request_id: &str) -> Answer {
        #[derive(Serialize)]
        struct Members<'a> {
            status: u16,
            code: &'a str,
            title: &'a str,
            detail: &'a str,
            request_id: &'a str,
        }
        let status = self.code.status();
        let members = Members {
            status: status.as_u16(),
            code: self.code.as_str(),
            title: self.code.title(),
            detail: &self.detail,
            request_id,
        };
        // Five strings and a number always serialise.
        let text = serde_json::to_string(&members).unwrap_or_default();
        let mut answer = Answer::new(Body::Text(text));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        answer
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.cause.as_deref().map(|cause| telemetry::chain(cause));
        f.debug_struct("Problem")
            .field("code", &self.code)
            .field("detail", &self.detail)
            .field("cause", &cause)
            .finish()
    }
}

/// Any error a handler passes on with `?` is ours, unless it is Merge's and would pass by itself: then the caller may
/// ask again. What Merge refuses is for the handler to judge before it uses `?`.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Problem {
    fn from(error: E) -> Self {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = source {
            if let Some(merge) = cause.downcast_ref::<MergeError>().filter(|merge| merge.is_unavailable()) {
                let after = merge.retry_after().unwrap_or(Duration::from_secs(10));
                return Self::new(Code::MergeUnavailable, "Please try again in a moment.")
                    .retry_after(after)
                    .because(error);
            }
            source = cause.source();
        }
        Self::internal(error)
    }
}
