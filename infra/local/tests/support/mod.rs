//! A Lambda host that runs the test function, and bounded polling.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use local_stack::lambda::trace::Trace;
use local_stack::lambda::{Host, HostedFunction, Invocation, Names};
use local_stack::logs::{Echo, Logs};
use serde_json::Value;
use tokio::net::TcpListener;

pub const ACCOUNT: &str = "000000000000";

/// The test function as `echo`, with a timeout.
pub fn echo(timeout: Duration) -> HostedFunction {
    HostedFunction {
        binary: "echo".to_owned(),
        executable: PathBuf::from(env!("CARGO_BIN_EXE_echo-function")),
        timeout,
        memory_mb: 256,
        environment: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
    }
}

pub async fn host(functions: Vec<HostedFunction>) -> (Host, Logs) {
    let names = Names { stack: "test".into(), region: "us-east-1".into(), account_id: ACCOUNT.into() };
    let logs = Logs::new(Echo::Nothing);
    let host = Host::start(listener().await, names, functions, logs.clone()).expect("the host starts");
    (host, logs)
}

pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

pub fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().expect("an address"))
}

pub async fn invoke(host: &Host, event: Value) -> Invocation {
    host.invoke("echo", event.to_string().into(), &Trace::start(1_700_000_000)).await
}

/// The JSON that the function answered.
pub fn answer(invocation: Invocation) -> Value {
    match invocation {
        Invocation::Response(body) => serde_json::from_slice(&body).expect("JSON"),
        other => panic!("no response but {other:?}"),
    }
}

/// Waits until `done` says so, at most ten seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..500 {
        ticks.tick().await;
        if done().await {
            return;
        }
    }
    panic!("not within ten seconds: {what}");
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

/// A client that follows no redirect.
pub fn client() -> reqwest::Client {
    // An error says that another test chose it before.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}
