//! Wires the link-token function.

use functions::link_token::{self, LinkTokens};
use shared::api::limiter::Limiter;
use shared::config::{self, Identity, Linking, Logging, Merge, RefusedLimit, Retention, Tables, aws::Aws};
use shared::store::Store;
use shared::{http, secrets, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    type Sections = (Logging, Aws, Tables, Merge, Identity, Linking, Retention, RefusedLimit);
    let (logging, aws, tables, merge, identity, linking, retention, refused): Sections = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let limiter = Limiter::new(linking.token_burst);
    let store = Store::connect(&sdk, &tables);
    let merge = secrets::merge_client(&sdk, &merge).await?;
    let tokens = LinkTokens { store, merge, identity, linking, retention, limiter, refused };
    http::serve(|request| link_token::handle(&tokens, request)).await
}
