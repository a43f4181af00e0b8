//! The account API's handlers, in process, against the emulated AWS and the simulated Merge, over their wires: whose an
//! account is, and what becomes of it when people race, repeat, crash or cheat. No worker runs here.

#![allow(clippy::unwrap_used, reason = "tests")]
// Requests within steps within tests: the compiler counts how deep their futures lie in each other.
#![recursion_limit = "256"]

mod answer;
mod feed;
mod limits;
mod linking;
mod manage;
mod once;
mod queue;
mod reading;
mod tenancy;
mod world;
