//! Wires the records function.

use functions::records::{self, Records};
use shared::config::{self, Identity, Logging, Retention, Tables, aws::Aws};
use shared::store::Store;
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    type Sections = (Logging, Aws, Tables, Identity, Retention);
    let (logging, aws, tables, identity, retention): Sections = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let records = Records { store: Store::connect(&sdk, &tables), identity, retention };
    http::serve(|request| records::handle(&records, request)).await
}
