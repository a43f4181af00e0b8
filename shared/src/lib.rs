//! What Tether's functions share: the pure rules (`domain`), the clients of the three services that hold
//! state (`merge`, `store`, `queue`), and the edges of a Lambda function (`http`, `config`, `secrets`,
//! `telemetry`).
//!
//! `domain` does no I/O and imports nothing of ours. `merge`, `store` and `queue` never import each other; `linking`
//! and `relay`, above them, hold what two programs do with more than one of them.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

pub mod ambient;
pub mod api;
pub mod config;
pub mod domain;
pub mod http;
pub mod linking;
pub mod merge;
pub mod queue;
pub mod relay;
pub mod secrets;
pub mod store;
pub mod telemetry;
