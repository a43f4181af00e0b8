//! Arrival: the event of a request, made fit for `lambda_http`, which builds a URI of it and panics where it cannot.
//! Anybody can send such a request: a function URL hands `?a+b` over as `a b`, and API Gateway decodes paths.

use std::task::{Context, Poll};

use ::http::{header, uri::Authority};
use lambda_http::{LambdaEvent, Service, aws_lambda_events::apigw::ApiGatewayV2httpRequest, request::LambdaRequest};

/// The longest path and query that are passed on, in bytes: a URI ends at 64 kB, and its path may grow threefold when
/// it is encoded. A longer one names nothing of ours.
const LONGEST_PATH: usize = 8 * 1024;
const LONGEST_QUERY: usize = 32 * 1024;

/// A service that gets nothing but requests with a URI.
pub(super) struct Arrival<S>(pub S);

impl<S: Service<LambdaEvent<LambdaRequest>>> Service<LambdaEvent<LambdaRequest>> for Arrival<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut event: LambdaEvent<LambdaRequest>) -> Self::Future {
        if let LambdaRequest::ApiGatewayV2(request) = &mut event.payload {
            admit(request);
        }
        self.0.call(event)
    }
}

/// Encodes what a URI may not hold, and leaves out what is no part of one.
pub(super) fn admit(request: &mut ApiGatewayV2httpRequest) {
    let query = request.raw_query_string.take().map(|query| encoded(&query));
    request.raw_query_string = query.filter(|query| query.len() <= LONGEST_QUERY).or(Some(String::new()));
    let names_a_path = |path: &String| path.starts_with('/') && path.len() <= LONGEST_PATH;
    request.raw_path = request.raw_path.take().filter(names_a_path).or(Some("/".to_owned()));
    let text = |name| request.headers.get(name).and_then(|value: &::http::HeaderValue| value.to_str().ok());
    let host = text("host").is_none_or(|host| host.parse::<Authority>().is_ok_and(|host| is_plain(&host)));
    let scheme = text("x-forwarded-proto").is_none_or(|scheme| matches!(scheme, "http" | "https"));
    if !host {
        request.headers.remove(header::HOST);
    }
    if !scheme {
        request.headers.remove("x-forwarded-proto");
    }
}

/// A host's name and perhaps a port, and nothing that a URL parser could stumble over.
fn is_plain(host: &Authority) -> bool {
    let named = host.host().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    named
        && !host.host().is_empty()
        && !host.as_str().contains('@')
        && url::Url::parse(&format!("https://{host}/")).is_ok()
}

/// A query with every byte that a URI's query may not hold as its percent code; a space is `+`, as it was sent.
fn encoded(query: &str) -> String {
    let mut encoded = String::with_capacity(query.len());
    for byte in query.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use lambda_http::{Body, Request, RequestExt};
    use serde_json::json;

    use super::*;

    /// What a handler gets of a request: the conversion is `lambda_http`'s own.
    fn arrived(path: &str, query: &str, host: &str) -> Request {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": host},
            "requestContext": {"timeEpoch": 0, "stage": "$default", "domainName": "a.example",
                "http": {"method": "POST", "path": "/"}},
            "body": "the body", "isBase64Encoded": false,
        });
        let mut event: LambdaRequest = serde_json::from_str(&event.to_string()).unwrap();
        let LambdaRequest::ApiGatewayV2(request) = &mut event else { panic!("another kind of event") };
        admit(request);
        event.into()
    }

    #[test]
    fn what_a_uri_may_not_hold_arrives_all_the_same() {
        for query in ["a b", "\"", "<>", "a=ä", "a|b^`{}[]\\", "#", "\u{0}\n", "%", "%zz", &"x".repeat(70_000), "a?b"]
        {
            let request = arrived("/any", query, "a.example");
            assert_eq!((request.uri().path(), request.method().as_str()), ("/any", "POST"), "{query:?}");
            assert!(matches!(request.body(), Body::Text(text) if text == "the body"));
        }
        for path in ["/a b", "/ä", "/\"<>\\", "//", "/?#", "", "a", &format!("/{}", "ä".repeat(40_000))] {
            arrived(path, "limit=7", "a.example");
        }
        for host in ["", "a b", "[", "a:99999999", "user@a", "%", "..", "xn--a"] {
            arrived("/any", "", host);
        }
    }

    #[test]
    fn a_query_keeps_its_meaning() {
        let request = arrived("/any", "cursor=a-b_c%2B&name=two words&name=x&umlaut=ä", "a.example");
        let query = request.query_string_parameters();
        assert_eq!((query.first("cursor"), query.first("umlaut")), (Some("a-b_c+"), Some("ä")));
        assert_eq!(query.all("name"), Some(vec!["two words", "x"]));
    }

    proptest::proptest! {
        #[test]
        fn any_request_arrives(
            path in proptest::prelude::any::<String>(),
            query in proptest::prelude::any::<String>(),
            host in "[ -~]{0,20}",
        ) {
            arrived(&path, &query, &host);
            arrived(&format!("/{path}"), &query, &host);
        }
    }
}
