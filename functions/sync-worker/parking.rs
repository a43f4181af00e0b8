//! Parking: webhooks that come before their account is ours, or while Merge cannot say whose it is, wait instead of
//! being lost or failing again and again. Whoever connects the account releases them, and the poller has them looked at
//! in the meantime; after a day nobody will come, which is counted and alarms.
//!
//! Only what names a reservation that stands is kept, so that nobody fills the table with accounts that will never be
//! ours.

use shared::{
    domain::{
        account::LinkedAccount,
        ids::MergeLinkedAccountId,
        message::{Message, Work},
        origin::EndUserOriginId,
        schedule,
    },
    linking::{LinkError, LinkedEvent},
    store::pending::SlotState,
    telemetry::{self, Metric},
};

use super::{Invocation, WorkError, Worker, page_fetch::take_budget, signals};

/// What became of a message.
enum Done {
    Yes,
    /// It is too early for it.
    NotYet,
}

/// `LinkedAccount.linked` or `Issue.*`: does what it says, or parks it.
pub async fn parkable(worker: &Worker, message: &Message, invocation: &Invocation) -> Result<(), WorkError> {
    let merge_id = &message.merge_id;
    if let Done::Yes = attempt(worker, message, invocation).await? {
        return Ok(());
    }
    let word = word(message);
    let owner = worker.store.account_of(merge_id).await?;
    if owner.is_none() && !is_expected(worker, message).await? {
        telemetry::count_by(Metric::WebhookIgnored, "unknown_account", 1);
        return Ok(());
    }
    let body = serde_json::to_string(message).map_err(shared::queue::QueueError::Unwritable)?;
    worker.store.park(merge_id, &body, &schedule::parking_slot(merge_id), worker.now()).await?;
    telemetry::count_by(Metric::MessageParked, word, 1);
    tracing::info!(%merge_id, word, "parked until its account is known, or Merge can be asked about it");
    // The account may have been connected since it was looked for, by somebody who saw nothing parked.
    if owner.is_none() && worker.store.account_of(merge_id).await?.is_some() {
        return release(worker, merge_id, invocation).await;
    }
    Ok(())
}

/// Does what parked messages say, if it is time; gives up those that have waited for too long.
pub async fn release(
    worker: &Worker,
    merge_id: &MergeLinkedAccountId,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    let now = worker.now();
    for parked in worker.store.parked(merge_id, now).await? {
        // The poller has the others looked at.
        if invocation.time_is_up() {
            break;
        }
        let message = Message::parse(&parked.body)?;
        if let Done::Yes = attempt(worker, &message, invocation).await? {
            worker.store.unpark(merge_id, &parked.hash).await?;
        } else if parked.is_overdue(now) {
            let word = word(&message);
            telemetry::count_by(Metric::ParkedExpired, word, 1);
            tracing::warn!(%merge_id, word, "a parked message found no account");
            worker.store.unpark(merge_id, &parked.hash).await?;
        }
    }
    Ok(())
}

/// The account was just connected: what came before it is done now.
pub async fn release_for(worker: &Worker, account: &LinkedAccount, invocation: &Invocation) -> Result<(), WorkError> {
    if account.facts.initial_sync_completed {
        return Ok(());
    }
    release(worker, &account.merge_id, invocation).await
}

async fn attempt(worker: &Worker, message: &Message, invocation: &Invocation) -> Result<Done, WorkError> {
    let merge_id = &message.merge_id;
    match &message.work {
        Work::Linked { end_user_origin_id, category, is_relink, token } => {
            // The link is verified by a call about the account, which may be syncing just now.
            let owner = if token.is_some() { worker.store.owner(merge_id).await? } else { None };
            let budget = owner.map(|owner| worker.budget(owner.account));
            if let Some(budget) = &budget
                && take_budget(worker, budget).await.is_err()
            {
                return Ok(Done::NotYet);
            }
            let (end_user_origin_id, category, token) =
                (end_user_origin_id.as_str(), category.as_str(), token.as_deref());
            let event = LinkedEvent { merge_id, end_user_origin_id, category, is_relink: *is_relink, token };
            match signals::linked(worker, event, invocation).await {
                // Whose it is can be told once Merge serves us again.
                Err(WorkError::Linking(LinkError::Merge(error))) if error.is_unavailable() => {
                    tracing::warn!(%merge_id, error = telemetry::chain(&error), "a link cannot be verified now");
                    if let (Some(budget), Some(pause)) = (budget, error.retry_after()) {
                        budget.pause(pause);
                    }
                    Ok(Done::NotYet)
                }
                done => done.map(|()| Done::Yes),
            }
        }
        Work::Issue { issue, .. } => match worker.store.account_of(merge_id).await? {
            Some(account) => signals::issue(worker, account, issue, invocation).await.map(|()| Done::Yes),
            None => Ok(Done::NotYet),
        },
        _ => Ok(Done::Yes),
    }
}

/// The message names, in full, a reservation that stands.
async fn is_expected(worker: &Worker, message: &Message) -> Result<bool, WorkError> {
    let (Work::Linked { end_user_origin_id, .. } | Work::Issue { end_user_origin_id, .. }) = &message.work else {
        return Ok(false);
    };
    let Some(parts) = EndUserOriginId::parse(end_user_origin_id) else { return Ok(false) };
    let slot = worker.store.slot(&parts.organization, parts.category).await?;
    Ok(slot.is_some_and(|slot| slot.state == SlotState::Pending && slot.origin_id.as_str() == end_user_origin_id))
}

fn word(message: &Message) -> &'static str {
    if let Work::Linked { .. } = message.work { "linked" } else { "issue" }
}
