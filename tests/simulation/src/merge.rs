//! Merge: the transport of one process, whose calls the sandbox answers in process. Here Merge is made to refuse, to
//! fall silent, to break off, and to play with its cursors.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode};
use merge_sandbox::models;
use serde_json::Value;
use shared::merge::{Limits, Transport, TransportError};
use tower::ServiceExt;

use crate::cursors;
use crate::happenings::Happening;
use crate::process::{Deed, NoAnswer, Process};
use crate::sim::Sim;
use crate::watch::{List, PageCall};

/// See the module.
#[derive(Debug)]
pub struct Merge {
    pub sim: Sim,
    pub process: Arc<Process>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Busy,
    Down,
    Silent,
    Truncated,
    SameCursor,
    Expired,
    Empty,
}

impl Trouble {
    fn happening(self) -> Option<Happening> {
        match self {
            Trouble::Busy => Some(Happening::MergeBusy),
            Trouble::Down => Some(Happening::MergeDown),
            Trouble::Silent => Some(Happening::MergeSilent),
            Trouble::Truncated => Some(Happening::MergeTruncated),
            // These depend on the page and are counted where they come about.
            Trouble::None | Trouble::SameCursor | Trouble::Expired | Trouble::Empty => None,
        }
    }
}

impl Transport for Merge {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            let page = paged(&self.sim, &self.process, &request);
            // Counted as they are sent: on their way some overtake others.
            if let Some(token) = token_of(&request).filter(|_| self.sim.is_calm()) {
                let (at, plan) = (self.sim.elapsed(), self.sim.scenario().plan_limit);
                self.sim.watch().call(&self.process.name, token, at, plan);
            }
            if let Some(page) = &page {
                let (at, plan) = (self.sim.elapsed(), self.sim.scenario().plan_limit);
                let happened = self.sim.watch().page_asked(page, at, plan);
                happened.into_iter().for_each(|what| self.sim.happened(what));
            }
            let answer = match tokio::time::timeout(limits.timeout, self.call(request)).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.process.fault();
                    Err(TransportError::Timeout)
                }
            };
            if let Some(page) = &page {
                let served = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
                self.sim.watch().page_answered(page, served);
            }
            answer
        })
    }
}

impl Merge {
    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (trouble, wait) = self.trouble(cursors::of(request.uri()).is_some());
        if trouble != Trouble::None {
            self.process.fault();
        }
        if let Some(happening) = trouble.happening() {
            self.sim.happened(happening);
        }
        tokio::time::sleep(wait).await;
        if trouble == Trouble::Silent {
            return std::future::pending().await;
        }
        let (sim, name) = (self.sim.clone(), self.process.name.clone());
        let effect = async move {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            sim.tally().merge(uri.path(), token_of(&request), sim.elapsed());
            let answer = answer(&sim, trouble, request).await;
            sim.note(&format!("{name} {method} {} {}", shown(&uri), answer.status().as_u16()));
            answer
        };
        match self.process.effect(&self.sim, Deed::Merge, effect).await {
            Ok(_) if trouble == Trouble::Truncated => Err(TransportError::Broken("the connection broke".into())),
            Ok(answer) => Ok(answer),
            Err(NoAnswer::Unsent) => {
                self.sim.happened(Happening::MergeRefused);
                Err(TransportError::Connect("the connection was refused".into()))
            }
            Err(NoAnswer::Lost) => Err(TransportError::Timeout),
        }
    }

    /// What goes wrong with a call, and how long it takes to get there.
    fn trouble(&self, has_cursor: bool) -> (Trouble, Duration) {
        let (faults, mut chance) = (self.process.faults(&self.sim), self.sim.chance());
        let trouble = if chance.hits(faults.merge_429) {
            Trouble::Busy
        } else if chance.hits(faults.merge_5xx) {
            Trouble::Down
        } else if chance.hits(faults.merge_silent) {
            Trouble::Silent
        } else if chance.hits(faults.merge_truncated) {
            Trouble::Truncated
        } else if has_cursor && chance.hits(faults.merge_repeat) {
            Trouble::SameCursor
        } else if has_cursor && chance.hits(faults.merge_expired) {
            Trouble::Expired
        } else if chance.hits(faults.merge_empty) {
            Trouble::Empty
        } else {
            Trouble::None
        };
        (trouble, chance.millis(30, 400))
    }
}

async fn answer(sim: &Sim, trouble: Trouble, mut request: Request<Bytes>) -> Response<Bytes> {
    match trouble {
        Trouble::Busy => {
            let mut answer = refusal(StatusCode::TOO_MANY_REQUESTS, "Not now.");
            let seconds = sim.chance().between(1, 150);
            answer.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            return answer;
        }
        Trouble::Down => return refusal(StatusCode::SERVICE_UNAVAILABLE, "Not now."),
        _ => {}
    }
    // 1. The cursor, if it is known.
    let cursor = cursors::of(request.uri()).map(str::to_owned);
    let mut place = None;
    if let Some(name) = &cursor {
        if trouble == Trouble::Expired && sim.chance().below(2) == 0 {
            sim.cursors().expire(name);
        }
        match sim.cursors().place(name).filter(|_| trouble != Trouble::Expired) {
            Some(known) => place = known,
            None => {
                sim.happened(Happening::CursorExpired);
                return refusal(StatusCode::NOT_FOUND, "Invalid cursor");
            }
        }
        *request.uri_mut() = cursors::with_cursor(request.uri(), place.as_deref());
    }
    // 2. The sandbox's page.
    let mut answer = direct(sim, request).await;
    let body = std::str::from_utf8(answer.body()).unwrap_or_default();
    if !cursors::is_page(body) {
        return answer;
    }
    // 3. Its next, as the run wants it.
    let body = match (trouble, cursor, cursors::next(body)) {
        (Trouble::Empty, _, _) => {
            sim.happened(Happening::EmptyPage);
            let again = sim.cursors().give(place);
            Some(format!(r#"{{"next":"{again}","previous":null,"results":[]}}"#))
        }
        (Trouble::SameCursor, Some(cursor), Some(_)) => {
            sim.happened(Happening::CursorRepeated);
            cursors::with_next(body, &cursor)
        }
        (_, _, Some(next)) => {
            let given = sim.cursors().give(Some(next.to_owned()));
            cursors::with_next(body, &given)
        }
        (_, _, None) => None,
    };
    if let Some(body) = body {
        *answer.body_mut() = Bytes::from(body);
    }
    answer
}

fn refusal(status: StatusCode, detail: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(format!(r#"{{"detail":"{detail}"}}"#)));
    *answer.status_mut() = status;
    answer
}

fn token_of(request: &Request<Bytes>) -> Option<&str> {
    request.headers().get("x-account-token")?.to_str().ok()
}

/// The page of records that a request asks for; `None` for any other. Notes when Merge's data moved since the first
/// page of the list.
fn paged(sim: &Sim, process: &Process, request: &Request<Bytes>) -> Option<PageCall> {
    let token = token_of(request)?.to_owned();
    let mut segments = request.uri().path().strip_prefix("/api/")?.split('/');
    let (category, _version) = (segments.next()?, segments.next()?);
    let (model, _) = models::by_path(category, &segments.collect::<Vec<_>>())?;
    let finished = {
        let (world, _) = sim.merge().world();
        let account = world.account_by_token(&token);
        let syncs = account.map(|account| account.syncs.iter()).into_iter().flatten();
        let mut of_model = syncs.filter(|sync| sync.model_id == models::all()[model].model_id);
        of_model.next().and_then(|sync| sync.last_sync_finished).map(|time| time.0)
    };
    let list = List { token, path: request.uri().path().to_owned() };
    let cursor = cursors::of(request.uri()).map(str::to_owned);
    if sim.watch().moved(&list, cursor.is_some(), finished) {
        sim.happened(Happening::MovedBetweenPages);
    }
    Some(PageCall { process: process.name.clone(), invocation: process.invocation(), list, cursor })
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
