//! The Lambda host: processes, concurrency, deadlines, crashes and the environment.

mod support;

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use local_stack::lambda::trace::Trace;
use local_stack::lambda::{CONCURRENCY, Invocation};
use local_stack::logs::Level;
use serde_json::json;
use support::{answer, echo, eventually, host, invoke, is_alive};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_process_is_started_on_demand_and_reused() {
    let (host, _) = host(vec![echo(LONG)]).await;
    assert!(host.processes("echo").is_empty());
    let first = answer(invoke(&host, json!({"n": 1})).await);
    let second = answer(invoke(&host, json!({"n": 2})).await);
    assert_eq!((&first["event"]["n"], &second["event"]["n"]), (&json!(1), &json!(2)));
    assert_eq!(first["pid"], second["pid"]);
    assert_ne!(first["request_id"], second["request_id"]);
    assert_eq!(first["arn"], "arn:aws:lambda:us-east-1:000000000000:function:test-echo");
    host.stop().await;
    assert!(!is_alive(first["pid"].as_u64().expect("a pid") as u32));
}

#[tokio::test]
async fn concurrent_invocations_get_a_process_each_up_to_the_limit() {
    let (host, _) = host(vec![echo(LONG)]).await;
    let calls = (0..CONCURRENCY + 8).map(|_| invoke(&host, json!({"do": "sleep", "ms": 300})));
    let answers: Vec<_> = futures::future::join_all(calls).await.into_iter().map(answer).collect();
    let pids: HashSet<_> = answers.iter().map(|answer| answer["pid"].as_u64()).collect();
    assert_eq!(answers.len(), CONCURRENCY + 8);
    assert!(pids.len() > 1 && pids.len() <= CONCURRENCY, "{} processes", pids.len());
    assert!(host.processes("echo").len() <= CONCURRENCY);
    host.stop().await;
}

#[tokio::test]
async fn an_invocation_past_its_deadline_is_killed_and_the_next_gets_a_new_process() {
    let (host, logs) = host(vec![echo(Duration::from_secs(1))]).await;
    let before = answer(invoke(&host, json!({})).await);
    assert_eq!(invoke(&host, json!({"do": "sleep", "ms": 60_000})).await, Invocation::Timeout);
    eventually("the process is gone", || async { !is_alive(before["pid"].as_u64().expect("a pid") as u32) }).await;
    let after = answer(invoke(&host, json!({})).await);
    assert_ne!(before["pid"], after["pid"]);
    assert!(logs.lines().iter().any(|line| line.line.ends_with("Task timed out after 1.00 seconds")));
    host.stop().await;
}

#[tokio::test]
async fn the_deadline_is_the_timeout_from_now() {
    let (host, _) = host(vec![echo(LONG)]).await;
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let earliest = now() + 30_000;
    let deadline = answer(invoke(&host, json!({})).await)["deadline"].as_u64().expect("a deadline");
    assert!((earliest..=now() + 30_000).contains(&deadline));
    host.stop().await;
}

#[tokio::test]
async fn a_crash_is_an_error_and_the_next_invocation_gets_a_new_process() {
    let (host, logs) = host(vec![echo(LONG)]).await;
    let before = answer(invoke(&host, json!({})).await);
    let Invocation::FunctionError { kind, message } = invoke(&host, json!({"do": "exit"})).await else {
        panic!("a crash is no answer");
    };
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.ends_with("Runtime exited with error: exit status 3"), "{message}");
    assert_ne!(before["pid"], answer(invoke(&host, json!({})).await)["pid"]);
    assert!(logs.lines().iter().any(|line| line.level == Level::Error && line.line.ends_with("exit status 3")));
    host.stop().await;
}

#[tokio::test]
async fn errors_and_panics_of_the_handler_keep_the_process() {
    let (host, _) = host(vec![echo(LONG)]).await;
    let before = answer(invoke(&host, json!({})).await);
    for event in [json!({"do": "fail"}), json!({"do": "panic"})] {
        let invocation = invoke(&host, event).await;
        assert!(matches!(&invocation, Invocation::FunctionError { message, .. } if message.contains("on purpose")));
    }
    assert_eq!(before["pid"], answer(invoke(&host, json!({})).await)["pid"]);
    host.stop().await;
}

#[tokio::test]
async fn a_function_that_does_not_initialise_is_an_error() {
    let mut broken = echo(LONG);
    broken.environment.insert("BREAK_INIT".to_owned(), "1".to_owned());
    let mut absent = echo(LONG);
    absent.binary = "absent".to_owned();
    absent.executable = "/nonexistent/bootstrap".into();
    let (host, logs) = host(vec![broken, absent]).await;
    let check = async |binary: &str, expected: &str| {
        let invocation = host.invoke(binary, "{}".into(), &Trace::start(0)).await;
        assert!(matches!(&invocation, Invocation::FunctionError { kind, .. } if kind == expected), "{invocation:?}");
    };
    check("echo", "Runtime.ExitError").await;
    check("absent", "Runtime.InvalidEntrypoint").await;
    check("unknown", "ResourceNotFoundException").await;
    assert!(logs.lines().iter().any(|line| line.function == "echo" && line.line.contains("broken on purpose")));
    host.stop().await;
}

#[tokio::test]
async fn the_environment_is_lambdas_and_nothing_else() {
    let (host, _) = host(vec![echo(LONG)]).await;
    let environment = answer(invoke(&host, json!({"do": "environment"})).await);
    assert_eq!(environment["GREETING"], "hello");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], "test-echo");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "256");
    assert_eq!(environment["AWS_REGION"], "us-east-1");
    assert!(environment["_X_AMZN_TRACE_ID"].as_str().is_some_and(|trace| trace.contains("Lineage=")));
    for foreign in ["HOME", "CARGO", "CARGO_MANIFEST_DIR", "USER", "PWD"] {
        assert_eq!(environment[foreign], json!(null), "{foreign}");
    }
    host.stop().await;
}

#[tokio::test]
async fn output_is_captured_line_by_line() {
    let (host, logs) = host(vec![echo(LONG)]).await;
    answer(invoke(&host, json!({"do": "print", "text": "one\ntwo"})).await);
    eventually("both streams are captured", || async {
        let lines = logs.lines();
        ["one", "two"].iter().all(|text| lines.iter().filter(|line| line.line == *text).count() == 2)
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn a_response_over_six_megabytes_is_an_error() {
    let (host, _) = host(vec![echo(LONG)]).await;
    answer(invoke(&host, json!({"do": "large", "bytes": 6_000_000})).await);
    let invocation = invoke(&host, json!({"do": "large", "bytes": 6_300_000})).await;
    assert!(
        matches!(&invocation, Invocation::FunctionError { kind, .. } if kind == "Function.ResponseSizeTooLarge"),
        "too large"
    );
    host.stop().await;
}

#[tokio::test]
async fn an_invocation_outlives_its_caller() {
    let (host, logs) = host(vec![echo(LONG)]).await;
    let abandoned = invoke(&host, json!({"do": "print", "text": "still here"}));
    tokio::time::timeout(Duration::ZERO, abandoned).await.expect_err("no process is that fast");
    eventually("the function went on", || async { logs.lines().iter().any(|line| line.line == "still here") }).await;
    host.stop().await;
}

#[tokio::test]
async fn killed_processes_are_replaced() {
    let (host, logs) = host(vec![echo(LONG)]).await;
    let idle = answer(invoke(&host, json!({})).await)["pid"].as_u64().expect("a pid") as u32;
    let busy = tokio::spawn({
        let host = host.clone();
        async move { invoke(&host, json!({"do": "sleep", "ms": 60_000})).await }
    });
    eventually("it is busy", || async { logs.lines().iter().any(|line| line.line == "sleeping") }).await;
    host.kill("echo");
    let next = answer(invoke(&host, json!({})).await)["pid"].as_u64().expect("a pid") as u32;
    assert_ne!(idle, next);
    eventually("the old process is gone", || async { !is_alive(idle) }).await;
    assert!(matches!(busy.await.expect("no panic"), Invocation::FunctionError { .. }));
    host.stop().await;
}

/// Ctrl-C can be handled; SIGKILL cannot: the kernel has to end the children.
#[tokio::test]
async fn no_process_outlives_a_killed_host() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_echo-function"))
        .arg("host")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the host starts");
    let mut line = String::new();
    BufReader::new(parent.stdout.take().expect("piped")).read_line(&mut line).expect("its process ids");
    let children: Vec<u32> = serde_json::from_str(&line).expect("a list");
    assert_eq!(children.len(), 2);
    assert!(children.iter().all(|pid| is_alive(*pid)), "both are running");
    parent.kill().expect("SIGKILL");
    parent.wait().expect("it ends");
    eventually("no child is left", || async { children.iter().all(|pid| !is_alive(*pid)) }).await;
}
