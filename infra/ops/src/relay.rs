//! The relay's far end: takes the copies of a staging stack's webhooks and posts them to a port of this machine, with
//! Merge's bytes and signature, so that nobody needs a tunnel.

use std::time::Duration;

use serde::Serialize;
use shared::config::tls::http_client;
use shared::merge::{signature, webhook};
use shared::relay::{self, Copied};
use shared::telemetry;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output};
use crate::severity::Severity;

/// Merge waits so long for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A delivery and its answer.
#[derive(Serialize)]
struct Delivered {
    event: String,
    merge_id: String,
    bytes: usize,
    /// None: nobody answered; it is tried again as long as the queue keeps it.
    status: Option<u16>,
}

/// `tether relay`. Goes on until it is stopped, or so many were answered as were asked for.
pub async fn relay(connection: &Connection, output: &Output, asked: &cli::Relay) -> Result<(), Failure> {
    let queue = connection.relay_queue.as_ref().ok_or_else(|| {
        Failure::Usage(
            "this stack relays no webhooks: a staging stack does that is deployed with RelayWebhooks=yes".to_owned(),
        )
    })?;
    let url = format!("http://127.0.0.1:{}/{}", asked.port, asked.path.trim_start_matches('/'));
    if !output.json {
        output.line(Cell::dim(format!("webhooks of test accounts go to {url}; Ctrl-C ends it")))?;
    }
    let mut answered = 0;
    while asked.count.is_none_or(|count| answered < count) {
        for taken in queue.take().await? {
            let copied = match relay::open(&connection.tokens, &taken).await {
                Ok(Some(copied)) => copied,
                Ok(None) => {
                    eprintln!("a copy of a production account's webhook was refused");
                    queue.done(&taken).await?;
                    continue;
                }
                Err(error) if error.is_transient() => return Err(error.into()),
                // It never will be readable, and would stand in the way again.
                Err(error) => {
                    eprintln!("a copy was thrown away: {}", telemetry::chain(&error));
                    queue.done(&taken).await?;
                    continue;
                }
            };
            let status = post(&url, &copied).await?;
            if status.is_some() {
                queue.done(&taken).await?;
                answered += 1;
            }
            tell(output, &copied, status)?;
        }
    }
    Ok(())
}

async fn post(url: &str, copied: &Copied) -> Result<Option<u16>, Failure> {
    let post = http_client()?.post(url).timeout(PATIENCE).header("content-type", "application/json");
    let post = post.header(signature::HEADER, &copied.signature).body(copied.body.clone());
    match post.send().await {
        Ok(answer) => Ok(Some(answer.status().as_u16())),
        Err(error) => {
            eprintln!("{url}: {}", crate::output::shown(&telemetry::chain(&error.without_url())));
            Ok(None)
        }
    }
}

fn tell(output: &Output, copied: &Copied, status: Option<u16>) -> Result<(), Failure> {
    // What we know no event of is delivered all the same.
    let (event, merge_id) = match webhook::parse(&copied.body) {
        Ok(delivery) => (delivery.event, delivery.merge_id.to_string()),
        Err(ignored) => (ignored.label().to_owned(), String::new()),
    };
    let delivered = Delivered { event, merge_id, bytes: copied.body.len(), status };
    if output.json {
        return output.object(&delivered);
    }
    let answer = match status {
        Some(status @ 200..=299) => Cell::good(status.to_string()),
        Some(status) => Cell::of(Severity::Warning, status.to_string()),
        None => Cell::of(Severity::Broken, "no answer"),
    };
    output.cells(&[answer, Cell::from(delivered.event), Cell::dim(delivered.merge_id)])
}
