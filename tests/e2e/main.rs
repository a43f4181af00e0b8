//! End-to-end tests: the shipped binaries on the local stack, seen from outside, through the HTTP API, the webhook's
//! URL and the simulated Merge. One stack per file; organizations keep its tests apart.
//!
//! Whatever a test does, the harness refuses what it leaves behind: work in a queue, an error nobody announced, a
//! secret where none may be. See `harness`.

mod harness;

mod absence;
mod access;
mod broken_answers;
mod cargo_dev;
mod categories;
mod census;
mod chain;
mod connect;
mod delete;
mod drift;
mod duplicates;
mod exchange;
mod freshness;
mod full_size;
mod health;
mod held_deletions;
mod hundred_thousand;
mod issues;
mod large_records;
mod least_privilege;
mod limits;
mod load;
mod matrix;
mod nested;
mod one_per_category;
mod operator;
mod outbound;
mod parking;
mod poller;
mod relink;
mod repeats;
mod rotation;
mod tenancy;
mod units;
mod webhook_keys;
mod webhooks;
mod worker;
