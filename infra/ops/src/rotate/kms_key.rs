//! The key of account tokens: each token is opened and closed again, by the key material that is current now, and only
//! stored once the new ciphertext opens. Accounts that are done are noted in a file, so that an interrupted run goes on.

use std::time::Duration;

use shared::domain::account::{AccountStatus, LinkedAccount};
use shared::linking::Linking;
use shared::secrets::TokenContext;
use shared::store::accounts::Saved;
use shared::telemetry;
use tokio::time::{MissedTickBehavior, interval};

use super::notes::{Notes, Rotation};
use crate::cli::RotateKmsKey;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output};
use crate::progress;
use crate::walk::Walk;

/// How often an account is tried over another writer.
const ATTEMPTS: u32 = 5;

pub async fn rotate(connection: &Connection, output: &Output, asked: &RotateKmsKey) -> Result<(), Failure> {
    let open = if asked.consent.dry_run { Notes::read } else { Notes::open };
    let notes = open(&asked.state, Rotation::KmsKey)?;
    if !asked.consent.dry_run {
        output.confirm("Encrypt all account tokens again?", asked.consent.yes)?;
    }
    let linking = connection.linking().await?;
    let bar = progress::counter("accounts");
    let mut turns = interval(Duration::from_secs(1) / asked.rate);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut fresh, mut skipped, mut refused) = (0_u64, 0_u64, 0_u64);
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        for account in page {
            bar.inc(1);
            if notes.is_done(account.id) {
                skipped += 1;
                continue;
            }
            if asked.consent.dry_run {
                fresh += 1;
                continue;
            }
            turns.tick().await;
            let (id, gone) = (account.id, account.status == AccountStatus::Deleted);
            match again(&linking, account).await {
                Ok(()) => {
                    fresh += 1;
                    // After the row: at worst an account is encrypted twice.
                    notes.done(id)?;
                }
                // What is gone at Merge's side is opened by no token any more.
                Err(Failure::Secrets(error)) if gone && !error.is_transient() => {}
                Err(Failure::Secrets(error)) if !error.is_transient() => {
                    refused += 1;
                    bar.suspend(|| eprintln!("{id}: {}", telemetry::chain(&error)));
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    bar.finish_and_clear();
    if output.json {
        output.object(&serde_json::json!({"reencrypted": fresh, "done_before": skipped, "refused": refused}))?;
    } else {
        let verb = if asked.consent.dry_run { "would be encrypted again" } else { "encrypted again" };
        let line = format!("{fresh} {verb}, {skipped} were done before, {refused} do not open");
        output.line(Cell::from(line))?;
    }
    match refused {
        0 => Ok(()),
        // Whoever takes the old key away now takes nothing from them, but must know.
        _ => Err(Failure::Usage("some tokens do not open: `tether doctor` names what to do about each".to_owned())),
    }
}

/// Opens and closes a token again, over whatever the functions write meanwhile.
async fn again(linking: &Linking, mut account: LinkedAccount) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS {
        let token = linking.token_of(&account).await?;
        let closed = linking.closed(&account.organization, &account.merge_id, &token).await?;
        let (organization, merge_id) = (&account.organization, &account.merge_id);
        let opened = linking.tokens.decrypt(&closed, TokenContext::Account { organization, merge_id }).await?;
        if opened.expose() != token.expose() {
            return Err(Failure::Usage(format!("the key service returned another token for {}", account.id)));
        }
        account.token = closed;
        if linking.store.save_account(&mut account).await? == Saved::Written {
            return Ok(());
        }
        match linking.store.account(&account.organization, account.id).await? {
            Some(read) => account = read,
            // Erased meanwhile: nothing is left to encrypt.
            None => return Ok(()),
        }
    }
    Err(Failure::Usage(format!("account {} keeps changing: run this again", account.id)))
}
