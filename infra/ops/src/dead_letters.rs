//! Dead letters: the messages that the worker could not handle, grouped by what is wrong with each as far as it can be
//! seen now; sent again at a measured pace, or kept in a file and taken away.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish};
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::ids::{MergeLinkedAccountId, OrganizationId};
use shared::domain::message::{Message, Work};
use shared::linking::Linking;
use shared::queue::dead_letters::DeadLetter;
use shared::secrets::SecretsError;
use shared::store::events::EventKind;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use crate::cli::{self, Letters};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::operator;
use crate::output::{Cell, Output, time, word};

/// How long letters are hidden while they are worked on: a batch at the lowest rate, and as much again.
const HIDDEN: Duration = Duration::from_secs(60);
/// How much longer letters that somebody else has hidden are waited for.
const GRACE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is wrong with a message, as far as it can be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Cause {
    /// Not a message of ours, or of a newer version.
    Unreadable,
    /// It is about an account that we do not have.
    NoAccount,
    /// The account's token does not open.
    Token,
    /// Nothing is wrong with it now: what was may be over.
    Passing,
}

/// A letter with what is known of it.
struct Read {
    letter: DeadLetter,
    cause: Cause,
    kind: String,
    account: Option<(OrganizationId, shared::domain::ids::AccountId)>,
}

impl Read {
    fn organization(&self) -> String {
        self.account.as_ref().map(|(organization, _)| organization.to_string()).unwrap_or_default()
    }

    fn chosen(&self, by: &Letters) -> bool {
        by.cause.as_ref().is_none_or(|cause| *cause == word(self.cause))
            && by.organization.as_ref().is_none_or(|only| self.organization() == only.as_str())
            && by.before.is_none_or(|before| self.letter.sent_at < before)
    }
}

/// `tether dead-letters`.
pub async fn run(connection: &Connection, output: &Output, asked: &cli::DeadLetters) -> Result<(), Failure> {
    match asked {
        cli::DeadLetters::List(letters) => list(connection, output, letters).await,
        cli::DeadLetters::Redrive(asked) => redrive(connection, output, asked).await,
        cli::DeadLetters::Discard(asked) => discard(connection, output, asked).await,
    }
}

/// Everything that can be received at once: of each account, what does not wait behind something hidden.
async fn look(connection: &Connection) -> Result<Vec<Read>, Failure> {
    let linking = connection.linking().await?;
    let mut found = Vec::new();
    loop {
        let batch = connection.dead_letters.receive(HIDDEN).await?;
        if batch.is_empty() {
            return Ok(found);
        }
        for letter in batch {
            found.push(diagnose(&linking, letter).await?);
        }
    }
}

async fn put_back(connection: &Connection, letters: &[Read]) -> Result<(), Failure> {
    for read in letters {
        connection.dead_letters.put_back(&read.letter).await?;
    }
    Ok(())
}

async fn diagnose(linking: &Linking, letter: DeadLetter) -> Result<Read, Failure> {
    let message = Message::parse(&letter.body).ok();
    let kind = message.as_ref().map_or_else(|| "unreadable".to_owned(), |message| kind(&message.work));
    let merge_id = MergeLinkedAccountId::parse(letter.group.as_str()).ok();
    let account = match merge_id {
        Some(merge_id) => linking.store.account_of(&merge_id).await?,
        None => None,
    };
    let cause = match (&message, &account) {
        (None, _) => Cause::Unreadable,
        // A link is what makes an account.
        (Some(message), None) if !matches!(message.work, Work::Linked { .. }) => Cause::NoAccount,
        (Some(_), None) => Cause::Passing,
        (Some(_), Some(account)) => match linking.token_of(account).await {
            Err(SecretsError::WrongContext) => Cause::Token,
            _ => Cause::Passing,
        },
    };
    let account = account.map(|account| (account.organization, account.id));
    Ok(Read { letter, cause, kind, account })
}

/// The word that a message calls itself.
fn kind(work: &Work) -> String {
    let value = serde_json::to_value(work).unwrap_or_default();
    value["type"].as_str().unwrap_or_default().to_owned()
}

/// Letters that have cause, kind and organization in common.
#[derive(Serialize)]
struct Group {
    cause: Cause,
    kind: String,
    organization: String,
    messages: u64,
    oldest: Timestamp,
    newest: Timestamp,
}

async fn list(connection: &Connection, output: &Output, asked: &Letters) -> Result<(), Failure> {
    let depth = connection.dead_letters.depth().await?;
    let found = look(connection).await?;
    put_back(connection, &found).await?;
    let mut groups: BTreeMap<(Cause, String, String), Group> = BTreeMap::new();
    for read in found.iter().filter(|read| read.chosen(asked)) {
        let organization = read.organization();
        let group = groups.entry((read.cause, read.kind.clone(), organization.clone())).or_insert(Group {
            cause: read.cause,
            kind: read.kind.clone(),
            organization,
            messages: 0,
            oldest: read.letter.sent_at,
            newest: read.letter.sent_at,
        });
        group.messages += 1;
        group.oldest = group.oldest.min(read.letter.sent_at);
        group.newest = group.newest.max(read.letter.sent_at);
    }
    if output.json {
        return groups.values().try_for_each(|group| output.object(group));
    }
    let row = |group: &Group| -> [Cell; 6] {
        [
            word(group.cause).into(),
            Cell::from(&group.kind),
            Cell::from(&group.organization),
            group.messages.to_string().into(),
            time(Some(group.oldest)).into(),
            time(Some(group.newest)).into(),
        ]
    };
    let rows: Vec<_> = groups.values().map(row).collect();
    if !rows.is_empty() {
        output.table(["CAUSE", "MESSAGE", "ORGANIZATION", "COUNT", "OLDEST", "NEWEST"], &rows)?;
    }
    let behind = (depth.waiting + depth.in_flight).saturating_sub(found.len() as u64);
    let rest = if behind > 0 { format!("; about {behind} more wait behind these") } else { String::new() };
    output.line(Cell::dim(format!("{} dead letters{rest}", found.len())))
}

/// Works through the queue, first in each account first, until nothing that was chosen is left.
async fn each_chosen(
    connection: &Connection,
    by: &Letters,
    work: impl AsyncFnMut(&Read) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    // What is not chosen, or could not be done, by its id; hidden until the end, so that it does not come again.
    let mut left = BTreeMap::new();
    let outcome = work_through(connection, by, &mut left, work).await;
    for letter in left.values() {
        connection.dead_letters.put_back(letter).await?;
    }
    outcome
}

async fn work_through(
    connection: &Connection,
    by: &Letters,
    left: &mut BTreeMap<String, DeadLetter>,
    mut work: impl AsyncFnMut(&Read) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let linking = connection.linking().await?;
    let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
    let mut done = 0;
    let mut patience = Instant::now() + HIDDEN + GRACE;
    loop {
        // A batch at a time, so that none is shown to others while it waits for its turn.
        let batch = connection.dead_letters.receive(HIDDEN).await?;
        let news = batch.iter().any(|letter| !left.contains_key(&letter.id));
        if !batch.is_empty() && !news {
            return Ok(done);
        }
        if batch.is_empty() {
            // A run that was interrupted leaves letters hidden for a while.
            let hidden = connection.dead_letters.depth().await?.in_flight.saturating_sub(left.len() as u64);
            if hidden == 0 || Instant::now() >= patience {
                return Ok(done);
            }
            sleep(LOOK_EVERY).await;
            continue;
        }
        left.extend(batch.iter().map(|letter| (letter.id.clone(), letter.clone())));
        for letter in batch {
            let read = diagnose(&linking, letter).await?;
            if read.chosen(by) {
                work(&read).await?;
                left.remove(&read.letter.id);
                done += 1;
                bar.inc(1);
            }
        }
        patience = Instant::now() + HIDDEN + GRACE;
    }
}

async fn preview(connection: &Connection, output: &Output, by: &Letters, verb: &str) -> Result<(), Failure> {
    let found = look(connection).await?;
    put_back(connection, &found).await?;
    let chosen: Vec<_> = found.iter().filter(|read| read.chosen(by)).collect();
    for read in &chosen {
        let line = Line::of(read);
        if output.json {
            output.object(&line)?;
        } else {
            let (cause, organization) = (word(line.cause), line.organization);
            output.line(format!("would {verb} {} {cause} {} {organization}", line.id, line.kind))?;
        }
    }
    if output.json { Ok(()) } else { output.line(Cell::dim(format!("{} dead letters", chosen.len()))) }
}

/// So many a second.
fn turns(rate: u32) -> Interval {
    let mut turns = interval(Duration::from_secs(1) / rate);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

async fn redrive(connection: &Connection, output: &Output, asked: &cli::Redrive) -> Result<(), Failure> {
    if asked.consent.dry_run {
        return preview(connection, output, &asked.letters, "redrive").await;
    }
    output.confirm("Send these dead letters to the worker again?", asked.consent.yes)?;
    let mut turns = turns(asked.rate);
    let done = each_chosen(connection, &asked.letters, async |read: &Read| {
        turns.tick().await;
        // In this order a run that is cut off here at worst sends and says twice what the next one finds.
        connection.dead_letters.send_again(&read.letter).await?;
        note(connection, read, "redriven").await?;
        Ok(connection.dead_letters.discard(&read.letter).await?)
    });
    summary(output, "redriven", done.await?)
}

/// A letter as it is kept in a file.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    cause: Cause,
    kind: &'a str,
    organization: String,
    merge_id: &'a str,
    sent_at: Timestamp,
    body: &'a str,
}

impl<'a> Line<'a> {
    fn of(read: &'a Read) -> Self {
        Self {
            id: &read.letter.id,
            cause: read.cause,
            kind: &read.kind,
            organization: read.organization(),
            merge_id: &read.letter.group,
            sent_at: read.letter.sent_at,
            body: &read.letter.body,
        }
    }
}

async fn discard(connection: &Connection, output: &Output, asked: &cli::Discard) -> Result<(), Failure> {
    if asked.consent.dry_run {
        return preview(connection, output, &asked.letters, "discard").await;
    }
    output.confirm("Take these dead letters away?", asked.consent.yes)?;
    let failed = |source| Failure::File { path: asked.file.clone(), source };
    let mut turns = turns(asked.rate);
    let done = each_chosen(connection, &asked.letters, async |read: &Read| {
        turns.tick().await;
        // In this order a run that is cut off here says at worst twice what the next one says again.
        keep(&asked.file, read).map_err(failed)?;
        note(connection, read, "discarded").await?;
        Ok(connection.dead_letters.discard(&read.letter).await?)
    });
    summary(output, "discarded", done.await?)
}

/// On the disk before it is off the queue. For the operator's eyes: bodies name customers' accounts. A line that was
/// cut off by an interruption stays apart from this one.
fn keep(file: &Path, read: &Read) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(file)?;
    let mut line = Vec::new();
    if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        line.extend((last != *b"\n").then_some(b'\n'));
    }
    serde_json::to_writer(&mut line, &Line::of(read))?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

async fn note(connection: &Connection, read: &Read, what: &str) -> Result<(), Failure> {
    let Some((_, account)) = &read.account else { return Ok(()) };
    let event = operator::event(EventKind::DeadLetter).with("outcome", what).with("message", read.kind.clone());
    Ok(connection.store.add_event(*account, &event, Uuid::new_v4(), connection.history).await?)
}

fn summary(output: &Output, what: &str, count: u64) -> Result<(), Failure> {
    if output.json {
        return output.object(&serde_json::json!({ what: count }));
    }
    output.line(Cell::dim(format!("{count} {what}")))
}
