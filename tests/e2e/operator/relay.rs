//! The relay: a staging stack's webhooks reach a port of this machine as Merge posted them; production's never do.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::config::TokenKey;
use shared::config::aws::{Aws, Credentials, sdk_config_as};
use shared::domain::secret::WebhookKey;
use shared::merge::signature;
use shared::queue::relay::RelayQueue;
use shared::secrets::TokenCipher;

use super::tether;
use crate::harness::{KEY, Setup, System, alone, signed};

/// What somebody on this machine was sent: bodies, and whether Merge's signature is over them.
type Inbox = Arc<Mutex<Vec<(Vec<u8>, bool)>>>;

/// A developer's server.
async fn server() -> (u16, Inbox) {
    let inbox = Inbox::default();
    let kept = inbox.clone();
    let take = async move |headers: HeaderMap, body: Bytes| {
        let signed = headers.get(signature::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let genuine = signature::verify(signed, &body, &[WebhookKey::new(KEY)]).is_some();
        kept.lock().unwrap_or_else(PoisonError::into_inner).push((body.to_vec(), genuine));
        StatusCode::NO_CONTENT
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let router = Router::new().route("/webhooks", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    (port, inbox)
}

/// Puts a copy of a production account's webhook on the relay's queue, as no function does, and copies that nobody can
/// read; the body of the first.
async fn planted(system: &System) -> Vec<u8> {
    let ready = system.ready();
    let aws = Aws { region: ready.region.clone(), endpoint_url: Some(ready.aws.clone()) };
    let sdk = sdk_config_as(&aws, Credentials::new("test", "test", None, None, "e2e")).expect("a configuration");
    let outputs = &system.stack.deployment().outputs;
    let body = json!({"linked_account": {"id": "0b1e5a0e-1111-4222-8333-444455556666", "account_type": "PRODUCTION"}});
    let body = body.to_string().into_bytes();
    let envelope = json!({"signature": signed(&body, KEY), "body": STANDARD.encode(&body)}).to_string();
    let cipher = TokenCipher::new(&sdk, &TokenKey { id: outputs["TokenKeyArn"].clone(), previous: None });
    let sealed = cipher.seal(envelope.as_bytes()).await.expect("a sealed copy");
    let queue = RelayQueue::new(&sdk, &outputs["RelayQueueUrl"]);
    queue.send(serde_json::to_string(&sealed).expect("JSON")).await.expect("a queued copy");
    // What nobody can read: no JSON, sealed with nobody's key, and damaged since it was sealed.
    let mut damaged = serde_json::to_value(&sealed).expect("JSON");
    damaged["text"] = json!(STANDARD.encode("not what was sealed"));
    let nobodys = json!({"key": STANDARD.encode("no key"), "nonce": "", "text": ""});
    for unreadable in ["no JSON".to_owned(), nobodys.to_string(), damaged.to_string()] {
        queue.send(unreadable).await.expect("a queued copy");
    }
    body
}

/// A staging stack: Merge's test key makes test accounts.
fn staging() -> Setup {
    Setup::default().parameter("RelayWebhooks", "yes").parameter("MergeApiKey", "dev-test-key")
}

fn production() -> Setup {
    Setup::default().parameter("RelayWebhooks", "yes")
}

#[test]
fn webhooks_of_test_accounts_arrive_as_merge_posted_them() {
    alone(staging, async |system| {
        let stranger = planted(system).await;
        let api = system.api("org_relay").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        let sent = system.sandbox().state().await["webhooks"]["delivered"].as_u64().expect("a count");
        assert!(sent >= 2, "a link and its syncs");
        let (port, inbox) = server().await;
        let (port, count) = (port.to_string(), sent.to_string());
        let relay = ["relay", "--port", &port, "--path", "/webhooks", "--count", &count, "--json"];
        let said = tether(system, &relay).await.expect(0).lines();
        assert_eq!(said.len() as u64, sent);
        assert!(
            said.iter().all(|line| line["status"] == 204 && line["merge_id"] == account.merge_id.as_str()),
            "{said:?}"
        );
        let arrived = inbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(arrived.iter().all(|(_, genuine)| *genuine), "Merge's own bytes and signature");
        assert!(
            arrived.iter().all(|(body, _)| *body != stranger),
            "a copy of a production account's is refused here, too"
        );
        let bodies: Vec<Value> = arrived.iter().map(|(body, _)| serde_json::from_slice(body).expect("JSON")).collect();
        let linked = bodies.iter().find(|body| body["hook"]["event"] == "LinkedAccount.linked").expect("the link");
        assert_eq!(
            linked["data"]["account_token"],
            account.account_token.as_str(),
            "whole, though no queue held it bare"
        );
        assert_eq!(linked["linked_account"]["id"], json!(account.merge_id));
    });
}

#[test]
fn webhooks_of_production_accounts_are_never_copied() {
    alone(production, async |system| {
        let api = system.api("org_no_relay").await;
        system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        assert!(system.counted("WebhookQueued") >= 2, "there were some to copy");
        let messages = system.stack.aws().expect("embedded services").messages();
        assert!(messages.iter().all(|message| !message.contains("\"nonce\"")), "no copy was ever made");
    });
}
