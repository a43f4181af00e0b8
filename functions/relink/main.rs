//! Wires the relink function.

use functions::relink::{self, Relinks};
use shared::config::{self, Identity, Linking, Logging, Merge, RefusedLimit, RelinkLimit, Retention, Tables, aws::Aws};
use shared::store::Store;
use shared::{http, secrets, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    type Sections = (Logging, Aws, Tables, Merge, Identity, Linking, Retention, RelinkLimit, RefusedLimit);
    let (logging, aws, tables, merge, identity, linking, retention, limit, refused): Sections = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let store = Store::connect(&sdk, &tables);
    let merge = secrets::merge_client(&sdk, &merge).await?;
    let relinks = Relinks { store, merge, identity, linking, retention, limit, refused };
    http::serve(|request| relink::handle(&relinks, request)).await
}
