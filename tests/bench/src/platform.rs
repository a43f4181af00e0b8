//! The platform: just enough of Lambda's Runtime API, and of the AWS services that a start or a webhook asks, for a
//! process to run. It tells when each request came. Services are answered at once; `/next` hands out the events that
//! lie ready, and then hangs, as Lambda does while there is nothing to do.
//!
//! Plain threads: nothing that runs here may come between a request and its time.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::Deserialize;

/// What a process did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It asks for its next invocation: it has started, or is ready again.
    Next,
    /// It is being handed an event.
    Given,
    /// It answers an event, with this status.
    Answered(u16),
    /// It reports that it failed.
    Failed,
    /// It began to speak TLS where nobody does.
    Tls,
    /// It asks a service.
    Service,
}

/// How requests to services are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// At once.
    Answer,
    /// Not at all: what is counted ends with the request.
    Hold,
}

/// See the module.
pub struct Platform {
    pub address: SocketAddr,
    asked: Receiver<(Asked, Instant)>,
    desk: Arc<Desk>,
}

/// What the connections share.
struct Desk {
    events: Mutex<VecDeque<String>>,
    holds: AtomicBool,
}

/// The signature key that both backends find in the secret store.
pub const WEBHOOK_KEY: &str = "bench-key";

impl Platform {
    /// A platform that speaks plain HTTP.
    pub fn start() -> std::io::Result<Self> {
        Self::listen(serve)
    }

    /// A platform that speaks TLS.
    pub fn start_tls(config: Arc<ServerConfig>) -> std::io::Result<Self> {
        Self::listen(move |stream, sender, desk| {
            // A handshake that fails is seen by whoever waits for the request.
            if let Ok(connection) = ServerConnection::new(Arc::clone(&config)) {
                serve(StreamOwned::new(connection, stream), sender, desk);
            }
        })
    }

    fn listen(
        serve: impl Fn(TcpStream, &Sender<(Asked, Instant)>, &Desk) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (sender, asked) = channel();
        let desk = Arc::new(Desk { events: Mutex::default(), holds: AtomicBool::new(false) });
        let shared = Arc::clone(&desk);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, desk, serve) = (sender.clone(), Arc::clone(&shared), serve.clone());
                std::thread::spawn(move || {
                    // Small writes at once, as over a real network; a socket that refuses is only slower.
                    stream.set_nodelay(true).ok();
                    serve(stream, &sender, &desk);
                });
            }
        });
        Ok(Self { address, asked, desk })
    }

    /// What the process does next; `None` if it does nothing for so long that it never will.
    pub fn next(&self) -> Option<(Asked, Instant)> {
        self.next_within(Duration::from_secs(300))
    }

    /// The same of a process that may work so long on one event.
    pub fn next_within(&self, patience: Duration) -> Option<(Asked, Instant)> {
        self.asked.recv_timeout(patience).ok()
    }

    /// Begins anew: forgets what a process that has ended did, and lays `events` ready for the one to come.
    pub fn prepare(&self, services: Services, events: Vec<String>) {
        while self.asked.try_recv().is_ok() {}
        self.desk.holds.store(services == Services::Hold, Ordering::Relaxed);
        *self.desk.events.lock().unwrap_or_else(PoisonError::into_inner) = events.into();
    }
}

/// A request: its head in small letters, and its body.
struct Request {
    head: String,
    body: String,
}

/// What the platform reads of an answer.
#[derive(Deserialize, Default)]
struct Status {
    #[serde(rename = "statusCode", default)]
    status: u16,
}

/// Answers the requests of one connection, until it is closed.
fn serve(mut stream: impl Read + Write, sender: &Sender<(Asked, Instant)>, desk: &Desk) {
    let mut buffer = Vec::new();
    loop {
        let request = match read(&mut stream, &mut buffer) {
            Some(Ok(request)) => request,
            Some(Err(())) => {
                // The run may be over.
                sender.send((Asked::Tls, Instant::now())).ok();
                return;
            }
            None => return,
        };
        let asked = what(&request);
        if sender.send((asked, Instant::now())).is_err() {
            return;
        }
        let answer = match asked {
            Asked::Next => {
                let event = desk.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                // Nothing to do: read on, which ends with the process.
                let Some(event) = event else { continue };
                let answer = invocation(&event);
                if sender.send((Asked::Given, Instant::now())).is_err() {
                    return;
                }
                answer
            }
            Asked::Service if desk.holds.load(Ordering::Relaxed) => continue,
            Asked::Service => answer("200 OK", "application/x-amz-json-1.1", &service(&request)),
            _ => answer("202 Accepted", "application/json", r#"{"status":"OK"}"#),
        };
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// The next request; an error is TLS where nobody speaks it, `None` the end.
fn read(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<Result<Request, ()>> {
    let end = loop {
        if buffer.first() == Some(&0x16) {
            return Some(Err(()));
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, buffer)?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.and_then(|digits| digits.trim().parse().ok()).unwrap_or_default();
    while buffer.len() < end + length {
        more(stream, buffer)?;
    }
    let body = String::from_utf8_lossy(&buffer[end..end + length]).into_owned();
    buffer.drain(..end + length);
    Some(Ok(Request { head, body }))
}

fn more(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0_u8; 8192];
    match stream.read(&mut chunk) {
        Ok(0) | Err(_) => None,
        Ok(count) => {
            buffer.extend_from_slice(&chunk[..count]);
            Some(())
        }
    }
}

fn what(request: &Request) -> Asked {
    let path = request.head.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    match path.rsplit_once("/runtime/").map(|(_, rest)| rest) {
        Some("invocation/next") => Asked::Next,
        Some(rest) if rest.ends_with("/response") => {
            let answer: Status = serde_json::from_str(&request.body).unwrap_or_default();
            Asked::Answered(answer.status)
        }
        Some(_) => Asked::Failed,
        None => Asked::Service,
    }
}

/// What a service answers: a secret, or that a message is on the queue.
fn service(request: &Request) -> String {
    if !request.head.contains("getsecretvalue") {
        return r#"{"MessageId":"00000000-0000-4000-8000-000000000000","MD5OfMessageBody":"0"}"#.to_owned();
    }
    let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s";
    let secret = if request.body.to_lowercase().contains("list") {
        serde_json::json!([WEBHOOK_KEY]).to_string()
    } else {
        WEBHOOK_KEY.to_owned()
    };
    serde_json::json!({"ARN": arn, "Name": "s", "SecretString": secret}).to_string()
}

fn invocation(event: &str) -> String {
    let headers = "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
        lambda-runtime-deadline-ms: 9999999999999\r\n\
        lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n\
        lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0";
    answer("200 OK", &format!("application/json\r\n{headers}"), event)
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_their_path() {
        let of = |line: &str| {
            let head = format!("{line}\r\nhost: a\r\n\r\n");
            what(&Request { head, body: r#"{"statusCode":401}"#.to_owned() })
        };
        assert_eq!(of("get /2018-06-01/runtime/invocation/next http/1.1"), Asked::Next);
        assert_eq!(of("post /2018-06-01/runtime/invocation/8476a536/response http/1.1"), Asked::Answered(401));
        assert_eq!(of("post /2018-06-01/runtime/init/error http/1.1"), Asked::Failed);
        assert_eq!(of("post / http/1.1"), Asked::Service);
    }

    #[test]
    fn a_request_is_read_whole_and_the_next_is_left() {
        let mut buffer = Vec::new();
        let mut wire: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /x HTTP/1.1\r\n\r\n";
        let mut next = || read(&mut wire, &mut buffer).and_then(Result::ok).map(|request| request.body);
        assert_eq!(next().as_deref(), Some("hi"));
        assert_eq!(next().as_deref(), Some(""));
        assert_eq!(next(), None);
        assert!(matches!(read(&mut &[0x16_u8, 3, 1][..], &mut Vec::new()), Some(Err(()))));
    }
}
