//! A function for the host's own tests: it does what its event's `do` says.
//!
//! `echo` (also without `do`) answers the event and this process's id; `sleep` says so and sleeps `ms` first; `fail`
//! returns an error; `panic` panics; `exit` ends the process; `environment` answers its environment;
//! `answer` answers the event's `answer`; `large` answers `bytes` bytes; `print` writes `text` to both
//! outputs; `send` sends its event once more to the queue `queue_url`. An SQS batch is handled message by
//! message, an HTTP request by its body if that says what to do: the body is such an event, and those that fail are
//! answered as batch item failures. With `PRINT_EVENTS` set it prints every event, with `BREAK_INIT` set it ends before
//! it asks for an event.
//!
//! Called with the argument `host` it is no function but a Lambda host that runs itself as one: it
//! prints the process ids of two invocations that never end, for the test that kills a host.

use std::collections::BTreeMap;
use std::time::Duration;

use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use local_stack::lambda::trace::Trace;
use local_stack::lambda::{Host, HostedFunction, Names};
use local_stack::logs::{Echo, Logs};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::args().nth(1).as_deref() == Some("host") {
        return host().await;
    }
    if std::env::var_os("BREAK_INIT").is_some() {
        return Err("initialisation is broken on purpose".into());
    }
    lambda_runtime::run(service_fn(handle)).await
}

async fn host() -> Result<(), Error> {
    let function = HostedFunction {
        binary: "echo".to_owned(),
        executable: std::env::current_exe()?,
        timeout: Duration::from_secs(600),
        memory_mb: 128,
        environment: BTreeMap::new(),
    };
    let names = Names { stack: "test".into(), region: "us-east-1".into(), account_id: "000000000000".into() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let host = Host::start(listener, names, vec![function], Logs::new(Echo::Nothing))?;
    let busy = json!({"do": "sleep", "ms": 600_000}).to_string();
    let chain = Trace::start(0);
    let invocations = async {
        tokio::join!(host.invoke("echo", busy.clone().into(), &chain), host.invoke("echo", busy.clone().into(), &chain),)
    };
    let announce = async {
        while host.processes("echo").len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("{}", json!(host.processes("echo")));
    };
    tokio::join!(invocations, announce);
    Ok(())
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let LambdaEvent { payload, context } = event;
    let Some(records) = payload["Records"].as_array() else {
        if std::env::var_os("PRINT_EVENTS").is_some() {
            println!("{payload}");
        }
        let told = payload["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok());
        return perform(told.filter(|told| told["do"].is_string()).unwrap_or(payload), &context).await;
    };
    let mut failures = Vec::new();
    for record in records {
        println!("{record}");
        let event = serde_json::from_str(record["body"].as_str().unwrap_or_default())?;
        if perform(event, &context).await.is_err() {
            failures.push(json!({"itemIdentifier": record["messageId"]}));
        }
    }
    Ok(json!({ "batchItemFailures": failures }))
}

async fn perform(event: Value, context: &Context) -> Result<Value, Error> {
    match event["do"].as_str().unwrap_or("echo") {
        "sleep" => {
            println!("sleeping");
            tokio::time::sleep(Duration::from_millis(event["ms"].as_u64().unwrap_or_default())).await;
        }
        "fail" => return Err("failed on purpose".into()),
        "panic" => panic!("panicked on purpose"),
        "exit" => std::process::exit(3),
        "environment" => return Ok(json!(std::env::vars().collect::<BTreeMap<_, _>>())),
        "answer" => return Ok(event["answer"].clone()),
        "large" => return Ok(json!("x".repeat(event["bytes"].as_u64().unwrap_or_default() as usize))),
        "send" => send(&event).await?,
        "print" => {
            let text = event["text"].as_str().unwrap_or_default();
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
        "event": event,
    }))
}

async fn send(event: &Value) -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let message = aws_sdk_sqs::Client::new(&config).send_message().message_body(event.to_string());
    let queue = event["queue_url"].as_str().unwrap_or_default();
    let unique = format!("{:?}", std::time::SystemTime::now());
    let unique = unique.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    message.queue_url(queue).message_group_id("chain").message_deduplication_id(unique).send().await?;
    Ok(())
}
