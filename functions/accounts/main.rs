//! Wires the accounts function.

use std::sync::Arc;

use functions::accounts::{self, Accounts};
use shared::config::{
    self, Clock, Identity, Logging, Merge, Models, RefreshLimit, Retention, Tables, TokenKey, aws::Aws,
};
use shared::linking::Linking;
use shared::queue::Queue;
use shared::secrets::{self, TokenCipher};
use shared::store::Store;
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    type Sections =
        (Logging, Aws, Tables, config::Queue, TokenKey, Merge, Identity, Models, Clock, Retention, RefreshLimit);
    let (logging, aws, tables, queue, token_key, merge, identity, models, clock, retention, limit): Sections =
        config::load()?;
    telemetry::init(&logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let linking = Linking {
        store: Store::connect(&sdk, &tables),
        merge: secrets::merge_client(&sdk, &merge).await?,
        tokens: Arc::new(TokenCipher::new(&sdk, &token_key)),
        history: retention.history,
    };
    let accounts = Accounts { linking, queue: Queue::new(&sdk, &queue), identity, models, clock, retention, limit };
    http::serve(|request| accounts::handle(&accounts, request)).await
}
