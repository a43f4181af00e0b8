//! Payload format 2.0: the event that API Gateway and function URLs make of an HTTP request, and the
//! HTTP response that they make of a function's answer.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// What an edge knows about a request besides the request itself.
#[derive(Debug)]
pub struct Call<'a> {
    /// `GET /v1/linked-accounts/{id}` or `$default`.
    pub route_key: &'a str,
    /// Decoded by API Gateway, as sent by a function URL.
    pub raw_path: &'a str,
    /// As sent by API Gateway; a function URL makes spaces of its plus signs.
    pub raw_query_string: &'a str,
    pub path_parameters: BTreeMap<String, String>,
    /// `requestContext.authorizer`, when there is one.
    pub authorizer: Option<Value>,
    pub account_id: &'a str,
    pub api_id: &'a str,
    pub request_id: &'a str,
    pub source_ip: IpAddr,
    pub now: Timestamp,
}

/// The event for a request.
pub fn event(call: Call<'_>, request: &request::Parts, body: &Bytes) -> Value {
    let host = text(&request.headers, header::HOST);
    let mut context = json!({
        "accountId": call.account_id,
        "apiId": call.api_id,
        "domainName": host,
        "domainPrefix": call.api_id,
        "http": {
            "method": request.method.as_str(),
            "path": call.raw_path,
            "protocol": "HTTP/1.1",
            "sourceIp": call.source_ip.to_string(),
            "userAgent": text(&request.headers, header::USER_AGENT),
        },
        "requestId": call.request_id,
        "routeKey": call.route_key,
        "stage": "$default",
        "time": call.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": call.now.as_millisecond(),
    });
    if let Some(authorizer) = call.authorizer {
        context["authorizer"] = authorizer;
    }
    let query = call.raw_query_string;
    let mut event = json!({
        "version": "2.0",
        "routeKey": call.route_key,
        "rawPath": call.raw_path,
        "rawQueryString": query,
        "headers": headers(&request.headers, host, call.source_ip),
        "requestContext": context,
        "isBase64Encoded": false,
    });
    let cookies = cookies(&request.headers);
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !query.is_empty() {
        event["queryStringParameters"] = joined(form_urlencoded::parse(query.as_bytes()).into_owned());
    }
    if !call.path_parameters.is_empty() {
        event["pathParameters"] = json!(call.path_parameters);
    }
    if !body.is_empty() {
        match std::str::from_utf8(body).ok().filter(|_| is_text(&request.headers)) {
            Some(text) => event["body"] = text.into(),
            None => {
                event["body"] = STANDARD.encode(body).into();
                event["isBase64Encoded"] = true.into();
            }
        }
    }
    event
}

/// The HTTP response for a function's answer; `None` when the answer is malformed.
pub fn response(answer: &[u8]) -> Option<Response> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let Some(status) = answer.get("statusCode") else {
        // Format 2.0 takes an answer without a status for the body of a 200.
        let content_type = (header::CONTENT_TYPE, "application/json");
        return Some((StatusCode::OK, [content_type], body_of(&answer)).into_response());
    };
    let status = StatusCode::from_u16(u16::try_from(status.as_u64()?).ok()?).ok()?;
    let body = match answer.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(body) if answer.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            STANDARD.decode(body.as_str()?).ok()?
        }
        Some(body) => body_of(body).into_bytes(),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(named) = answer.get("headers").and_then(Value::as_object) {
        for (name, value) in named {
            let value = HeaderValue::from_str(&scalar(value)).ok()?;
            headers.insert(HeaderName::try_from(name).ok()?, value);
        }
    }
    for cookie in answer.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        headers.append(header::SET_COOKIE, HeaderValue::from_str(cookie.as_str()?).ok()?);
    }
    // The server counts the bytes itself.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    Some(response)
}

fn body_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn scalar(value: &Value) -> String {
    body_of(value)
}

/// Lower-case names; values of one name joined by a comma. Cookies stand in their own field.
fn headers(headers: &HeaderMap, host: &str, source_ip: IpAddr) -> Value {
    let named = headers
        .iter()
        .filter(|(name, _)| **name != header::COOKIE && !is_hop_by_hop(name))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let mut all = joined(named);
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    let added = [
        ("x-forwarded-for", source_ip.to_string()),
        ("x-forwarded-port", port.to_owned()),
        ("x-forwarded-proto", "http".to_owned()),
    ];
    if let Some(all) = all.as_object_mut() {
        for (name, value) in added {
            match all.get_mut(name) {
                // A client's own list is kept in front, as on AWS.
                Some(Value::String(known)) if name == "x-forwarded-for" => known.push_str(&format!(", {value}")),
                _ => {
                    all.insert(name.to_owned(), value.into());
                }
            }
        }
    }
    all
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER].contains(name)
}

/// An object of names, the values of a repeated name joined by commas.
fn joined(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut object = Map::new();
    for (name, value) in pairs {
        match object.get_mut(&name) {
            Some(Value::String(known)) => {
                known.push(',');
                known.push_str(&value);
            }
            _ => {
                object.insert(name, value.into());
            }
        }
    }
    Value::Object(object)
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| String::from_utf8_lossy(value.as_bytes()).split(';').map(str::to_owned).collect::<Vec<_>>())
        .map(|cookie| cookie.trim().to_owned())
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// Whether API Gateway passes a body of this type on as text; everything else goes as base64.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let media_type =
        text(headers, header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.is_empty()
        || media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
        || ["application/json", "application/xml", "application/javascript"].contains(&media_type.as_str())
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
