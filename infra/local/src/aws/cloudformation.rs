//! CloudFormation: what was deployed says where it is. One action, `DescribeStacks`, over the older query protocol (a
//! form in, XML out), so that a tool that reads a stack's outputs works here as it does in AWS.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::fault::Fault;

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";

/// The outputs of every stack by the stack's name.
#[derive(Default)]
pub struct CloudFormation {
    stacks: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

impl CloudFormation {
    /// From now on the stack exists, with these outputs.
    pub fn deployed(&self, stack: &str, outputs: BTreeMap<String, String>) {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner).insert(stack.to_owned(), outputs);
    }

    /// Answers a request of the query protocol.
    pub fn call(&self, form: &[u8]) -> Response {
        let fields: BTreeMap<String, String> = url::form_urlencoded::parse(form).into_owned().collect();
        let answer = match fields.get("Action").map(String::as_str) {
            Some("DescribeStacks") => self.describe(fields.get("StackName").map(String::as_str)),
            action => Err(Fault::unknown_operation("CloudFormation", action.unwrap_or("without Action"))),
        };
        match answer {
            Ok(body) => xml(StatusCode::OK, body),
            Err(fault) => {
                let (code, message) = (escaped(fault.code), escaped(&fault.message));
                let error =
                    format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
                let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_REQUEST);
                xml(status, format!(r#"<ErrorResponse xmlns="{NAMESPACE}">{error}</ErrorResponse>"#))
            }
        }
    }

    fn describe(&self, wanted: Option<&str>) -> Result<String, Fault> {
        let stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<_> = stacks.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name)).collect();
        if let (Some(wanted), true) = (wanted, found.is_empty()) {
            return Err(Fault::client("ValidationError", format!("Stack with id {wanted} does not exist")));
        }
        let members: String = found.into_iter().map(|(name, outputs)| member(name, outputs)).collect();
        let result = format!("<DescribeStacksResult><Stacks>{members}</Stacks></DescribeStacksResult>");
        Ok(format!(r#"<DescribeStacksResponse xmlns="{NAMESPACE}">{result}</DescribeStacksResponse>"#))
    }
}

fn member(stack: &str, outputs: &BTreeMap<String, String>) -> String {
    let mut members = String::new();
    for (key, value) in outputs {
        let (key, value) = (escaped(key), escaped(value));
        // Writing to a String cannot fail.
        write!(members, "<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>").ok();
    }
    let facts = "<CreationTime>2000-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>";
    format!("<member><StackName>{}</StackName>{facts}<Outputs>{members}</Outputs></member>", escaped(stack))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn xml(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(services: &CloudFormation, form: &str) -> (u16, String) {
        let answer = services.call(form.as_bytes());
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_stack_is_described_by_its_outputs() {
        let services = CloudFormation::default();
        services.deployed("tether-local", BTreeMap::from([("Url".to_owned(), "http://a/?x=1&y=2".to_owned())]));
        let (status, body) = ask(&services, "Action=DescribeStacks&StackName=tether-local").await;
        assert_eq!(status, 200);
        assert!(body.contains("<OutputKey>Url</OutputKey><OutputValue>http://a/?x=1&amp;y=2</OutputValue>"), "{body}");
        let (status, body) = ask(&services, "Action=DescribeStacks&StackName=other").await;
        assert_eq!(status, 400);
        assert!(body.contains("<Code>ValidationError</Code>"), "{body}");
        assert_eq!(ask(&services, "Action=DeleteStack").await.0, 400);
    }
}
