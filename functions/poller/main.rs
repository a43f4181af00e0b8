//! Wires the poller.

use std::time::Duration;

use functions::poller::{Poller, Tick, poll};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::{
    config::{self, aws, aws::Aws},
    queue::Queue,
    store::Store,
    telemetry,
};
use tokio::time::Instant;
use tracing::Instrument;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    type Sections = (config::Logging, Aws, config::Tables, config::Queue, config::Poller);
    let (logging, aws, tables, queue, settings): Sections = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = aws::sdk_config(&aws)?;
    let store = Store::connect(&sdk, &tables);
    let poller = &Poller { store, queue: Queue::new(&sdk, &queue), reserve: Duration::from_secs(10), settings };
    lambda_runtime::run(service_fn(|event: LambdaEvent<Tick>| async move {
        let left = event.context.deadline().elapsed().map_or_else(|ahead| ahead.duration(), |_| Duration::ZERO);
        let span = telemetry::invocation(&event.context.request_id);
        Ok::<_, Error>(poll(poller, &event.payload, Instant::now() + left).instrument(span).await?)
    }))
    .await
}
