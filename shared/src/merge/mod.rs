//! Merge: the only code that knows Merge's HTTP API, its paths, its wire types and the signature of its webhooks.
//!
//! [`MergeClient`] is concrete: a base URL, an API key and a [`Transport`], the one seam, which the simulation answers
//! in process. Every call has a deadline and a cap on the body, follows no redirect, and fails as a [`MergeError`],
//! which answers questions by method and never shows a key, a token or Merge's body. Unknown fields, unknown enum
//! values and nulls never fail a call.

mod breaker;
mod budget;
mod client;
mod error;
mod labels;
mod linking;
mod lists;
mod records;
pub mod signature;
mod transport;
pub mod webhook;
mod wire;

pub use budget::RateBudget;
pub use client::{InvalidBaseUrl, KeySource, MergeClient};
pub use error::{ErrorKind, MergeError, Retry};
pub use labels::EndUserLabels;
pub use linking::{AccountDetails, Exchanged, LinkTokenAnswer, LinkTokenRequest, ListedAccount, TestAccounts};
pub use lists::CatalogueEntry;
pub use records::{Cursor, InvalidCursor, PageRequest, RecordsPage};
pub use transport::{Limits, ReqwestTransport, Transport, TransportError};
pub use wire::issue_event;
