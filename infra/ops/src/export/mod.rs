//! Export: one model's records, or their changes since an earlier export, as NDJSON in a compressed file, for whoever
//! loads a warehouse.
//!
//! The file is a row of gzip members, each complete. Beside it lies how far the export has come; an export that was
//! interrupted cuts the file back to its last whole member and goes on. Memory holds one member, whatever the size.

mod cursor;
mod file;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::domain::change::Action;
use shared::domain::endpoint::Endpoint;
use shared::domain::ids::AccountId;
use shared::store::Store;
use shared::store::keys::SHARDS;
use shared::store::records::Record;

use self::cursor::Cursor;
use self::file::Export;
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// Records, or blocks of changes, of one read.
const PAGE: i32 = 100;

/// How far an export has come; kept beside its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Progress {
    account: AccountId,
    model: String,
    /// Where an incremental export began; none for one of everything.
    since: Option<Cursor>,
    /// Records that are gone are in it.
    #[serde(default)]
    deleted: bool,
    /// Where the next incremental export begins.
    next: Cursor,
    place: Place,
    lines: u64,
    /// Bytes of the file that are whole members.
    bytes: u64,
    done: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// In the records: the shard, and the last key of it that was written.
    Records { shard: u8, after: Option<String> },
    /// In the changes: up to `Progress::next`.
    Changes,
}

/// A record as a line.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    modified_at: Option<&'a str>,
    deleted: bool,
    /// Merge's object, byte for byte; null for a record that is gone.
    data: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    fn of(record: &'a Record, action: Option<Action>) -> Result<Self, Failure> {
        let data = match record.deleted {
            true => None,
            false => Some(serde_json::from_str(&record.data).map_err(std::io::Error::from)?),
        };
        Ok(Self { id: &record.key, action, modified_at: Some(&record.modified_at), deleted: record.deleted, data })
    }
}

/// What came of it.
#[derive(Serialize)]
struct Summary<'a> {
    file: &'a PathBuf,
    lines: u64,
    bytes: u64,
    /// For `--since` of the next export.
    cursor: &'a Cursor,
}

/// `tether export`.
pub async fn export(connection: &Connection, output: &Output, asked: &cli::Export) -> Result<(), Failure> {
    let store = &connection.store;
    let account = crate::account::load(store, asked.account).await?;
    let endpoint = Endpoint::by_key(&asked.model).filter(|endpoint| endpoint.category == account.category);
    let endpoint = endpoint.ok_or_else(|| Failure::NoModel(asked.model.clone()))?;
    let since = asked.since.as_deref().map(|text| Cursor::parse(text, connection.history, Timestamp::now()));
    let since = since.transpose()?;

    let fresh = Progress {
        account: account.id,
        model: endpoint.key(),
        since: since.clone(),
        deleted: asked.deleted,
        next: match &since {
            Some(since) => since.clone(),
            // Before anything is read: what changes meanwhile comes with the next export, perhaps once more.
            None => Cursor::at(store.last_change(account.id, endpoint).await?, Timestamp::now()),
        },
        place: if since.is_some() { Place::Changes } else { Place::Records { shard: 0, after: None } },
        lines: 0,
        bytes: 0,
        done: false,
    };
    let same = |kept: &Progress| {
        (kept.account, &kept.model, &kept.since, kept.deleted)
            == (fresh.account, &fresh.model, &fresh.since, fresh.deleted)
    };
    let mut export = Export::open(&asked.output, fresh.clone(), same)?;
    if export.progress.done {
        eprintln!("{} was complete already: for a new export name another file", asked.output.display());
    }
    let live = store.checkpoint(account.id, endpoint).await?.map_or(0, |checkpoint| checkpoint.records);
    let bar = bar(since.is_none().then_some(live.max(0).unsigned_abs()));
    bar.set_position(export.progress.lines);
    match since {
        None => records(store, &account.id, endpoint, &mut export, asked.deleted, &bar).await?,
        Some(_) => changes(store, &account.id, endpoint, &mut export, &bar).await?,
    }
    bar.finish_and_clear();
    let progress = export.finish()?;

    let summary = Summary { file: &asked.output, lines: progress.lines, bytes: progress.bytes, cursor: &progress.next };
    if output.json {
        return output.object(&summary);
    }
    output.line(format!("{} lines in {}", summary.lines, summary.file.display()))?;
    output.line(Cell::dim(format!("next time: --since {}", summary.cursor)))
}

/// Every record, shard by shard.
async fn records(
    store: &Store,
    account: &AccountId,
    endpoint: &Endpoint,
    export: &mut Export,
    deleted: bool,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    while let Place::Records { shard, after } = export.progress.place.clone() {
        if shard >= SHARDS || export.progress.done {
            return Ok(());
        }
        let (records, more) = store.shard_page(*account, endpoint, shard, after.as_deref(), PAGE).await?;
        for packed in records.iter().filter(|record| deleted || !record.deleted) {
            let record = store.open(*account, endpoint, packed).await?;
            export.line(&Line::of(&record, None)?)?;
        }
        let last = records.last().map(|record| record.key.clone());
        let place = match more {
            true => Place::Records { shard, after: last.or(after) },
            false => Place::Records { shard: shard + 1, after: None },
        };
        export.reached(place, None)?;
        bar.set_position(export.progress.lines);
    }
    Ok(())
}

/// Every change since the cursor, each with the record as it is now.
async fn changes(
    store: &Store,
    account: &AccountId,
    endpoint: &Endpoint,
    export: &mut Export,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    while !export.progress.done {
        let after = export.progress.next.tag;
        // Blocks hold up to a page's changes each.
        let blocks = store.changes(*account, endpoint, Some(after), 1).await?;
        let Some(block) = blocks.first() else { return Ok(()) };
        let keys: std::collections::BTreeSet<&str> = block.changes.iter().map(|change| change.k.as_str()).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let stored = store.records(*account, endpoint, &keys).await?;
        for change in &block.changes {
            match stored.get(&change.k) {
                Some(packed) => {
                    let record = store.open(*account, endpoint, packed).await?;
                    export.line(&Line::of(&record, Some(change.a))?)?;
                }
                None => {
                    let gone =
                        Line { id: &change.k, action: Some(change.a), modified_at: None, deleted: true, data: None };
                    export.line(&gone)?;
                }
            }
        }
        export.reached(Place::Changes, Some(Cursor::at(Some(block.tag), block.at)))?;
        bar.set_position(export.progress.lines);
    }
    Ok(())
}

/// On a terminal a bar, elsewhere nothing.
fn bar(total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = match total {
        Some(_) => "[{bar:30}] {pos}/{len} records, {per_sec}, {eta} left",
        None => "{spinner} {pos} changes, {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
