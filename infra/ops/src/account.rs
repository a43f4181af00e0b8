//! One account: its state, what is wrong with it, how far each model's copy reaches, its windows and its timeline.

use jiff::Timestamp;
use serde::Serialize;
use shared::api::accounts::EventView;
use shared::domain::account::LinkedAccount;
use shared::domain::endpoint::Endpoint;
use shared::domain::health;
use shared::domain::ids::AccountId;
use shared::domain::window::Checkpoint;
use shared::store::Store;
use shared::store::ledger::LedgerRow;

use crate::accounts::{OperatorView, state_cell};
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output, time, word};

/// The account with this id, wherever it is.
pub async fn load(store: &Store, id: AccountId) -> Result<LinkedAccount, Failure> {
    let missing = || Failure::NoAccount(id.to_string());
    let of = store.locate(id).await?.ok_or_else(missing)?;
    store.account(&of.organization, of.account).await?.ok_or_else(missing)
}

#[derive(Serialize)]
struct AccountReport {
    account: OperatorView,
    models: Vec<ModelReport>,
    events: Vec<EventView>,
}

/// How far the copy of one model reaches.
#[derive(Serialize)]
struct ModelReport {
    model_id: String,
    records: i64,
    /// Everything up to here is stored.
    upper: Option<Timestamp>,
    last_synced_at: Option<Timestamp>,
    initial_completed: bool,
    partial: bool,
    /// Bounds and pages of the window that is being fetched.
    open_window: Option<OpenReport>,
    /// Finished windows, oldest first; only when they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<Vec<LedgerRow>>,
}

#[derive(Serialize)]
struct OpenReport {
    after: Option<Timestamp>,
    before: Timestamp,
    pages: u64,
    started_at: Timestamp,
}

impl ModelReport {
    fn new(endpoint: &Endpoint, checkpoint: &Checkpoint, windows: Option<Vec<LedgerRow>>) -> Self {
        let open = checkpoint.window.as_ref();
        Self {
            model_id: endpoint.key(),
            records: checkpoint.records,
            upper: checkpoint.upper,
            last_synced_at: checkpoint.last_synced_at,
            initial_completed: checkpoint.initial_completed,
            partial: checkpoint.partial,
            open_window: open.map(|open| OpenReport {
                after: open.lower,
                before: open.upper,
                pages: open.pages,
                started_at: open.started_at,
            }),
            windows,
        }
    }
}

/// `tether account ID`.
pub async fn show(connection: &Connection, output: &Output, asked: &cli::Account) -> Result<(), Failure> {
    let (store, now) = (&connection.store, Timestamp::now());
    let account = load(store, asked.account).await?;
    let checkpoints = store.checkpoints(account.id).await?;
    let mut models = Vec::new();
    for endpoint in Endpoint::of(account.category) {
        let Some(checkpoint) = checkpoints.get(&endpoint.slug()) else { continue };
        let windows = if asked.windows { Some(store.windows(account.id, endpoint).await?) } else { None };
        models.push(ModelReport::new(endpoint, checkpoint, windows));
    }
    let events = store.events(account.id, None, asked.events, now).await?.events;
    let events = events.into_iter().map(|(id, event)| EventView::new(id, event)).collect();
    let report = AccountReport { account: OperatorView::of(&account, now), models, events };
    if output.json { output.object(&report) } else { print(output, &account, &report, now) }
}

fn print(output: &Output, account: &LinkedAccount, report: &AccountReport, now: Timestamp) -> Result<(), Failure> {
    let health = health::of_account(account, now);
    let facts: [(&str, String); 8] = [
        ("account", account.id.to_string()),
        ("organization", account.organization.to_string()),
        ("Merge's id", account.merge_id.to_string()),
        ("system", format!("{} ({}, {})", account.integration.name, account.integration.slug, account.category)),
        ("status", format!("{} since {}", account.status.as_str(), time(Some(account.status_since)))),
        ("records", account.facts.records.to_string()),
        ("fresh as of", time(account.facts.data_fresh_as_of)),
        ("polled", account.due.key.clone()),
    ];
    for (name, value) in facts {
        output.cells(&[Cell::dim(format!("{name:<13}")), value.into()])?;
    }
    let reason = health.reason.map(word).unwrap_or_default();
    let who = format!("{reason} since {}, to be mended by: {}", time(Some(health.since)), word(health.actor));
    output.cells(&[Cell::dim(format!("{:<13}", "health")), state_cell(&health), who.trim_start().into()])?;

    for issue in &report.account.view.open_issues {
        let text = format!("{} since {}", word(issue.kind), time(Some(issue.first_seen)));
        output.cells(&[Cell::dim(format!("{:<13}", "issue")), text.into()])?;
    }
    output.line("")?;
    let rows: Vec<[Cell; 5]> = report.models.iter().map(model_row).collect();
    output.table(["MODEL", "RECORDS", "COPIED UP TO", "LAST SYNCED", "STATE"], &rows)?;
    for model in &report.models {
        let Some(windows) = &model.windows else { continue };
        output.line("")?;
        let rows: Vec<[Cell; 6]> = windows.iter().map(window_row).collect();
        output.table([&model.model_id, "BEFORE", "PAGES", "ADDED", "UPDATED", "DELETED"], &rows)?;
    }
    output.line("")?;
    let rows: Vec<[Cell; 4]> = report.events.iter().map(event_row).collect();
    output.table(["AT", "EVENT", "BY", "DETAIL"], &rows)
}

fn model_row(model: &ModelReport) -> [Cell; 5] {
    let state = match &model.open_window {
        Some(open) => format!("fetching, {} pages", open.pages),
        None if model.partial => "partial".to_owned(),
        None if model.initial_completed => "complete".to_owned(),
        None => "first sync".to_owned(),
    };
    [
        Cell::from(&model.model_id),
        model.records.to_string().into(),
        time(model.upper).into(),
        time(model.last_synced_at).into(),
        state.into(),
    ]
}

fn window_row(row: &LedgerRow) -> [Cell; 6] {
    let after = row.after.map_or_else(|| word(row.kind), |after| format!("{} from {after:.0}", word(row.kind)));
    [
        after.into(),
        time(Some(row.before)).into(),
        row.pages.to_string().into(),
        row.counts.added.to_string().into(),
        row.counts.updated.to_string().into(),
        row.counts.deleted.to_string().into(),
    ]
}

fn event_row(event: &EventView) -> [Cell; 4] {
    let detail = event.detail.iter().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    let detail: Vec<_> = event.model_id.iter().cloned().chain(detail).collect();
    [time(Some(event.at)).into(), word(event.kind).into(), Cell::from(&event.actor), detail.join(" ").into()]
}
