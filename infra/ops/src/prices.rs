//! List prices of us-east-1, on demand and without any free tier, in US dollars: the one table that every estimate of a
//! bill reads.

/// When they were looked up.
pub const DATE: &str = "November 2026";

/// DynamoDB, for a million units.
pub const READ_UNITS: f64 = 0.125;
/// DynamoDB, for a million units.
pub const WRITE_UNITS: f64 = 0.625;
/// For a million requests to a FIFO queue.
pub const QUEUE_REQUESTS: f64 = 0.50;
/// For a million calls with a symmetric key.
pub const KEY_REQUESTS: f64 = 3.00;
/// For a million custom events.
pub const EVENTS: f64 = 1.00;
/// For a million requests to an HTTP API.
pub const API_REQUESTS: f64 = 1.00;
/// For a million invocations.
pub const INVOCATIONS: f64 = 0.20;
/// Of Lambda on arm64, for a gigabyte and second.
pub const GB_SECOND: f64 = 0.000_013_333_4;
/// For a gigabyte of logs taken in.
pub const LOGS: f64 = 0.50;
