//! The gateway: takes a request's service and action from `X-Amz-Target`, takes note of its caller
//! and hands it to the service.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use winterbaume_kms::KmsService;
use winterbaume_secretsmanager::SecretsManagerService;

use super::caller::{Call, Observer, access_key};
use super::cloudformation::CloudFormation;
use super::cloudwatch::CloudWatch;
use super::dynamodb::DynamoDb;
use super::embedded::Embedded;
use super::events::EventBridge;
use super::fault::Fault;
use super::guard::Guard;
use super::meter::Meter;
use super::policy::Realm;
use super::sqs::{Home, Sqs};
use super::trace;
use super::{AwsError, AwsOptions};

/// Of the query protocol, which only CloudFormation still speaks here.
const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// DynamoDB's largest request body; the other services' are smaller.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// The services behind one address.
pub struct Services {
    pub observer: Observer,
    pub meter: Meter,
    pub guard: Guard,
    pub dynamodb: DynamoDb,
    pub events: EventBridge,
    pub cloudformation: CloudFormation,
    pub cloudwatch: CloudWatch,
    sqs: Sqs,
    kms: Embedded<KmsService>,
    secrets: Embedded<SecretsManagerService>,
}

impl Services {
    /// Opens every service, with its state of an earlier run when there is a data directory.
    pub async fn open(
        options: &AwsOptions,
        address: SocketAddr,
        closing: watch::Receiver<bool>,
    ) -> Result<Self, AwsError> {
        let data_dir = options.data_dir.as_deref();
        let (region, account_id) = (options.region.as_str(), options.account_id.as_str());
        let data = |source| AwsError::Data { directory: options.data_dir.clone().unwrap_or_default(), source };
        let home = Home {
            endpoint: format!("http://{address}"),
            region: region.to_owned(),
            account_id: account_id.to_owned(),
        };
        let (kms, secrets) = (KmsService::new(), SecretsManagerService::new());
        Ok(Self {
            observer: Observer::default(),
            meter: Meter::default(),
            guard: Guard::new(Realm { region: region.to_owned(), account_id: account_id.to_owned() }),
            dynamodb: DynamoDb::open(data_dir).map_err(|error| AwsError::Database(error.to_string()))?,
            events: EventBridge::new(region, account_id),
            cloudformation: CloudFormation::default(),
            cloudwatch: CloudWatch::default(),
            sqs: Sqs::open(home, data_dir, closing).map_err(data)?,
            kms: Embedded::open(kms, "kms", data_dir, account_id, region).await.map_err(data)?,
            secrets: Embedded::open(secrets, "secretsmanager", data_dir, account_id, region).await.map_err(data)?,
        })
    }
}

/// The router of the AWS endpoint.
pub fn router(services: Arc<Services>) -> Router {
    Router::new().fallback(answer).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(services)
}

async fn answer(State(services): State<Arc<Services>>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    let form = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(FORM));
    if method == Method::POST && form {
        return services.cloudformation.call(&body);
    }
    let mut response = if method == Method::GET {
        json_response(200, &json!({ "status": "running" }))
    } else {
        dispatch(&services, &headers, body).await
    };
    // AWS answers in the request's version of its JSON protocol.
    let kind = headers.get(CONTENT_TYPE).cloned();
    let kind = kind.unwrap_or_else(|| HeaderValue::from_static("application/x-amz-json-1.0"));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

async fn dispatch(services: &Services, headers: &HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let Some((prefix, action)) = target.and_then(|target| target.rsplit_once('.')) else {
        let fault = Fault::unknown_operation("AWS", "without X-Amz-Target");
        return fault_response(&fault, "com.amazon.coral.service");
    };
    let service = match prefix {
        "DynamoDB_20120810" | "DynamoDBStreams_20120810" => "dynamodb",
        "AmazonSQS" => "sqs",
        "TrentService" => "kms",
        "secretsmanager" => "secretsmanager",
        "AWSEvents" => "events",
        "GraniteServiceVersion20100801" => "monitoring",
        other => {
            let fault = Fault::unknown_operation(other, action);
            return fault_response(&fault, "com.amazon.coral.service");
        }
    };
    let call = Call { access_key: access_key(headers), service, action: action.to_owned() };
    services.observer.observe(&call);
    if let Some(fault) = services.guard.refusal(&call, &body) {
        return match service {
            "sqs" => sqs_fault(&Fault { status: 403, ..fault }),
            _ => fault_response(&fault, "com.amazon.coral.service"),
        };
    }
    match service {
        "dynamodb" => match services.dynamodb.call(action, Meter::asking(action, body)).await {
            Some((status, body)) => {
                services.meter.read(&call.access_key, action, &body);
                response(status, Body::from(body))
            }
            None => {
                let fault = Fault::unknown_operation("DynamoDB", action);
                fault_response(&fault, "com.amazon.coral.service")
            }
        },
        "sqs" => match parsed(&body) {
            Ok(mut input) => {
                trace::keep(action, headers, &mut input);
                match services.sqs.call(action, &input, &call.access_key).await {
                    Ok(answer) => {
                        services.meter.moved(action, &input, &answer);
                        if action.starts_with("SendMessage") {
                            services.observer.sent(&input);
                        }
                        json_response(200, &answer)
                    }
                    Err(fault) => sqs_fault(&fault),
                }
            }
            Err(fault) => sqs_fault(&fault),
        },
        "kms" => services.kms.call(action, headers.clone(), body).await,
        "secretsmanager" => services.secrets.call(action, headers.clone(), body).await,
        "monitoring" => {
            let now = Timestamp::now().as_second();
            match parsed(&body).and_then(|input| services.cloudwatch.call(action, input, &services.meter, now)) {
                Ok(answer) => json_response(200, &answer),
                Err(fault) => fault_response(&fault, "com.amazonaws.cloudwatch.v2010_08_01"),
            }
        }
        _ => match parsed(&body).and_then(|input| services.events.call(action, &input)) {
            Ok(answer) => json_response(200, &answer),
            Err(fault) => fault_response(&fault, "com.amazonaws.eventbridge"),
        },
    }
}

fn parsed(body: &[u8]) -> Result<Value, Fault> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| Fault::client("SerializationException", error.to_string()))
}

/// An SQS fault, with the header by which SDKs know the error of the older query protocol.
fn sqs_fault(fault: &Fault) -> Response {
    let query_code = match fault.code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
        "QueueNameExists" => "QueueAlreadyExists".to_owned(),
        "AccessDeniedException" => "AccessDenied".to_owned(),
        code @ ("BatchEntryIdsNotDistinct"
        | "BatchRequestTooLong"
        | "EmptyBatchRequest"
        | "InvalidBatchEntryId"
        | "TooManyEntriesInBatchRequest"
        | "MessageNotInflight") => format!("AWS.SimpleQueueService.{code}"),
        code => code.to_owned(),
    };
    let side = if fault.status < 500 { "Sender" } else { "Receiver" };
    let mut response = fault_response(fault, "com.amazonaws.sqs");
    if let Ok(value) = HeaderValue::from_str(&format!("{query_code};{side}")) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-query-error"), value);
    }
    response
}

fn fault_response(fault: &Fault, namespace: &str) -> Response {
    json_response(fault.status, &fault.body(namespace))
}

fn json_response(status: u16, body: &Value) -> Response {
    response(status, Body::from(body.to_string()))
}

fn response(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
