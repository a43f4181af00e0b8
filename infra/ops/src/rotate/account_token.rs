//! Account tokens: Merge makes a new one, the worker stores it in the account's turn, and it is seen to work before the
//! account counts as done. The old token is worth nothing from the moment that Merge has made the new one, so the
//! worker does it, which no sync can overtake; this only asks, waits and looks.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::domain::account::LinkedAccount;
use shared::domain::message::{AccountRef, Message, Work};
use shared::linking::Linking;
use shared::merge::ErrorKind;
use shared::store::events::EventKind;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::notes::{Asked, Notes, Rotation};
use crate::cli::RotateAccountToken;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::operator;
use crate::output::{Cell, Output};
use crate::progress;
use crate::walk::Walk;

/// Accounts under way at once.
const AT_ONCE: usize = 8;
/// A worker that is busy with the account takes the message within this time.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many accounts went which way.
#[derive(Debug, Default, Serialize)]
struct Summary {
    rotated: u64,
    done_before: u64,
    /// Merge's answer was lost, or it refuses the new token: the customer has to reconnect.
    refused: u64,
    /// No worker has come to it yet.
    waiting: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Rotated,
    DoneBefore,
    Refused,
    Waiting,
    /// Disconnected: there is no token to rotate.
    Leaving,
}

pub async fn rotate(connection: &Connection, output: &Output, asked: &RotateAccountToken) -> Result<(), Failure> {
    let open = if asked.consent.dry_run { Notes::read } else { Notes::open };
    let notes =
        asked.state.as_deref().map_or_else(|| Ok(Notes::default()), |path| open(path, Rotation::AccountToken))?;
    let one = match asked.account {
        Some(id) => Some(crate::account::load(&connection.store, id).await?),
        None => None,
    };
    if let Some(account) = one.as_ref().filter(|account| !account.status.connected()) {
        let status = account.status.as_str();
        return Err(Failure::Usage(format!("the account is {status}: there is no token to rotate")));
    }
    if asked.consent.dry_run {
        return preview(connection, output, asked, &notes, one).await;
    }
    let whose = one.as_ref().map_or_else(|| "all accounts chosen".to_owned(), |account| account.id.to_string());
    output.confirm(&format!("Have Merge make a new token for {whose}?"), asked.consent.yes)?;

    let linking = connection.linking().await?;
    let bar = progress::counter("accounts");
    let mut summary = Summary::default();
    let all = asked.account.is_none();
    let mut walk = Walk::new(&connection.store, &asked.selection);
    let mut page = one.map_or_else(Vec::new, |account| vec![account]);
    loop {
        let rotated = stream::iter(page).map(|account| {
            let id = account.id;
            let (linking, notes) = (&linking, &notes);
            async move { Ok::<_, Failure>((id, new_token(connection, linking, notes, account).await?)) }
        });
        let mut rotated = rotated.buffer_unordered(AT_ONCE);
        while let Some((id, outcome)) = rotated.try_next().await? {
            bar.inc(1);
            match outcome {
                Outcome::Rotated => summary.rotated += 1,
                Outcome::DoneBefore => summary.done_before += 1,
                Outcome::Leaving => {}
                Outcome::Refused => {
                    summary.refused += 1;
                    bar.suspend(|| eprintln!("{id}: its token is lost; the customer has to reconnect"));
                }
                Outcome::Waiting => {
                    summary.waiting += 1;
                    bar.suspend(|| eprintln!("{id}: no worker has come to it yet"));
                }
            }
        }
        match if all { walk.next().await? } else { None } {
            Some(next) => page = next,
            None => break,
        }
    }
    bar.finish_and_clear();
    tell(output, &summary)?;
    match (summary.refused, summary.waiting) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Usage("some accounts have no new token yet: run this again".to_owned())),
        (..) => Err(Failure::Usage(
            "some tokens are lost: `tether inbox --links` gives links with which their customers reconnect".to_owned(),
        )),
    }
}

fn tell(output: &Output, summary: &Summary) -> Result<(), Failure> {
    if output.json {
        return output.object(summary);
    }
    let Summary { rotated, done_before, refused, waiting } = summary;
    output
        .line(format!("{rotated} have a new token, {done_before} were done before, {refused} are lost, {waiting} wait"))
}

async fn preview(
    connection: &Connection,
    output: &Output,
    asked: &RotateAccountToken,
    notes: &Notes,
    one: Option<LinkedAccount>,
) -> Result<(), Failure> {
    let left = |account: &&LinkedAccount| account.status.connected() && !notes.is_done(account.id);
    let mut count = one.iter().filter(left).count();
    if asked.account.is_none() {
        let mut walk = Walk::new(&connection.store, &asked.selection);
        while let Some(page) = walk.next().await? {
            count += page.iter().filter(left).count();
        }
    }
    if output.json {
        return output.object(&serde_json::json!({ "would_rotate": count }));
    }
    output.line(Cell::from(format!("{count} accounts would get a new token")))
}

/// Asks for an account's new token unless that was done before, and waits until it works.
async fn new_token(
    connection: &Connection,
    linking: &Linking,
    notes: &Notes,
    account: LinkedAccount,
) -> Result<Outcome, Failure> {
    if notes.is_done(account.id) {
        return Ok(Outcome::DoneBefore);
    }
    if !account.status.connected() {
        return Ok(Outcome::Leaving);
    }

    // 1. Note what stands there, so that a run after this one knows whether it has changed.
    let asked = match notes.asked(account.id) {
        Some(asked) => asked,
        None => {
            let asked = Asked { request: Uuid::new_v4(), before: digest(&account.token) };
            let event = operator::event(EventKind::TokenRotationRequested);
            connection.store.add_event(account.id, &event, asked.request, connection.history).await?;
            notes.ask(account.id, asked.clone())?;
            asked
        }
    };

    // 2. Ask; the same request twice is one for the queue.
    if digest(&account.token) == asked.before {
        let of = AccountRef { organization: account.organization.clone(), account: account.id };
        let work = Work::RotateToken { of, request: asked.request };
        connection.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
    }

    // 3. Wait for another token, and see that it works.
    let outcome = changed(linking, &account, &asked.before).await?;
    if outcome == Outcome::Rotated {
        notes.done(account.id)?;
    }
    Ok(outcome)
}

async fn changed(linking: &Linking, asked: &LinkedAccount, before: &str) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let account = linking.store.account(&asked.organization, asked.id).await?;
        let Some(account) = account.filter(|account| account.status.connected()) else {
            return Ok(Outcome::Leaving);
        };
        if digest(&account.token) != before {
            let token = linking.token_of(&account).await?;
            return match linking.merge.account_details(account.category, &token).await {
                Ok(_) => Ok(Outcome::Rotated),
                Err(error) if error.kind() == ErrorKind::Unauthorized => Ok(Outcome::Refused),
                Err(error) => Err(error.into()),
            };
        }
        if account.facts.token_refused() {
            return Ok(Outcome::Refused);
        }
        if Instant::now() >= deadline {
            return Ok(Outcome::Waiting);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Tells two ciphertexts apart; nothing can be learnt from it.
fn digest(ciphertext: &[u8]) -> String {
    Sha256::digest(ciphertext).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
