//! Delivery: the task that moves time forward and posts webhooks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::service::Service;
use crate::webhook::{Delivery, Outcome};

/// Merge gives up waiting after ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// A clock that is moved by hand rings no bell: look again at least this often.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Runs until aborted.
pub async fn run(service: Arc<Service>) {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    loop {
        let (due, next, now) = {
            let (mut world, now) = service.world();
            let due = world.webhooks.take_due(now);
            (due, world.next_due(), now)
        };
        for delivery in due {
            tokio::spawn(deliver(Arc::clone(&service), client.clone(), delivery));
        }
        service.save();
        let wait =
            next.map_or(LOOK_AGAIN, |next| Duration::from_micros((next.0 - now.0).max(0) as u64).min(LOOK_AGAIN));
        tokio::select! {
            () = service.bell.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn deliver(service: Arc<Service>, client: Client<HttpConnector, Full<Bytes>>, delivery: Delivery) {
    let outcome = tokio::time::timeout(PATIENCE, post(&client, &delivery)).await.unwrap_or(Outcome::Unanswered);
    let (mut world, now) = service.world();
    world.webhooks.settle(delivery, outcome, now);
    drop(world);
    service.bell.notify_one();
}

async fn post(client: &Client<HttpConnector, Full<Bytes>>, delivery: &Delivery) -> Outcome {
    let request = http::Request::post(&delivery.url)
        .header(CONTENT_TYPE, "application/json")
        .header("X-Merge-Webhook-Signature", &delivery.signature)
        .body(Full::new(delivery.body.clone()));
    let Ok(request) = request else { return Outcome::Unanswered };
    match client.request(request).await {
        Ok(response) => {
            let status = response.status().as_u16();
            // The connection is used again only if the answer is read to its end.
            match response.into_body().collect().await {
                Ok(_) => Outcome::Status(status),
                Err(_) => Outcome::Unanswered,
            }
        }
        Err(error) => {
            tracing::debug!(%error, event = delivery.event, "a webhook found nobody");
            Outcome::Unanswered
        }
    }
}
