//! The handlers of Tether's Lambda functions, one module each; every `main.rs` wires its own and nothing else.
//!
//! Functions never import each other: what two of them need lives in `shared`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

#[path = "accounts/handler.rs"]
pub mod accounts;
#[path = "delete/handler.rs"]
pub mod delete;
#[path = "exchange/handler.rs"]
pub mod exchange;
#[path = "integrations/handler.rs"]
pub mod integrations;
#[path = "link-token/handler.rs"]
pub mod link_token;
#[path = "page/handler.rs"]
pub mod page;
#[path = "poller/handler.rs"]
pub mod poller;
#[path = "records/handler.rs"]
pub mod records;
#[path = "relink/handler.rs"]
pub mod relink;
#[path = "sync-worker/handler.rs"]
pub mod sync_worker;
#[path = "token-claims/handler.rs"]
pub mod token_claims;
#[path = "webhook/handler.rs"]
pub mod webhook;
