//! A function for the host's own tests: it does what its event's `do` says.
//!
//! `echo` (also without `do`) answers the event and this process's id; `sleep` sleeps `ms` first; `fail`
//! returns an error; `panic` panics; `exit` ends the process; `environment` answers its environment;
//! `answer` answers the event's `answer`; `large` answers `bytes` bytes; `print` writes `text` to both
//! outputs. With `BREAK_INIT` set it ends before it asks for an event.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var_os("BREAK_INIT").is_some() {
        return Err("initialisation is broken on purpose".into());
    }
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let LambdaEvent { payload, context } = event;
    match payload["do"].as_str().unwrap_or("echo") {
        "sleep" => tokio::time::sleep(Duration::from_millis(payload["ms"].as_u64().unwrap_or_default())).await,
        "fail" => return Err("failed on purpose".into()),
        "panic" => panic!("panicked on purpose"),
        "exit" => std::process::exit(3),
        "environment" => return Ok(json!(std::env::vars().collect::<std::collections::BTreeMap<_, _>>())),
        "answer" => return Ok(payload["answer"].clone()),
        "large" => return Ok(json!("x".repeat(payload["bytes"].as_u64().unwrap_or_default() as usize))),
        "print" => {
            let text = payload["text"].as_str().unwrap_or_default();
            println!("{text}");
            eprintln!("{text}");
        }
        _ => {}
    }
    Ok(json!({
        "pid": std::process::id(),
        "request_id": context.request_id,
        "deadline": context.deadline,
        "arn": context.invoked_function_arn,
        "trace": context.xray_trace_id,
        "event": payload,
    }))
}
