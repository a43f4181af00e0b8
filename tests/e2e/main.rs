//! End-to-end tests: the shipped binaries on the local stack, seen from outside, through the HTTP API, the webhook's
//! URL and the simulated Merge. One stack per file; organizations keep its tests apart.
//!
//! Whatever a test does, the harness refuses what it leaves behind: work in a queue, an error nobody announced, a
//! secret where none may be. See `harness`.

mod harness;

mod cargo_dev;
mod census;
mod chain;
mod connect;
mod delete;
mod duplicates;
mod freshness;
mod full_size;
mod health;
mod issues;
mod one_per_category;
mod parking;
mod relink;
mod tenancy;
mod webhooks;
