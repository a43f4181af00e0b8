//! Accounts: the list, one account with its health, its sync status and timeline; a sync on request, a new name.
//!
//! One function of six routes, told apart by method and the last part of the path.

mod list;
mod patch;
mod sync;

use lambda_http::Request;
use shared::{
    ambient,
    api::{
        access,
        accounts::{AccountView, EventList, EventView},
        allowance, cursor,
    },
    config,
    domain::ids::RequestedId,
    http::{self, Answer, Caller, Problem, Scope},
    linking::Linking,
    queue::Queue,
    store::{accounts::Found, limits::Counter},
};

/// What the function works with.
pub struct Accounts {
    pub linking: Linking,
    pub queue: Queue,
    pub identity: config::Identity,
    pub models: config::Models,
    pub clock: config::Clock,
    pub retention: config::Retention,
    pub limit: config::RefreshLimit,
    pub refused: config::RefusedLimit,
}

impl Accounts {
    /// Counts something that a caller does. 429 when that is too much for this minute.
    async fn count(&self, caller: &Caller, counter: Counter) -> Result<(), Problem> {
        allowance::take(&self.linking.store, &caller.organization, counter, self.limit.0, ambient::now()).await
    }
}

/// Answers one request.
pub async fn handle(accounts: &Accounts, request: Request) -> Result<Answer, Problem> {
    let caller = Caller::of(&request, &accounts.identity)?;
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let last = path.rsplit('/').next().unwrap_or_default();
    let writes = matches!(request.method().as_str(), "POST" | "PATCH");
    caller.require(if writes { Scope::LinkedAccountsWrite } else { Scope::LinkedAccountsRead })?;
    // The last word alone does not tell: an id may be any.
    if last == "linked-accounts" && http::path_parameter(&request, "id").is_none() {
        return list::list(accounts, &caller, &request).await;
    }
    let id = http::account_id(&request)?;
    match (request.method().as_str(), last) {
        ("GET", "sync-status") => sync::status(accounts, &caller, id, &request).await,
        ("GET", "events") => events(accounts, &caller, id, &request).await,
        ("POST", "sync") => sync::request(accounts, &caller, id, &request).await,
        ("PATCH", _) => patch::patch(accounts, &caller, id, &request).await,
        ("GET", _) => get(accounts, &caller, id).await,
        _ => Err(Problem::not_found()),
    }
}

/// `GET /v1/linked-accounts/{id}`: also of an account that is being deleted, and of an attempt.
async fn get(accounts: &Accounts, caller: &Caller, id: RequestedId) -> Result<Answer, Problem> {
    let now = ambient::now();
    match access::any(&accounts.linking.store, &caller.organization, id).await? {
        Found::Account(account) => http::ok(&AccountView::of_account(&account, now)),
        Found::Pending(slot) => http::ok(&AccountView::of_pending(&slot, now)),
    }
}

/// `GET /v1/linked-accounts/{id}/events`: the timeline, newest first.
async fn events(accounts: &Accounts, caller: &Caller, id: RequestedId, request: &Request) -> Result<Answer, Problem> {
    let store = &accounts.linking.store;
    let query = http::query(request);
    let limit = query.limit()?;
    let id = access::readable(store, &caller.organization, id).await?.id;
    let account = id.to_string();
    let binding = [caller.organization.as_str(), &account, "events"];
    let before: Option<String> = query.text("cursor").map(|text| cursor::decode(&binding, text)).transpose()?;
    before.as_deref().map_or(Ok(()), cursor::is_a_key)?;
    let page = store.events(id, before.as_deref(), limit, ambient::now()).await?;
    let next_cursor = page.next.map(|next| cursor::encode(&binding, next)).transpose()?;
    let results = page.events.into_iter().map(|(id, event)| EventView::new(id, event)).collect();
    http::ok(&EventList { results, next_cursor })
}
