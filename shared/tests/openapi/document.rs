//! The document: OpenAPI 3.1, put together from the operations and from the schemas of their types.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use shared::http::{self, Code, Problem};

use super::operations::{Operation, Shape, operations};

/// Problems that any operation may answer.
const EVERYWHERE: [Code; 3] = [Code::Unauthorized, Code::Forbidden, Code::Internal];
/// What API Gateway answers by itself, in its own shape.
const EDGE: [u16; 8] = [400, 401, 403, 404, 413, 429, 500, 503];

/// The whole document.
pub async fn document() -> Value {
    let statuses = statuses().await;
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for operation in operations() {
        for shape in operation.request.iter().chain(operation.answers.iter().map(|(.., shape)| shape)) {
            collect(shape, &mut schemas);
        }
        let method = operation.method.to_ascii_lowercase();
        paths.entry(operation.path).or_default().insert(method, described(&operation, &statuses));
    }
    schemas.insert("Problem".to_owned(), problem());
    schemas.insert("EdgeError".to_owned(), edge_error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tether",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Connect your customers' systems and read a complete, fresh copy of their data. The organization is that of the access token; a service whose token has the scope organizations:act names it in the header Tether-Organization.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An access token of the configured OpenID Connect issuer.",
                },
            },
        },
    })
}

fn described(operation: &Operation, statuses: &BTreeMap<CodeText, u16>) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for (name, about, schema) in [
        ("id", "The account.", json!({"type": "string", "format": "uuid"})),
        ("model", "The model, for example `hris.Employee`.", json!({"type": "string"})),
    ] {
        if operation.path.contains(&format!("{{{name}}}")) {
            parameters
                .push(json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema}));
        }
    }
    for parameter in &operation.parameters {
        let schema: Value = serde_json::from_str(parameter.schema).unwrap();
        parameters.push(json!({
            "name": parameter.name, "in": parameter.place, "description": parameter.about, "schema": schema,
        }));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "security": [{ "token": [operation.scope.name()] }],
        "parameters": parameters,
        "responses": responses(operation, statuses),
    });
    if let Some(request) = &operation.request {
        described["requestBody"] = json!({
            "required": !operation.request_optional,
            "content": { "application/json": { "schema": reference(&request.name) } },
        });
    }
    described
}

fn responses(operation: &Operation, statuses: &BTreeMap<CodeText, u16>) -> Value {
    let mut responses: BTreeMap<String, Value> = BTreeMap::new();
    for (status, about, shape) in &operation.answers {
        let content = json!({ "application/json": { "schema": reference(&shape.name) } });
        responses.insert(status.to_string(), json!({ "description": about, "content": content }));
    }
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in operation.problems.iter().chain(&EVERYWHERE) {
        codes.entry(statuses[&code.as_str()]).or_default().push(code.as_str());
    }
    for status in EDGE {
        codes.entry(status).or_default();
    }
    for (status, codes) in codes {
        let mut content = Map::new();
        if !codes.is_empty() {
            content.insert("application/problem+json".to_owned(), json!({ "schema": reference("Problem") }));
        }
        if EDGE.contains(&status) {
            content.insert("application/json".to_owned(), json!({ "schema": reference("EdgeError") }));
        }
        let about = if codes.is_empty() { "Refused at the edge.".to_owned() } else { codes.join(", ") };
        responses.insert(status.to_string(), json!({ "description": about, "content": content }));
    }
    json!(responses)
}

type CodeText = &'static str;

/// The status of each code, asked of the only module that knows it.
async fn statuses() -> BTreeMap<CodeText, u16> {
    let mut statuses = BTreeMap::new();
    for code in Code::ALL {
        let refuse = |_| async { Err(Problem::new(*code, "")) };
        let request = lambda_http::Request::new(lambda_http::Body::Empty);
        statuses.insert(code.as_str(), http::respond(request, &refuse).await.status().as_u16());
    }
    statuses
}

fn collect(shape: &Shape, schemas: &mut Map<String, Value>) {
    let mut found = Vec::new();
    (shape.schemas)(&mut found);
    for (name, schema) in found {
        schemas.insert(name, serde_json::to_value(schema).unwrap());
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn problem() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457). Rely on the code.",
        "required": ["status", "code", "title", "detail", "request_id"],
        "properties": {
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": codes },
            "title": { "type": "string", "description": "The same for every occurrence." },
            "detail": { "type": "string", "description": "What to do about this one." },
            "request_id": { "type": "string", "description": "Helps us to find the cause." },
        },
    })
}

fn edge_error() -> Value {
    json!({
        "type": "object",
        "description": "An answer of the gateway's own.",
        "required": ["message"],
        "properties": { "message": { "type": "string" } },
    })
}
