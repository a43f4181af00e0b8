//! Replay: fetching again what was fetched before. Changes since the last window, a stretch of time, or everything; of
//! a model, of an account, of many. Harmless at any time: unchanged records cost no write, and the worker decides what
//! is newer.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::account::LinkedAccount;
use shared::domain::endpoint::{Endpoint, Rule};
use shared::domain::message::{AccountRef, Message, SyncMode, Work};
use shared::store::events::{Event, EventKind};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::operator;
use crate::output::Output;
use crate::progress;
use crate::walk::Walk;

/// What was done, or would be, for one account.
#[derive(Serialize)]
struct Replayed {
    organization: String,
    account: String,
    mode: SyncMode,
    /// None: all of the account's.
    models: Vec<String>,
    /// Models whose checkpoint was put back.
    rewound: Vec<String>,
    queued: bool,
}

/// `tether replay`.
pub async fn replay(connection: &Connection, output: &Output, asked: &cli::Replay) -> Result<(), Failure> {
    let Some(id) = asked.account else { return many(connection, output, asked).await };
    let account = crate::account::load(&connection.store, id).await?;
    connected(&account)?;
    let models = asked.models.iter().map(|key| model(&account, key)).collect::<Result<Vec<_>, _>>()?;
    if !asked.consent.dry_run {
        output.confirm(&format!("Fetch account {id} of {} again?", account.organization), asked.consent.yes)?;
    }
    tell(output, &one(connection, asked, &account, &models).await?)
}

/// Every account that was chosen. Of a model, the accounts of its category.
async fn many(connection: &Connection, output: &Output, asked: &cli::Replay) -> Result<(), Failure> {
    let unknown = |key: &String| Failure::Usage(format!("{key} is no model"));
    let models = asked.models.iter().map(|key| Endpoint::by_key(key).ok_or_else(|| unknown(key)));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    let whose = asked.selection.organization.as_ref().map_or("every organization".to_owned(), |o| o.to_string());
    if !asked.consent.dry_run {
        output.confirm(&format!("Fetch all accounts of {whose} again?"), asked.consent.yes)?;
    }
    let mut turns = interval(Duration::from_secs(1) / asked.rate);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let bar = progress::counter("accounts");
    let mut busy = 0_u64;
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        for account in page.iter().filter(|account| account.status.connected()) {
            let own: Vec<_> = models.iter().copied().filter(|model| model.category == account.category).collect();
            if own.is_empty() && !models.is_empty() {
                continue;
            }
            turns.tick().await;
            match one(connection, asked, account, &own).await {
                Ok(replayed) => bar.suspend(|| tell(output, &replayed))?,
                // The others are not to wait for it.
                Err(Failure::Busy(model)) => {
                    busy += 1;
                    bar.suspend(|| eprintln!("{}: {}", account.id, Failure::Busy(model)));
                }
                Err(failure) => return Err(failure),
            }
            bar.inc(1);
        }
    }
    match busy {
        0 => Ok(()),
        _ => Err(Failure::Usage(format!("{busy} accounts were being fetched just now: run this again"))),
    }
}

fn connected(account: &LinkedAccount) -> Result<(), Failure> {
    if account.status.connected() {
        return Ok(());
    }
    Err(Failure::Usage(format!("the account is {}: there is nothing to fetch", account.status.as_str())))
}

/// `models`: of the account's category; none: all.
async fn one(
    connection: &Connection,
    asked: &cli::Replay,
    account: &LinkedAccount,
    models: &[&'static Endpoint],
) -> Result<Replayed, Failure> {
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    let mode = if asked.full { SyncMode::Full } else { SyncMode::Changes };
    let rewound = match asked.since {
        Some(since) => rewind(connection, &of, account, models, since, asked.consent.dry_run).await?,
        None => Vec::new(),
    };
    let keys: Vec<String> = models.iter().map(|endpoint| endpoint.key()).collect();
    if !asked.consent.dry_run {
        let work =
            Work::Sync { of, mode, models: keys.clone(), requested_at: Timestamp::now(), request: Uuid::new_v4() };
        connection.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
        let event = operator::event(EventKind::SyncRequested).with("mode", crate::output::word(mode));
        let event = asked.since.map_or(event.clone(), |since| event.with("since", since.to_string()));
        note(connection, account, &event).await?;
    }
    Ok(Replayed {
        organization: account.organization.to_string(),
        account: account.id.to_string(),
        mode,
        models: keys,
        rewound,
        queued: !asked.consent.dry_run,
    })
}

fn tell(output: &Output, replayed: &Replayed) -> Result<(), Failure> {
    if output.json {
        return output.object(replayed);
    }
    let verb = if replayed.queued { "queued" } else { "would queue" };
    let which = if replayed.models.is_empty() { "all models".to_owned() } else { replayed.models.join(", ") };
    let back = match replayed.rewound.len() {
        0 => String::new(),
        count => format!(", {count} checkpoints put back"),
    };
    output.line(format!("{verb} {} {}: {which}{back}", replayed.organization, replayed.account))
}

async fn note(connection: &Connection, account: &LinkedAccount, event: &Event) -> Result<(), Failure> {
    Ok(connection.store.add_event(account.id, event, Uuid::new_v4(), connection.history).await?)
}

fn model(account: &LinkedAccount, key: &str) -> Result<&'static Endpoint, Failure> {
    let endpoint = Endpoint::by_key(key).filter(|endpoint| endpoint.category == account.category);
    endpoint.ok_or_else(|| Failure::NoModel(key.to_owned()))
}

/// How often a checkpoint is put back over a worker's.
const ATTEMPTS: u32 = 5;

/// Puts the checkpoints of the models back to `since`. Models that are read in full have nothing to put back.
async fn rewind(
    connection: &Connection,
    of: &AccountRef,
    account: &LinkedAccount,
    models: &[&'static Endpoint],
    since: Timestamp,
    dry_run: bool,
) -> Result<Vec<String>, Failure> {
    let all = Endpoint::of(account.category);
    let wanted = all.filter(|endpoint| models.is_empty() || models.contains(endpoint));
    let mut rewound = Vec::new();
    for endpoint in wanted.filter(|endpoint| endpoint.rule() == Rule::Windows) {
        for attempt in 1.. {
            let checkpoint = connection.store.checkpoint(of.account, endpoint).await?;
            let Some((previous, next)) = checkpoint.and_then(|now| now.rewound(since).map(|next| (now, next))) else {
                break;
            };
            let holder = format!("{}:{}", operator::name(), Uuid::new_v4());
            if dry_run || connection.store.claim(of, endpoint, Some(&previous), &next, &holder).await? {
                rewound.push(endpoint.key());
                break;
            }
            if attempt == ATTEMPTS {
                return Err(Failure::Busy(endpoint.key()));
            }
        }
    }
    Ok(rewound)
}
