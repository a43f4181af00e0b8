//! The worker's queue, as somebody with the operator's rights uses it.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};

use super::System;

pub fn sqs(system: &System) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(system.ready().region.clone()))
        .endpoint_url(&system.ready().aws)
        .credentials_provider(Credentials::new("test", "test", None, None, "e2e"))
        .build();
    Client::from_conf(config)
}

/// Puts a body on the worker's queue.
pub async fn send(system: &System, body: &str, group: &str, id: &str) {
    let send = sqs(system).send_message().queue_url(&system.ready().queue_url).message_body(body);
    send.message_group_id(group).message_deduplication_id(id).send().await.expect("a sent message");
}
