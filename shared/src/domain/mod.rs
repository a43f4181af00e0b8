//! The rules of Tether: what a linked account is, when a model may be fetched, which window comes next, what a
//! page of records changes, how healthy a connection is.
//!
//! Pure: no async, no clock, no environment, no randomness, no I/O. `now` and seeds are arguments.

pub mod account;
pub mod category;
pub mod change;
pub mod contract;
pub mod endpoint;
mod endpoint_table;
pub mod health;
pub mod ids;
pub mod issue;
pub mod message;
pub mod origin;
pub mod parents;
pub mod progress;
pub mod record;
mod rewind;
pub mod schedule;
pub mod secret;
pub mod sync_status;
pub mod time;
pub mod window;
