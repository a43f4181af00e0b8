//! Wires the page function.

use functions::page::{self, PageFiles};
use shared::config::{self, Logging, Page};
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (logging, page): (Logging, Page) = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let files = PageFiles::new(&page)?;
    http::serve(|request| page::handle(&files, request)).await
}
