//! Wires the sync worker: clients once per process, one batch per invocation.

use std::{sync::Arc, time::Duration};

use aws_lambda_events::event::sqs::SqsEvent;
use functions::sync_worker::{Bus, Invocation, Settings, Worker, handle};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::{
    config::{self, aws, aws::Aws},
    linking::Linking,
    queue::Queue,
    secrets::{self, TokenCipher},
    store::Store,
    telemetry,
};
use tokio::time::Instant;
use tracing::Instrument;

/// Left of an invocation's time for the page under way when no more work is taken up.
const RESERVE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    type Account = (config::Tables, config::Queue, config::TokenKey, config::EventBus, config::Merge);
    type Work = (config::Models, config::Worker, config::Retention, config::Clock);
    let (logging, aws, (tables, queue, token_key, bus, merge), (models, slice, retention, clock)): (
        config::Logging,
        Aws,
        Account,
        Work,
    ) = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = aws::sdk_config(&aws)?;
    let store = Store::connect(&sdk, &tables);
    let client = secrets::merge_client(&sdk, &merge).await?;
    let linking = Linking {
        store: store.clone(),
        merge: client.clone(),
        tokens: Arc::new(TokenCipher::new(&sdk, &token_key)),
        history: retention.history,
    };
    let settings = Settings {
        models,
        requests_per_minute: merge.requests_per_minute,
        slice: slice.slice,
        second_sweep_after: slice.second_sweep_after,
        brake: slice.brake,
        overlap: slice.overlap,
        retention,
        clock,
    };
    let bus = Bus::new(aws_sdk_eventbridge::Client::new(&sdk), &bus.name);
    let worker = &Worker::new(store, client, linking, Queue::new(&sdk, &queue), bus, settings);
    lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| async move {
        let context = event.context;
        let left = context.deadline().elapsed().map_or_else(|ahead| ahead.duration(), |_| Duration::ZERO);
        let invocation = Invocation {
            request_id: context.request_id.clone(),
            stop_at: Instant::now() + worker.settings.slice.min(left.saturating_sub(RESERVE)),
        };
        let span = telemetry::invocation(&context.request_id);
        Ok::<_, Error>(handle(worker, event.payload, &invocation).instrument(span).await)
    }))
    .await
}
