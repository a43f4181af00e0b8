//! Deleting an account in two phases: first at Merge, then here. Nothing is erased before Merge has deleted the
//! account or is certain to have it no more; what a late worker writes after the first sweep is found by the second.
//! Any step may be the last before a crash: the poller finds the account and the work goes on from its row.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use shared::{
    ambient,
    domain::{
        account::{AccountStatus, LinkedAccount, Trouble, TroubleCode},
        ids::AccountId,
        message::{AccountRef, Message, Work},
        schedule::{Due, PollClass},
    },
    merge::{ErrorKind, MergeError},
    secrets::SecretsError,
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
        purge::Purged,
        receipts::Receipt,
    },
    telemetry::{self, Metric},
};

use super::{
    Invocation, WorkError, Worker,
    absence::{self, Standing},
    announce::add_event,
    page_fetch::take_budget,
};

/// Where an account that is gone at Merge waits for its retention to end.
pub fn resting_place(account: AccountId) -> Due {
    Due::every(PollClass::Daily, account)
}

/// Takes the deletion of an account as far as it can go now.
pub async fn delete(worker: &Worker, of: &AccountRef, invocation: &Invocation) -> Result<(), WorkError> {
    let Some(account) = worker.store.account(&of.organization, of.account).await? else { return Ok(()) };
    if account.status != AccountStatus::Deleting {
        return Ok(());
    }

    // 1. Merge's side. Without certainty nothing is erased; the poller asks again.
    if !account.deletion.gone_at_merge {
        match delete_at_merge(worker, &account).await? {
            Ok(()) => note(worker, of, |account| account.deletion.gone_at_merge = true).await?,
            Err(why) => return blocked(worker, &account, &why).await,
        }
    }

    // 2. First sweep: everything but the account's own rows.
    let Some(swept_at) = account.deletion.swept_at else {
        let purged = sweep(worker, &account, invocation).await?;
        if !purged.finished {
            return again(worker, of, &account).await;
        }
        let now = worker.now();
        let wake = after(now, worker.settings.second_sweep_after);
        let minute = worker.settings.clock.minute(wake) + 1;
        return note(worker, of, |account| {
            account.deletion.swept_at = Some(now);
            account.due = Due::every(PollClass::FiveMinutes, account.id).wake(minute);
        })
        .await;
    };

    // 3. Second sweep, once every worker that might still write has ended; then the rows that held it all together.
    if worker.now() < after(swept_at, worker.settings.second_sweep_after) {
        return Ok(());
    }
    let purged = sweep(worker, &account, invocation).await?;
    if !purged.finished {
        return again(worker, of, &account).await;
    }
    worker.store.erase_account(&account.organization, account.id, account.category, &account.merge_id).await?;
    telemetry::count(Metric::AccountPurged, 1);
    tracing::info!(account = %account.id, "the account is erased");
    Ok(())
}

/// An account that is gone at Merge's side: it comes back should Merge list it again, and after its retention it is
/// deleted here too.
pub async fn retire(worker: &Worker, account: LinkedAccount, invocation: &Invocation) -> Result<(), WorkError> {
    match absence::look(worker, &account).await? {
        Ok(Standing::Listed(listed)) => return absence::revive(worker, &account, &listed).await,
        Ok(Standing::Gone) => {}
        // Nobody knows: it rests on.
        Ok(Standing::Missing(_)) | Err(_) => return Ok(()),
    }
    if worker.now() < after(account.status_since, worker.settings.retention.deleted) {
        return Ok(());
    }
    let of = AccountRef { organization: account.organization, account: account.id };
    note(worker, &of, |account| {
        // It may have been linked again while Merge was asked.
        if account.status == AccountStatus::Deleted {
            account.status = AccountStatus::Deleting;
            account.due = Due::every(PollClass::FiveMinutes, account.id);
        }
    })
    .await?;
    delete(worker, &of, invocation).await
}

/// Why a deletion waits.
struct Blocked {
    reason: &'static str,
}

impl Blocked {
    fn by(error: &MergeError) -> Self {
        tracing::warn!(error = telemetry::chain(error), "Merge does not delete an account");
        Self { reason: error.label() }
    }
}

/// `Ok`: Merge has the account no more. The inner error says why that is not certain.
async fn delete_at_merge(worker: &Worker, account: &LinkedAccount) -> Result<Result<(), Blocked>, WorkError> {
    // The account may have been syncing until now. If Merge wants it left alone for longer, it says so again.
    take_budget(worker, &worker.budget(account.id)).await.ok();
    let refused = match worker.linking.token_of(account).await {
        Ok(token) => match worker.merge.delete_account(account.category, &token).await {
            Ok(()) => return Ok(Ok(())),
            Err(error) if matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::NotFound) => Blocked::by(&error),
            Err(error) => return Ok(Err(Blocked::by(&error))),
        },
        // No call can be made for the account any more, and that never passes: the list alone can tell.
        Err(SecretsError::WrongContext) => Blocked { reason: "token_undecryptable" },
        Err(error) => return Err(error.into()),
    };
    // Gone already, a fault of the token, or an outage of our key? The list needs the key alone.
    Ok(match absence::look(worker, account).await? {
        Ok(Standing::Gone) => Ok(()),
        Ok(Standing::Listed(_)) => Err(refused),
        Ok(Standing::Missing(_)) => Err(Blocked { reason: "missing_at_merge" }),
        Err(error) => Err(Blocked::by(&error)),
    })
}

async fn blocked(worker: &Worker, account: &LinkedAccount, why: &Blocked) -> Result<(), WorkError> {
    tracing::warn!(account = %account.id, reason = why.reason, "a deletion waits for Merge; nothing is erased");
    let now = worker.now();
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    if account.facts.trouble.is_none() {
        let event = Event::new(now, EventKind::DeleteBlocked, SYSTEM).with("reason", why.reason);
        add_event(worker, account, &event).await?;
    }
    note(worker, &of, |account| {
        account.facts.trouble.get_or_insert(Trouble { code: TroubleCode::DeleteBlocked, since: now });
        account.due = Due::every(PollClass::FiveMinutes, account.id);
    })
    .await
}

/// Erases what it can in this slice and adds it to the receipt.
async fn sweep(worker: &Worker, account: &LinkedAccount, invocation: &Invocation) -> Result<Purged, WorkError> {
    let purged = worker.store.purge(account.id, account.category, || !invocation.time_is_up()).await?;
    if purged.finished {
        worker.store.erase_exchanges(&account.merge_id).await?;
        worker.store.erase_parked(&account.merge_id).await?;
    }
    let before = worker.store.receipt(&account.organization, account.id).await?;
    let mut erased: BTreeMap<String, u64> = before.map(|receipt| receipt.erased).unwrap_or_default();
    *erased.entry("records".to_owned()).or_default() += purged.records;
    *erased.entry("rows".to_owned()).or_default() += purged.other_items;
    let receipt = Receipt { category: account.category, erased_at: worker.now(), erased };
    worker.store.put_receipt(&account.organization, account.id, &receipt).await?;
    Ok(purged)
}

/// Queues the next slice of a purge.
async fn again(worker: &Worker, of: &AccountRef, account: &LinkedAccount) -> Result<(), WorkError> {
    let sweep = 1 + u8::from(account.deletion.swept_at.is_some());
    let work = Work::Delete { of: of.clone(), sweep, request: ambient::uuid() };
    worker.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
    Ok(())
}

async fn note(worker: &Worker, of: &AccountRef, mut change: impl FnMut(&mut LinkedAccount)) -> Result<(), WorkError> {
    let now = worker.now();
    worker
        .store
        .change_account(&of.organization, of.account, |account| {
            let read = account.clone();
            change(account);
            if *account == read {
                return Change::Keep;
            }
            account.updated_at = now;
            Change::Write
        })
        .await?;
    Ok(())
}

fn after(at: Timestamp, wait: std::time::Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}
