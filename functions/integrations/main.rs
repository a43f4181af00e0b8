//! Wires the integrations function.

use functions::integrations::{self, Integrations};
use shared::config::{self, Logging, Merge, aws::Aws};
use shared::{http, secrets, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (logging, aws, merge): (Logging, Aws, Merge) = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let integrations = Integrations::new(secrets::merge_client(&sdk, &merge).await?);
    http::serve(|request| integrations::handle(&integrations, request)).await
}
