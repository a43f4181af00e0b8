//! The input of a request: path, query and body, parsed into types or refused with a sentence.

use std::borrow::Cow;

use lambda_http::{Body, Request, RequestExt};
use serde::de::DeserializeOwned;

use super::{Code, Problem};
use crate::domain::ids::RequestedId;

/// The largest JSON body that any of our routes has a use for, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// The header by which a request names itself, so that its repeats are told from other requests.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The bytes of the body as they were sent: base64 of the event is undone already.
pub fn raw_body(request: &Request) -> &[u8] {
    match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    }
}

/// The JSON body. Types say `deny_unknown_fields`, so that a misspelt field is an error and not ignored.
pub fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let bytes = raw_body(request);
    if bytes.len() > LARGEST_BODY {
        return Err(Problem::new(Code::TooLarge, "The body is larger than 64 kB."));
    }
    if bytes.is_empty() {
        return Err(Problem::invalid("The request needs a JSON body."));
    }
    // Otherwise a list would be read as the fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::invalid("The body is not a JSON object."));
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::invalid(sentence(&error)))
}

/// The JSON body, or the default of its type when there is none.
pub fn body_or_default<T: DeserializeOwned + Default>(request: &Request) -> Result<T, Problem> {
    if raw_body(request).is_empty() { Ok(T::default()) } else { body(request) }
}

/// What is wrong with the body. A value is never repeated: it may be a token.
fn sentence(error: &serde_json::Error) -> Cow<'static, str> {
    if !error.is_data() {
        return Cow::Borrowed("The body is not valid JSON.");
    }
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let names_a_field = ["unknown field `", "missing field `", "duplicate field `"].iter().any(|p| text.starts_with(p));
    if names_a_field && text.len() <= 300 {
        return Cow::Owned(format!("The body is not as expected: {text}."));
    }
    Cow::Owned(format!("The body has a value of the wrong type or range at column {}.", error.column()))
}

/// The account named in the path. What cannot be an id is not found, like an id that does not exist.
pub fn account_id(request: &Request) -> Result<RequestedId, Problem> {
    path_parameter(request, "id").and_then(|id| RequestedId::parse(&id).ok()).ok_or_else(Problem::not_found)
}

/// The header `Idempotency-Key`: 1 to 255 visible ASCII characters.
pub fn idempotency_key(request: &Request) -> Result<Option<&str>, Problem> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key =
        value.to_str().ok().filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
    key.map(Some).ok_or_else(|| Problem::invalid("Idempotency-Key has from 1 to 255 visible ASCII characters."))
}

/// A path parameter, percent-decoded.
pub fn path_parameter(request: &Request, name: &str) -> Option<String> {
    let value = request.path_parameters_ref()?.first(name)?.to_owned();
    if !value.contains('%') {
        return Some(value);
    }
    // API Gateway leaves some parameters encoded; form decoding would turn `+` into a space.
    let encoded = value.replace('+', "%2B");
    url::form_urlencoded::parse(format!("v={encoded}").as_bytes()).next().map(|(_, value)| value.into_owned())
}

/// The query parameters of a request. Unknown ones are ignored.
pub struct Query<'a>(&'a Request);

/// The query parameters of `request`.
pub fn query(request: &Request) -> Query<'_> {
    Query(request)
}

impl Query<'_> {
    /// A parameter's text, or `None` when absent or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// A parameter's text, were it empty: where an empty value must not mean all.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.0.query_string_parameters_ref()?.first(name)
    }

    /// A parameter that parses; 400 naming the parameter when it does not, as an empty one does not.
    pub fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Problem> {
        self.given(name)
            .map(str::parse)
            .transpose()
            .map_err(|_| Problem::invalid(format!("{name} is not a valid value.")))
    }

    /// `true` or `false`, absent being `false`.
    pub fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        Ok(self.parsed(name)?.unwrap_or(false))
    }

    /// `limit`: from 1 to 1,000, default 100.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.parsed("limit")? {
            None => Ok(100),
            Some(limit @ 1..=1000) => Ok(limit),
            Some(_) => Err(Problem::invalid("limit is from 1 to 1000.")),
        }
    }
}

/// API Gateway's id of the request, which its own log has too.
pub(super) fn request_id(request: &Request) -> Option<String> {
    match request.request_context_ref()? {
        lambda_http::request::RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
        _ => None,
    }
}

/// The route for the log: with its parameters' names, not their values.
pub(super) fn route(request: &Request) -> String {
    match request.request_context_ref() {
        Some(lambda_http::request::RequestContext::ApiGatewayV2(context)) => {
            context.route_key.clone().unwrap_or_default()
        }
        _ => String::new(),
    }
}
