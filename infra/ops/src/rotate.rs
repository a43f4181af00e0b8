//! Rotation: keys and tokens replaced while everything runs. Each step is verified before the next, and repeating one
//! that is done does nothing.

mod account_token;
mod kms_key;
mod notes;
mod webhook_key;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::Output;

/// `tether rotate`.
pub async fn run(connection: &Connection, output: &Output, asked: &cli::Rotate) -> Result<(), Failure> {
    match asked {
        cli::Rotate::WebhookKey(asked) => webhook_key::rotate(connection, output, asked).await,
        cli::Rotate::AccountToken(asked) => account_token::rotate(connection, output, asked).await,
        cli::Rotate::KmsKey(asked) => kms_key::rotate(connection, output, asked).await,
    }
}
