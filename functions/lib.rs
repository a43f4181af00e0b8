//! The handlers of Tether's Lambda functions, one module each; every `main.rs` wires its own and nothing else.
//!
//! Functions never import each other: what two of them need lives in `shared`.

#[path = "link-token/handler.rs"]
pub mod link_token;
#[path = "exchange/handler.rs"]
pub mod exchange;
#[path = "relink/handler.rs"]
pub mod relink;
#[path = "delete/handler.rs"]
pub mod delete;
#[path = "accounts/handler.rs"]
pub mod accounts;
#[path = "integrations/handler.rs"]
pub mod integrations;
#[path = "records/handler.rs"]
pub mod records;
#[path = "page/handler.rs"]
pub mod page;
#[path = "webhook/handler.rs"]
pub mod webhook;
#[path = "sync-worker/handler.rs"]
pub mod sync_worker;
#[path = "poller/handler.rs"]
pub mod poller;
