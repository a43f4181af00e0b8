//! The API: what our routes take and answer, as types. OpenAPI is generated from them.
//!
//! No type here has a field for a token, a ciphertext or an origin id, but for the link token that the page asks for:
//! what cannot be said cannot leak.

pub mod access;
pub mod accounts;
pub mod allowance;
pub mod cursor;
pub mod limiter;
pub mod links;
pub mod once;
pub mod records;
pub mod sync;
