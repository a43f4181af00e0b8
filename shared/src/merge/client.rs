//! The client: builds a request, sends it within its limits, judges the status, and hands the body to whoever asked.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::breaker::Breaker;
use super::error::{ErrorKind, MergeError, redacted};
use super::transport::{Limits, ReqwestTransport, Transport};
use crate::config::{self, tls::TlsError};
use crate::domain::secret::{AccountToken, ApiKey};
use crate::telemetry::{self, Metric};

/// Calls of functions behind API Gateway, which itself waits 30 s for several of them.
pub(super) const CALL: Limits = Limits { timeout: Duration::from_secs(8), body: 1024 * 1024 };

/// Pages of records: 100 records, each perhaps with its remote data.
pub(super) const PAGE: Limits = Limits { timeout: Duration::from_secs(25), body: 32 * 1024 * 1024 };

/// The longest pause that an answer may ask for; a day would park an account for no good reason.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Calls Merge's API with one API key. Cheap to clone; the clones share the breaker.
#[derive(Clone)]
pub struct MergeClient(Arc<Inner>);

struct Inner {
    base_url: String,
    key: Mutex<Key>,
    transport: Arc<dyn Transport>,
    breaker: Breaker,
}

/// Reads the API key again; `None` if it cannot be read now.
pub type KeySource = Arc<dyn Fn() -> BoxFuture<'static, Option<ApiKey>> + Send + Sync>;

struct Key {
    current: ApiKey,
    source: Option<KeySource>,
    asked: Option<Instant>,
}

/// A revoked key must not turn every call into two.
const ASK_FOR_KEY_EVERY: Duration = Duration::from_secs(30);

/// The base URL is not one that an API key may be sent to.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// Not a URL, or with credentials, query or fragment.
    #[error("Merge's base URL is not a plain URL")]
    NotPlain,
    /// Plain HTTP to another machine.
    #[error("Merge's base URL is not https")]
    NotHttps,
    /// There is no way out of this process.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl MergeClient {
    /// The client of a function: over the process's HTTP client.
    pub fn new(merge: &config::Merge, api_key: ApiKey) -> Result<Self, InvalidBaseUrl> {
        let transport = ReqwestTransport::new(config::tls::http_client()?);
        Self::over(&merge.base_url, api_key, Arc::new(transport))
    }

    /// A client over any transport. `base_url` ends in `/api` and is https, unless its host is this machine.
    pub fn over(base_url: &str, api_key: ApiKey, transport: Arc<dyn Transport>) -> Result<Self, InvalidBaseUrl> {
        let url = Url::parse(base_url).map_err(|_| InvalidBaseUrl::NotPlain)?;
        if !config::is_plain(&url) {
            return Err(InvalidBaseUrl::NotPlain);
        }
        if !config::is_secret(&url) {
            return Err(InvalidBaseUrl::NotHttps);
        }
        let base_url = base_url.trim_end_matches('/').to_owned();
        let key = Mutex::new(Key { current: api_key, source: None, asked: None });
        Ok(Self(Arc::new(Inner { base_url, key, transport, breaker: Breaker::default() })))
    }

    /// Gives the client, and its clones, a way to learn of a new API key: when Merge refuses the current one, the
    /// source is asked, at most every 30 s, and with another key the call is made once more.
    pub fn with_key_source(self, source: KeySource) -> Self {
        self.key().source = Some(source);
        self
    }

    fn key(&self) -> MutexGuard<'_, Key> {
        // Each statement leaves the key whole.
        self.0.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is another key now than the one that was refused.
    async fn key_changed(&self) -> bool {
        let source = {
            let mut key = self.key();
            if key.asked.is_some_and(|asked| asked.elapsed() < ASK_FOR_KEY_EVERY) {
                return false;
            }
            key.asked = Some(Instant::now());
            key.source.clone()
        };
        let Some(source) = source else { return false };
        let Some(newer) = source().await else { return false };
        let mut key = self.key();
        let changed = key.current.expose() != newer.expose();
        key.current = newer;
        changed
    }

    /// Sends a call and gives the body of its 2xx answer.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Bytes, MergeError> {
        let mut result = self.attempt(&call).await;
        if matches!(&result, Err(error) if error.kind() == ErrorKind::Unauthorized) && self.key_changed().await {
            result = self.attempt(&call).await;
        }
        if let Err(error) = &result {
            telemetry::count_by(Metric::MergeError, error.label(), 1);
            if error.is_api_key_refused() {
                telemetry::count(Metric::MergeApiKeyRefused, 1);
            }
        }
        result.map_err(|error| error.scoped(call.account_token.is_some()))
    }

    /// Sends a call and parses its answer.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, MergeError> {
        let name = call.name;
        let body = self.send(call).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let error = malformed(name, &error);
            telemetry::count_by(Metric::MergeError, error.label(), 1);
            error
        })
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Bytes, MergeError> {
        self.0.breaker.check().map_err(|left| {
            MergeError::new(ErrorKind::Unavailable, call.name).after(Some(left)).because(BreakerOpen)
        })?;
        let request = self.request(call)?;
        let answer = match self.0.transport.send(request, call.limits).await {
            Ok(answer) => answer,
            Err(error) => {
                self.0.breaker.failed();
                return Err(MergeError::transport(call.name, error));
            }
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        if status != StatusCode::TOO_MANY_REQUESTS {
            self.0.breaker.failed();
        }
        let kind = match status.as_u16() {
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            429 => ErrorKind::RateLimited,
            300..=399 => ErrorKind::Redirect,
            400..=499 => ErrorKind::Rejected,
            _ => ErrorKind::Unavailable,
        };
        Err(MergeError::new(kind, call.name)
            .scoped(call.account_token.is_some())
            .status(status.as_u16())
            .after(pause(answer.headers(), SystemTime::now()))
            .detail(self.detail(call, answer.body())))
    }

    fn request(&self, call: &Call<'_>) -> Result<http::Request<Bytes>, MergeError> {
        let unusable = |error: http::Error| MergeError::new(ErrorKind::Rejected, call.name).because(error);
        let mut url = format!("{}/{}", self.0.base_url, call.path);
        if !call.query.is_empty() {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&call.query);
            url.push('?');
            url.push_str(&query.finish());
        }
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(url)
            .header(header::ACCEPT, HeaderValue::from_static("application/json"))
            .header(header::USER_AGENT, HeaderValue::from_static(concat!("tether/", env!("CARGO_PKG_VERSION"))))
            .header(
                header::AUTHORIZATION,
                secret(&format!("Bearer {}", self.key().current.expose())).map_err(unusable)?,
            );
        if let Some(token) = call.account_token {
            request = request.header("x-account-token", secret(token.expose()).map_err(unusable)?);
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = call.body.clone().unwrap_or_default();
        request.body(body).map_err(unusable)
    }

    /// Merge's `detail`, or nothing: other shapes of its errors repeat what was sent.
    fn detail(&self, call: &Call<'_>, body: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Detail {
            detail: String,
        }
        let Detail { detail } = serde_json::from_slice(body).ok()?;
        let key = self.key().current.clone();
        let mut secrets = vec![key.expose()];
        secrets.extend(call.account_token.map(AccountToken::expose));
        secrets.extend(call.secret);
        Some(redacted(&detail, &secrets))
    }
}

impl fmt::Debug for MergeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeClient").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("too many calls failed; the breaker is open")]
struct BreakerOpen;

/// One call, about to be made.
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    pub(super) method: Method,
    /// Below the base URL, without a leading slash; already percent-encoded.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) account_token: Option<&'a AccountToken>,
    pub(super) body: Option<Bytes>,
    /// A secret that stands in the path.
    pub(super) secret: Option<&'a str>,
    pub(super) limits: Limits,
}

impl<'a> Call<'a> {
    pub(super) fn get(name: &'static str, path: String) -> Self {
        Self {
            name,
            method: Method::GET,
            path,
            query: Vec::new(),
            account_token: None,
            body: None,
            secret: None,
            limits: CALL,
        }
    }

    pub(super) fn post(name: &'static str, path: String, body: Option<Bytes>) -> Self {
        Self { method: Method::POST, body, ..Self::get(name, path) }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn account(mut self, token: &'a AccountToken) -> Self {
        self.account_token = Some(token);
        self
    }

    pub(super) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

pub(super) fn malformed(call: &'static str, error: &serde_json::Error) -> MergeError {
    MergeError::new(ErrorKind::Malformed, call).because(Unparsable { line: error.line(), column: error.column() })
}

/// serde's own text would repeat a value of the body.
#[derive(Debug, thiserror::Error)]
#[error("the body cannot be read at line {line}, column {column}")]
struct Unparsable {
    line: usize,
    column: usize,
}

fn secret(text: &str) -> Result<HeaderValue, http::Error> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// How long an answer asks us to stay away: `Retry-After` in seconds or as a date, else `X-RateLimit-Reset` as a Unix
/// time. Dates are read against the answer's own `Date`, so that our clock does not matter.
fn pause(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let now = text("date").and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    let until = |time: SystemTime| time.duration_since(now).unwrap_or_default();
    let asked = match text("retry-after") {
        Some(value) => match value.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds.max(0.0)).ok(),
            Err(_) => httpdate::parse_http_date(value).ok().map(until),
        },
        None => None,
    };
    let reset = || {
        let seconds = text("x-ratelimit-reset")?.parse::<f64>().ok()?;
        let since_epoch = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(since_epoch).map(until)
    };
    asked.or_else(reset).map(|pause| pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn asks(headers: &[(&'static str, &str)], expected: Option<u64>) {
        let map: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(pause(&map, now), expected.map(Duration::from_secs), "{headers:?}");
    }

    #[test]
    fn a_pause_is_read_in_every_spelling() {
        asks(&[("retry-after", "120")], Some(120));
        asks(&[("retry-after", "Sun, 09 Sep 2001 01:47:40 GMT")], Some(60));
        asks(&[("date", "Sun, 09 Sep 2001 01:47:30 GMT"), ("retry-after", "Sun, 09 Sep 2001 01:47:40 GMT")], Some(10));
        asks(&[("x-ratelimit-reset", "1000000030")], Some(30));
        asks(&[("x-ratelimit-reset", "999999999")], Some(0));
        asks(&[("retry-after", "5"), ("x-ratelimit-reset", "1000000030")], Some(5));
        asks(&[("retry-after", "-3")], Some(0));
        asks(&[("retry-after", "1e300")], None);
        asks(&[("retry-after", "99999999")], Some(3600));
        asks(&[("retry-after", "soon")], None);
        asks(&[], None);
    }

    proptest::proptest! {
        #[test]
        fn any_header_asks_for_a_bounded_pause_or_none(values in proptest::collection::vec("[ -~]{0,40}", 3)) {
            let names = ["retry-after", "x-ratelimit-reset", "date"];
            let map: HeaderMap = names.iter().zip(&values).map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            proptest::prop_assert!(pause(&map, now).is_none_or(|pause| pause <= LONGEST_PAUSE));
        }
    }
}
