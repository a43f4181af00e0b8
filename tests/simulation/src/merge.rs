//! Merge: the transport of one process, whose calls the sandbox answers in process. Here Merge is made to refuse, to
//! break off, and to repeat a cursor.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::Value;
use shared::merge::{Limits, Transport, TransportError};
use tower::ServiceExt;

use crate::process::{NoAnswer, Process};
use crate::sim::Sim;

/// See the module.
#[derive(Debug)]
pub struct Merge {
    pub sim: Sim,
    pub process: Arc<Process>,
}

enum Trouble {
    None,
    Busy,
    Down,
    Truncated,
    SameCursor,
}

impl Transport for Merge {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            match tokio::time::timeout(limits.timeout, self.call(request)).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.process.fault();
                    Err(TransportError::Timeout)
                }
            }
        })
    }
}

impl Merge {
    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (trouble, wait) = {
            let (faults, mut chance) = (self.process.faults(&self.sim), self.sim.chance());
            let trouble = if chance.hits(faults.merge_429) {
                Trouble::Busy
            } else if chance.hits(faults.merge_5xx) {
                Trouble::Down
            } else if chance.hits(faults.merge_truncated) {
                Trouble::Truncated
            } else if chance.hits(faults.merge_repeat) {
                Trouble::SameCursor
            } else {
                Trouble::None
            };
            (trouble, chance.millis(30, 400))
        };
        if !matches!(trouble, Trouble::None) {
            self.process.fault();
        }
        tokio::time::sleep(wait).await;
        let (sim, name) = (self.sim.clone(), self.process.name.clone());
        let effect = async move {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let token = request.headers().get("x-account-token").and_then(|token| token.to_str().ok());
            if let Some(token) = token {
                let (plan, calm) = (sim.scenario().plan_limit, sim.is_calm());
                sim.watch().call(token, sim.elapsed(), plan, calm);
            }
            sim.tally().merge(uri.path(), token, sim.elapsed());
            let answer = answer(&sim, &trouble, request).await;
            sim.note(&format!("{name} {method} {} {}", shown(&uri), answer.status().as_u16()));
            (answer, matches!(trouble, Trouble::Truncated))
        };
        match self.process.effect(&self.sim, effect).await {
            Ok((_, true)) => Err(TransportError::Broken("the connection broke".into())),
            Ok((answer, false)) => Ok(answer),
            Err(NoAnswer::Unsent) => Err(TransportError::Connect("the connection was refused".into())),
            Err(NoAnswer::Lost) => Err(TransportError::Timeout),
        }
    }
}

async fn answer(sim: &Sim, trouble: &Trouble, request: Request<Bytes>) -> Response<Bytes> {
    let refusal = match trouble {
        Trouble::Busy => StatusCode::TOO_MANY_REQUESTS,
        Trouble::Down => StatusCode::SERVICE_UNAVAILABLE,
        _ => {
            let cursor = cursor_of(request.uri());
            let mut answer = direct(sim, request).await;
            if let (Trouble::SameCursor, Some(cursor)) = (trouble, cursor) {
                repeat(&mut answer, &cursor);
            }
            return answer;
        }
    };
    let mut answer = Response::new(Bytes::from_static(br#"{"detail":"Not now."}"#));
    *answer.status_mut() = refusal;
    if refusal == StatusCode::TOO_MANY_REQUESTS {
        let seconds = sim.chance().between(1, 150);
        answer.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    }
    answer
}

/// The sandbox's own answer.
pub async fn direct(sim: &Sim, request: Request<Bytes>) -> Response<Bytes> {
    let router = sim.merge().router();
    let answer = match router.oneshot(request.map(axum::body::Body::from)).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    Response::from_parts(parts, body)
}

/// A call of the sandbox's control API; `Null` without a JSON answer.
pub async fn control(sim: &Sim, path: &str, body: Value) -> Value {
    let request = Request::post(format!("http://merge/_sandbox/{path}")).header("content-type", "application/json");
    let request = request.body(Bytes::from(body.to_string())).expect("a request");
    let answer = direct(sim, request).await;
    sim.note(&format!("merge {path} {body} {}", answer.status().as_u16()));
    serde_json::from_slice(answer.body()).unwrap_or_default()
}

/// Every record of a list, byte for byte.
pub async fn records(sim: &Sim, account: &str, model: &str) -> Vec<String> {
    let path = format!("http://merge/_sandbox/accounts/{account}/records/{model}?include_deleted_data=true");
    let request = Request::get(path).body(Bytes::new()).expect("a request");
    let answer = direct(sim, request).await;
    String::from_utf8_lossy(answer.body()).lines().map(str::to_owned).collect()
}

fn cursor_of(uri: &http::Uri) -> Option<String> {
    let query = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("cursor="))?;
    Some(query.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/"))
}

fn repeat(answer: &mut Response<Bytes>, cursor: &str) {
    let text = String::from_utf8_lossy(answer.body());
    let Some(rest) = text.strip_prefix(r#"{"next":""#).and_then(|rest| rest.split_once('"')) else { return };
    *answer.body_mut() = Bytes::from(format!(r#"{{"next":"{cursor}"{}"#, rest.1));
}

/// Public tokens stand in paths.
fn shown(uri: &http::Uri) -> String {
    let path = uri.path();
    match path.split_once("/account-token/") {
        Some((before, _)) => format!("{before}/account-token/…"),
        None => format!("{path}?{}", uri.query().unwrap_or_default()),
    }
}

/// A pause of the actors.
pub async fn pause(sim: &Sim, least: u64, most: u64) {
    let pause = sim.chance().millis(least, most);
    tokio::time::sleep(pause).await;
}

/// The longest that anything at Merge takes.
pub const PATIENCE: Duration = Duration::from_secs(10);
