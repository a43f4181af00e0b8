//! The key of account tokens: each token is opened and closed again, and only stored once the new ciphertext opens.
//!
//! A stack that names a key before (`PreviousTokenKeyArn`) moves to its current key. Then a ciphertext itself says
//! whether it is done, because KMS says which key it is under: a run may end anywhere and begin anew, and a dry run
//! counts what the previous key is still needed for. Without one, tokens are encrypted with the material that their key
//! has now, which nobody can tell from older material: accounts that are done are noted in a file.

use std::time::Duration;

use serde::Serialize;
use shared::domain::account::{AccountStatus, LinkedAccount};
use shared::linking::Linking;
use shared::secrets::{TokenContext, Under};
use shared::store::accounts::Saved;
use shared::telemetry;
use tokio::time::{MissedTickBehavior, interval};

use super::notes::{Notes, Rotation};
use crate::cli::RotateKmsKey;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output, shown};
use crate::progress;
use crate::walk::Walk;

/// How often an account is tried over another writer.
const ATTEMPTS: u32 = 5;

/// How many accounts went which way.
#[derive(Debug, Default, Serialize)]
struct Summary {
    reencrypted: u64,
    done_before: u64,
    refused: u64,
    /// Under the previous key.
    left: u64,
}

enum Outcome {
    Encrypted,
    DoneBefore,
    /// To be encrypted again, but for the dry run.
    Left,
}

pub async fn rotate(connection: &Connection, output: &Output, asked: &RotateKmsKey) -> Result<(), Failure> {
    let job = Job::new(connection, asked).await?;
    if !asked.consent.dry_run {
        output.confirm("Encrypt all account tokens again?", asked.consent.yes)?;
    }
    let bar = progress::counter("accounts");
    let mut turns = interval(Duration::from_secs(1) / asked.rate);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut summary = Summary::default();
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        for account in page {
            bar.inc(1);
            let (id, gone) = (account.id, account.status == AccountStatus::Deleted);
            if job.asks_kms(&account) {
                turns.tick().await;
            }
            match job.account(account).await {
                Ok(Outcome::Encrypted) => summary.reencrypted += 1,
                Ok(Outcome::DoneBefore) => summary.done_before += 1,
                Ok(Outcome::Left) => summary.left += 1,
                // What is gone at Merge's side is opened by no token any more.
                Err(Failure::Secrets(error)) if gone && !error.is_transient() => {}
                Err(Failure::Secrets(error)) if !error.is_transient() => {
                    summary.refused += 1;
                    bar.suspend(|| eprintln!("{id}: {}", shown(&telemetry::chain(&error))));
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    bar.finish_and_clear();
    tell(output, &job, &summary)?;
    match summary.refused {
        0 => Ok(()),
        // Whoever takes the old key away now takes nothing from them, but must know.
        _ => Err(Failure::Usage("some tokens do not open: `tether doctor` names what to do about each".to_owned())),
    }
}

fn tell(output: &Output, job: &Job, summary: &Summary) -> Result<(), Failure> {
    if output.json {
        return output.object(summary);
    }
    let Summary { reencrypted, done_before, refused, left } = summary;
    output.line(Cell::from(if job.dry && job.moves {
        format!("{left} are under the previous key, {done_before} under the current one, {refused} do not open")
    } else if job.dry {
        format!("{left} would be encrypted again, {done_before} were done before")
    } else {
        format!("{reencrypted} encrypted again, {done_before} were done before, {refused} do not open")
    }))
}

/// What is done to each account.
struct Job {
    linking: Linking,
    notes: Notes,
    /// From the previous key to the current one.
    moves: bool,
    dry: bool,
}

impl Job {
    async fn new(connection: &Connection, asked: &RotateKmsKey) -> Result<Self, Failure> {
        let moves = connection.tokens.moves();
        let notes = match &asked.state {
            // What an earlier rotation noted says nothing about this key.
            _ if moves => Notes::default(),
            Some(path) if asked.consent.dry_run => Notes::read(path, Rotation::KmsKey)?,
            Some(path) => Notes::open(path, Rotation::KmsKey)?,
            None => return Err(Failure::Usage("name a file for what is done: --state FILE".to_owned())),
        };
        Ok(Self { linking: connection.linking().await?, notes, moves, dry: asked.consent.dry_run })
    }

    fn asks_kms(&self, account: &LinkedAccount) -> bool {
        self.moves || !(self.dry || self.notes.is_done(account.id))
    }

    /// Opens and closes a token again, over whatever the functions write meanwhile.
    async fn account(&self, mut account: LinkedAccount) -> Result<Outcome, Failure> {
        let (linking, id) = (&self.linking, account.id);
        if self.notes.is_done(id) {
            return Ok(Outcome::DoneBefore);
        }
        if self.dry && !self.moves {
            return Ok(Outcome::Left);
        }
        let (organization, merge_id) = (account.organization.clone(), account.merge_id.clone());
        let context = TokenContext::Account { organization: &organization, merge_id: &merge_id };
        for _ in 0..ATTEMPTS {
            let (token, under) = linking.tokens.opened(&account.token, context).await?;
            if self.moves && under == Under::Current {
                return Ok(Outcome::DoneBefore);
            }
            if self.dry {
                return Ok(Outcome::Left);
            }
            let closed = linking.tokens.encrypt(&token, context).await?;
            let (opened, under) = linking.tokens.opened(&closed, context).await?;
            if opened.expose() != token.expose() || under != Under::Current {
                return Err(Failure::Usage(format!("the key service returned another token for {id}")));
            }
            account.token = closed;
            if linking.store.save_account(&mut account).await? == Saved::Written {
                // After the row: at worst an account is encrypted twice.
                self.notes.done(id)?;
                return Ok(Outcome::Encrypted);
            }
            match linking.store.account(&organization, id).await? {
                Some(read) => account = read,
                // Erased meanwhile: nothing is left to encrypt.
                None => return Ok(Outcome::DoneBefore),
            }
        }
        Err(Failure::Usage(format!("account {id} keeps changing: run this again")))
    }
}
