//! The local stack: the system that `infra/template.yaml` describes, on one machine.
//!
//! [`Stack::start`] reads the template and stands in for what AWS would run: API Gateway and the
//! function URL ([`edge`]), Lambda ([`lambda`]), the SQS event source ([`event_source`]), the schedule
//! ([`schedule`]), DynamoDB, SQS, KMS, Secrets Manager and EventBridge ([`aws`]), an identity provider
//! ([`issuer`]) and Merge (the crate `merge_sandbox`). The functions are the real binaries.

pub mod aws;
pub mod cargo;
pub mod deployment;
pub mod edge;
pub mod event_source;
mod http;
pub mod issuer;
pub mod lambda;
pub mod logs;
pub mod ports;
pub mod provision;
pub mod ready;
pub mod schedule;
mod server;
pub mod stack;
pub mod template;

pub use http::install_crypto;
pub use stack::{Leftovers, Options, Stack, StartError};
