//! A relay: stands between a function and a service, passes calls on, and changes on the way what a test tells it to.
//! So the shipped binaries meet a service that misbehaves, or make a mistake that their code does not make.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// What is changed on the way.
pub struct Changes {
    /// A call, before it is passed on.
    pub call: fn(&Said, &Parts, Bytes) -> Bytes,
    /// An answer, before the caller gets it. The parts are those of its call.
    pub answer: fn(&Said, &Parts, Answer) -> Answer,
}

/// An answer on its way back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What the test has said so far.
#[derive(Clone, Default)]
pub struct Said {
    /// Where calls go on to.
    service: String,
    /// The relay's own address.
    pub relay: String,
    words: BTreeSet<String>,
    /// Calls that came to the relay and are none of the service's.
    strays: usize,
}

impl Said {
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(word)
    }
}

/// See the module.
pub struct Relay {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    http: reqwest::Client,
    changes: Changes,
    said: Mutex<Said>,
}

impl Shared {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More than any call or answer has.
const LARGEST: usize = 64 << 20;

/// Below this nothing is passed on: whoever comes here was led astray.
pub const ELSEWHERE: &str = "/elsewhere";

impl Relay {
    /// Starts on a free port, for as long as the process lives.
    pub fn start(changes: Changes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        // A relay may be there before any stack is.
        local_stack::install_crypto();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        let said = Said { relay: url.clone(), ..Said::default() };
        let shared = Arc::new(Shared { http: http.expect("an HTTP client"), changes, said: Mutex::new(said) });
        let router = Router::new().fallback(pass_on).with_state(shared.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await.expect("the relay serves");
            });
        });
        Self { url, shared }
    }

    /// From now on calls go to `service`, such as `http://127.0.0.1:9003`.
    pub fn aim(&self, service: &str) {
        self.shared.said().service = service.trim_end_matches('/').to_owned();
    }

    pub fn say(&self, word: &str) {
        self.shared.said().words.insert(word.to_owned());
    }

    pub fn take_back(&self, word: &str) {
        self.shared.said().words.remove(word);
    }

    /// Calls that were led astray.
    pub fn strays(&self) -> usize {
        self.shared.said().strays
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let said = shared.said().clone();
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with(ELSEWHERE) {
        shared.said().strays += 1;
        return StatusCode::NO_CONTENT.into_response();
    }
    let Ok(body) = to_bytes(body, LARGEST).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let body = (shared.changes.call)(&said, &parts, body);
    let mut headers = parts.headers.clone();
    for name in ["host", "content-length", "accept-encoding"] {
        headers.remove(name);
    }
    let url = format!("{}{}", said.service, parts.uri);
    let call = shared.http.request(parts.method.clone(), url).headers(headers).body(body);
    let Ok(answer) = call.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in ["content-length", "transfer-encoding"] {
        headers.remove(name);
    }
    // What breaks off here breaks off there.
    let Ok(body) = answer.bytes().await else {
        let half = futures::stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("broken off"))]);
        return (status, headers, Body::from_stream(half)).into_response();
    };
    let Answer { status, headers, body } = (shared.changes.answer)(&said, &parts, Answer { status, headers, body });
    (status, headers, body).into_response()
}
