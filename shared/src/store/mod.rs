//! The store: Tether's two DynamoDB tables. This module alone knows DynamoDB; `keys` alone spells keys.
//!
//! Reads that decide a write are consistent; claims are one conditional write; updates require their item to exist.
//! Throttles and transaction conflicts are retried here, with full jitter. A write whose answer was lost is retried
//! too: every write here is a conditional one that recognises its own result, or one that may be repeated.

mod account_item;
pub mod accounts;
pub mod brake;
pub mod changes;
pub mod checkpoint;
mod error;
pub mod events;
pub mod exchange;
mod item;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod linking;
pub mod once;
pub mod operators;
mod packing;
pub mod parked;
pub mod pending;
pub mod purge;
pub mod receipts;
pub mod records;
mod rows;
pub mod seen;
pub mod status;
pub mod tick;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use crate::config;

pub use error::StoreError;
pub(crate) use error::{Fault, with_retries};
pub(crate) use item::Item;

/// Both tables and the client that reaches them.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    accounts: String,
    records: String,
}

impl Store {
    /// Both tables of the configuration. A function without records is given no records table, and calls none.
    pub fn connect(sdk: &SdkConfig, tables: &config::Tables) -> Self {
        Self::new(Client::new(sdk), &tables.accounts, tables.records.clone().unwrap_or_default())
    }

    pub fn new(client: Client, accounts_table: impl Into<String>, records_table: impl Into<String>) -> Self {
        Self { client, accounts: accounts_table.into(), records: records_table.into() }
    }
}
