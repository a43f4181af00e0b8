//! The 101 lists of records, and their records one by one.

use std::time::Duration;

use crate::account::Account;
use crate::clock::Time;
use crate::dataset::children;
use crate::faults::Fault;
use crate::generate::{self, RemoteData};
use crate::ids;
use crate::listing::{self, Cursor, Page, Query};
use crate::models::{self, Model, ModelIndex};
use crate::pager::{self, Parameters};
use crate::reply::Reply;
use crate::routes::{parameters, with_account};
use crate::service::{Call, Service};
use crate::settings::Settings;
use http::StatusCode;

pub async fn answer(service: &Service, call: &Call, account: &str, category: &str, rest: &[&str]) -> Reply {
    if let Some((model, parents)) = models::by_path(category, rest) {
        let delay = service.world().0.store.settings.page_delay_ms;
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        return with_account(service, account, |world, account, now| {
            list(account, model, &parents, call, &world.store.settings, now).unwrap_or_else(|reply| reply)
        });
    }
    let Some((id, path)) = rest.split_last() else { return Reply::not_found() };
    let Some((model, parents)) = models::by_path(category, path) else { return Reply::not_found() };
    with_account(service, account, |_, account, now| match locate(account, model, &parents, id, now) {
        Some(number) => {
            let mut body = String::new();
            account.write_record(model, number, remote_data(&parameters(call)), &mut body);
            Reply::text(StatusCode::OK, body)
        }
        None => Reply::not_found(),
    })
}

fn list(
    account: &Account,
    index: ModelIndex,
    parents: &[&str],
    call: &Call,
    settings: &Settings,
    now: Time,
) -> Result<Reply, Reply> {
    let model = &models::all()[index];
    let dataset = account.dataset(index).ok_or_else(Reply::not_found)?;
    let parameters = parameters(call);
    let mut query = query(model, &parameters, settings)?;
    if model.parent.is_some() {
        let parent = parent_number(account, model, parents, now).ok_or_else(Reply::not_found)?;
        query.within = Some(children::before(parent)..children::before(parent + 1));
    }
    let page = listing::page(dataset, &query, model.has_deleted, now);
    Ok(render(account, index, &page, query.cursor, call))
}

fn query(model: &Model, parameters: &Parameters, settings: &Settings) -> Result<Query, Reply> {
    let cursor = match parameters.get("cursor") {
        None => None,
        Some(text) => Some(Cursor::decode(text).ok_or_else(pager::invalid_cursor)?),
    };
    let mut query = Query {
        inclusive: settings.inclusive_bounds,
        include_deleted: parameters.is_true("include_deleted_data"),
        limit: parameters.page_size(settings),
        cursor,
        ..Query::default()
    };
    // Lists that do not know these parameters ignore them, as any unknown one.
    if model.filters_modified {
        query.modified_after = parameters.time("modified_after")?;
        query.modified_before = parameters.time("modified_before")?;
        query.created_after = parameters.time("created_after")?;
        query.created_before = parameters.time("created_before")?;
        let only = parameters.get("remote_id");
        query.only = only.map(|remote_id| generate::index_of_remote_id(model, remote_id).unwrap_or(u64::MAX));
    }
    Ok(query)
}

/// The number of the parent that the path names, if the path's other parents are its own.
fn parent_number(account: &Account, model: &Model, parents: &[&str], now: Time) -> Option<u64> {
    let (id, above) = parents.split_last()?;
    let parent = model.parent?;
    let number = ids::record_index(account.model_seed(parent), id)?;
    let dataset = account.dataset(parent)?;
    if number >= dataset.visible(now) {
        return None;
    }
    if models::all()[parent].parent.is_some() {
        let grand = parent_number(account, &models::all()[parent], above, now)?;
        return (children::parent_of(number) == grand).then_some(number);
    }
    Some(number)
}

fn render(account: &Account, model: ModelIndex, page: &Page, cursor: Option<Cursor>, call: &Call) -> Reply {
    let remote_data = remote_data(&parameters(call));
    let mut next = page.next.map(Cursor::encode);
    if let Some(fault) = &call.fault {
        next = spoiled_cursor(fault, next, cursor);
    }
    let quoted = |cursor: Option<String>| cursor.map_or("null".to_owned(), |cursor| format!("\"{cursor}\""));
    let mut body =
        format!(r#"{{"next":{},"previous":{},"results":["#, quoted(next), quoted(page.previous.map(Cursor::encode)));
    for (position, (index, _)) in page.records.iter().enumerate() {
        if position > 0 {
            body.push(',');
        }
        account.write_record(model, *index, remote_data, &mut body);
    }
    body.push_str("]}");
    Reply::text(StatusCode::OK, body)
}

/// `include_remote_data=true` shows the provider's own object too.
fn remote_data(parameters: &Parameters) -> RemoteData {
    if parameters.is_true("include_remote_data") { RemoteData::Included } else { RemoteData::Omitted }
}

fn spoiled_cursor(fault: &Fault, next: Option<String>, used: Option<Cursor>) -> Option<String> {
    if fault.repeat_cursor
        && let Some(used) = used
    {
        return Some(used.encode());
    }
    if fault.url_cursor {
        return next.map(|next| format!("https://api.merge.dev/api/next?cursor={next}"));
    }
    next
}

/// The number of the record of this id, if it is there: a deleted one is still shown where the model has tombstones.
fn locate(account: &Account, index: ModelIndex, parents: &[&str], id: &str, now: Time) -> Option<u64> {
    let model = &models::all()[index];
    let dataset = account.dataset(index)?;
    let number = ids::record_index(account.model_seed(index), id).filter(|_| model.has_id)?;
    let gone = number >= dataset.visible(now) || (dataset.state(number).deleted && !model.has_deleted);
    let astray =
        model.parent.is_some() && parent_number(account, model, parents, now) != Some(children::parent_of(number));
    (!gone && !astray).then_some(number)
}
