//! Wires the exchange function.

use std::sync::Arc;

use functions::exchange::{self, Exchanges};
use shared::config::{
    self, Identity, Logging, Merge, RefreshLimit, RefusedLimit, Retention, Tables, TokenKey, aws::Aws,
};
use shared::linking::Linking;
use shared::queue::Queue;
use shared::secrets::{self, TokenCipher};
use shared::store::Store;
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    type Limits = (RefreshLimit, RefusedLimit);
    type Sections = (Logging, Aws, Tables, config::Queue, TokenKey, Merge, Identity, Retention, Limits);
    let (logging, aws, tables, queue, token_key, merge, identity, retention, limits): Sections = config::load()?;
    let (limit, refused) = limits;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let linking = Linking {
        store: Store::connect(&sdk, &tables),
        merge: secrets::merge_client(&sdk, &merge).await?,
        tokens: Arc::new(TokenCipher::new(&sdk, &token_key)),
        history: retention.history,
    };
    let exchanges = Exchanges { linking, queue: Queue::new(&sdk, &queue), identity, refused, limit };
    http::serve(|request| exchange::handle(&exchanges, request)).await
}
