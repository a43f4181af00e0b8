//! Service: the sandbox over HTTP, without a socket. The router answers in process as well as behind a listener.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::sync::Notify;

use crate::clock::{Clock, Time};
use crate::faults::{self, Fault};
use crate::reply::Reply;
use crate::routes;
use crate::snapshot;
use crate::world::World;

/// The sandbox's state with its clock. Cheap to share.
pub struct Service {
    world: Mutex<World>,
    pub clock: Clock,
    /// Rung when something may have become due.
    pub bell: Notify,
    data_dir: Option<PathBuf>,
    saved: Mutex<u64>,
}

/// Bodies of calls are small; this is room enough.
const MAX_BODY: usize = 10 * 1024 * 1024;

impl Service {
    pub fn new(world: World, clock: Clock, data_dir: Option<PathBuf>) -> Arc<Service> {
        let saved = Mutex::new(world.revision);
        Arc::new(Service { world: Mutex::new(world), clock, bell: Notify::new(), data_dir, saved })
    }

    /// The world, brought up to the present.
    pub fn world(&self) -> (MutexGuard<'_, World>, Time) {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        world.advance(now);
        (world, now)
    }

    /// Every route: `/api/…`, `/_sandbox/…`, `/initialize.js`, `/logos/…`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(Arc::clone(self))
    }

    /// Writes what changed since the last time to the data directory.
    pub fn save(&self) {
        let Some(folder) = &self.data_dir else { return };
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let (world, _) = self.world();
        if world.revision == *saved {
            return;
        }
        let text = snapshot::encode(&world.store);
        let revision = world.revision;
        drop(world);
        match text.and_then(|text| snapshot::write(folder, &text)) {
            Ok(()) => *saved = revision,
            Err(error) => tracing::error!(%error, "the sandbox could not save its state"),
        }
    }
}

/// A call, taken apart.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub headers: http::HeaderMap,
    pub body: bytes::Bytes,
    /// What is to go wrong in building the answer.
    pub fault: Option<Fault>,
}

impl Call {
    /// The path's segments; a trailing slash makes no difference.
    pub fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return Reply::bad_request("The body is too large.").into_response();
    };
    let path = percent_decoded(parts.uri.path());
    let query = parts.uri.query().map(str::to_owned);
    let mut call = Call { method: parts.method, path, query, headers: parts.headers, body, fault: None };
    let is_merge = call.path.starts_with("/api/");
    if is_merge && call.method != Method::OPTIONS {
        let (mut world, _) = service.world();
        call.fault = faults::take(&mut world.faults, call.method.as_str(), &call.path);
    }
    if let Some(delay) = call.fault.as_ref().and_then(|fault| fault.delay_ms) {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let forced = call.fault.as_ref().and_then(forced_answer);
    let does_work = forced.is_none() || call.fault.as_ref().is_some_and(|fault| fault.after);
    let worked = if does_work { Some(routes::answer(&service, &call).await) } else { None };
    let mut response = forced.or(worked).unwrap_or_else(|| Reply::not_found().into_response());
    if is_merge {
        let (mut world, now) = service.world();
        let status = response.status().as_u16();
        world.requests.record(call.method.as_str(), &call.path, now, status);
        world.throttle.note(status, now);
    }
    if call.method != Method::GET {
        service.save();
    }
    service.bell.notify_one();
    // The dialog calls from the page's origin. Nothing else is for browsers: the control API shows tokens.
    if call.path == "/initialize.js" || call.path.starts_with("/api/integrations/link/") {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    match &call.fault {
        Some(fault) if fault.truncate || fault.body_bytes.is_some() => spoil(response, fault).await,
        _ => response,
    }
}

fn forced_answer(fault: &Fault) -> Option<Response> {
    let status = StatusCode::from_u16(fault.status?).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = Reply::detail(status, status.canonical_reason().unwrap_or("Fault"));
    if let Some(seconds) = fault.retry_after {
        reply = reply.retry_after(seconds as i64);
    }
    Some(reply.into_response())
}

/// Blows the body up with spaces, or ends it in the middle.
async fn spoil(response: Response, fault: &Fault) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default().to_vec();
    let wanted = fault.body_bytes.map_or(0, |wanted| wanted as usize);
    bytes.resize(bytes.len().max(wanted), b' ');
    if !fault.truncate {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    bytes.truncate(bytes.len() / 2);
    let half = futures::stream::once(std::future::ready(Ok(bytes::Bytes::from(bytes))));
    let end = futures::stream::once(async {
        // Status and headers must be on their way, or the caller sees no answer at all.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the connection breaks off here"))
    });
    let chunks = futures::StreamExt::chain(half, end);
    Response::from_parts(parts, Body::from_stream(chunks))
}

fn percent_decoded(path: &str) -> String {
    if !path.contains('%') {
        return path.to_owned();
    }
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let escaped = (bytes[position] == b'%').then(|| path.get(position + 1..position + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                position += 3;
            }
            None => {
                out.push(bytes[position]);
                position += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
