//! Wires the accounts function.

use std::sync::Arc;

use functions::accounts::{self, Accounts};
use shared::config::{
    self, Clock, Identity, Logging, Merge, Models, RefreshLimit, RefusedLimit, Retention, Tables, TokenKey, aws::Aws,
};
use shared::linking::Linking;
use shared::queue::Queue;
use shared::secrets::{self, TokenCipher};
use shared::store::Store;
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    type Limits = (RefreshLimit, RefusedLimit);
    type Sections = (Logging, Aws, Tables, config::Queue, TokenKey, Merge, Identity, Models, Clock, Retention, Limits);
    let (logging, aws, tables, queue, token_key, merge, identity, models, clock, retention, limits): Sections =
        config::load()?;
    let (limit, refused) = limits;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let linking = Linking {
        store: Store::connect(&sdk, &tables),
        merge: secrets::merge_client(&sdk, &merge).await?,
        tokens: Arc::new(TokenCipher::new(&sdk, &token_key)),
        history: retention.history,
    };
    let queue = Queue::new(&sdk, &queue);
    let accounts = Accounts { linking, queue, identity, models, clock, retention, limit, refused };
    http::serve(|request| accounts::handle(&accounts, request)).await
}
