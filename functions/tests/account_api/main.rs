//! The account API's handlers, in process, against the emulated AWS and the simulated Merge, over their wires: whose an
//! account is, and what becomes of it when people race, repeat, crash or cheat. No worker runs here.

#![allow(clippy::unwrap_used, reason = "tests")]

mod answer;
mod limits;
mod linking;
mod manage;
mod once;
mod queue;
mod reading;
mod tenancy;
mod world;
