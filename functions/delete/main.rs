//! Wires the delete function.

use functions::delete::{self, Deletes};
use shared::config::{self, DeleteLimit, Identity, Logging, Retention, Tables, aws::Aws};
use shared::queue::Queue;
use shared::store::Store;
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    type Sections = (Logging, Aws, Tables, config::Queue, Identity, Retention, DeleteLimit);
    let (logging, aws, tables, queue, identity, retention, limit): Sections = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let store = Store::connect(&sdk, &tables);
    let deletes = Deletes { store, queue: Queue::new(&sdk, &queue), identity, retention, limit };
    http::serve(|request| delete::handle(&deletes, request)).await
}
