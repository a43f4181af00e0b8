//! Wires the token-claims function.

use functions::token_claims;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;
use shared::config::{self, Identity, Logging};
use shared::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (logging, identity): (Logging, Identity) = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let identity = &identity;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move {
        let _span = telemetry::invocation(&event.context.request_id).entered();
        Ok::<_, Error>(token_claims::handle(identity, event.payload)?)
    }))
    .await
}
