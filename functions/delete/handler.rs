//! Deletes: `DELETE /v1/linked-accounts/{id}` marks the account and queues the rest: Merge's side, then ours.
//!
//! From the mark on the account is in no list, takes no sync and matches no link. Repeating the request repeats the
//! message; a message that is lost is made up for by the poller, which finds the mark.

use jiff::Timestamp;
use lambda_http::Request;
use shared::{
    ambient,
    api::{access, accounts::AccountView, allowance},
    config,
    domain::{
        account::{AccountStatus, LinkedAccount},
        message::{AccountRef, Message, Work},
        schedule::{Due, PollFacts, poll_class},
    },
    http::{self, Answer, Caller, Code, Problem, Scope},
    queue::Queue,
    store::{
        Store,
        accounts::{Change, Found},
        events::{Event, EventKind},
        limits::Counter,
    },
};

/// What the function works with.
pub struct Deletes {
    pub store: Store,
    pub queue: Queue,
    pub identity: config::Identity,
    pub retention: config::Retention,
    pub limit: config::DeleteLimit,
}

/// Answers one request.
pub async fn handle(deletes: &Deletes, request: Request) -> Result<Answer, Problem> {
    // 1. Who asks, about which account.
    let caller = Caller::of(&request, &deletes.identity)?;
    caller.require(Scope::LinkedAccountsWrite)?;
    let id = http::account_id(&request)?;
    let organization = &caller.organization;
    let id = match access::any(&deletes.store, organization, id).await? {
        Found::Account(account) => account.id,
        Found::Pending(_) => return Err(Problem::new(Code::NotConnected, "The connection was never finished.")),
    };
    let now = ambient::now();
    allowance::take(&deletes.store, organization, Counter::Delete, deletes.limit.0, now).await?;

    // 2. Mark it, and its slot.
    let mut marked = false;
    let account = deletes.store.change_account(organization, id, |account| {
        marked = account.status != AccountStatus::Deleting;
        if marked { mark(account, now) } else { Change::Keep }
    });
    let account = account.await?.ok_or_else(Problem::not_found)?;
    deletes.store.mark_slot_disconnecting(organization, account.category, id).await?;
    if marked {
        let event = Event::new(now, EventKind::DeleteRequested, &caller.subject);
        deletes.store.add_event(id, &event, ambient::uuid(), deletes.retention.history).await?;
    }

    // 3. Queue the work.
    let of = AccountRef { organization: organization.clone(), account: id };
    let work = Work::Delete { of, sweep: 1, request: ambient::uuid() };
    deletes.queue.send(&Message::new(account.merge_id.clone(), work)).await?;

    // 4. Reply.
    http::accepted(&AccountView::of_account(&account, now))
}

fn mark(account: &mut LinkedAccount, now: Timestamp) -> Change {
    account.status = AccountStatus::Deleting;
    account.status_since = now;
    account.updated_at = now;
    let class = poll_class(PollFacts {
        status: account.status,
        first_sync_completed: account.facts.initial_sync_completed,
        age_seconds: now.as_second() - account.created_at.as_second(),
        sync_interval_seconds: None,
        webhooks_arrive: false,
    });
    account.due = Due::every(class, account.id);
    Change::Write
}
