//! Absence: whether Merge has an account no more. One look at Merge's list is no proof of it: with the key of another
//! environment or organization the list is there, and every account is missing from it. So an account counts as gone
//! only when it was missing twice, an hour apart, and never while Merge lists no account at all. What counted as gone
//! and is listed again comes back.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::{
    domain::{
        account::{AccountStatus, LinkedAccount},
        schedule::{Due, PollClass},
    },
    merge::{ListedAccount, MergeError},
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
    },
    telemetry::{self, Metric},
};

use super::{WorkError, Worker, announce::add_event, state::set_status};

/// How long an account has to be missing before it counts as gone, on the schedule's clock.
pub const MISSING_FOR: Duration = Duration::from_secs(60 * 60);
/// When to look again while Merge lists no account at all, on the schedule's clock: a wrong key is put right by a
/// person.
const LOOK_AGAIN: Duration = Duration::from_secs(10 * 60);

/// What Merge's list says about an account.
pub enum Standing {
    Listed(ListedAccount),
    /// It is not in the list, which is no proof before this time.
    Missing(Timestamp),
    Gone,
}

/// Looks for the account in Merge's list. The inner error: nobody knows.
pub async fn look(worker: &Worker, account: &LinkedAccount) -> Result<Result<Standing, MergeError>, WorkError> {
    let now = worker.now();
    let after = |at: Timestamp, wait: Duration| {
        let wait = SignedDuration::try_from(worker.settings.clock.real(wait)).unwrap_or(SignedDuration::MAX);
        at.checked_add(wait).unwrap_or(Timestamp::MAX)
    };
    match worker.merge.linked_account(&account.merge_id).await {
        Ok(Some(listed)) => {
            note(worker, account, None).await?;
            return Ok(Ok(Standing::Listed(listed)));
        }
        Ok(None) => {}
        Err(error) => return Ok(Err(error)),
    }
    match worker.merge.has_linked_accounts().await {
        Ok(true) => {}
        Ok(false) => {
            telemetry::count_by(Metric::MergeAccountsMissing, "all", 1);
            tracing::error!(account = %account.id, "Merge lists no account at all; nothing counts as gone");
            return Ok(Ok(Standing::Missing(after(now, LOOK_AGAIN))));
        }
        Err(error) => return Ok(Err(error)),
    }
    let since = note(worker, account, Some(now)).await?.unwrap_or(now);
    let proof_at = after(since, MISSING_FOR);
    if now >= proof_at {
        return Ok(Ok(Standing::Gone));
    }
    telemetry::count_by(Metric::MergeAccountsMissing, "one", 1);
    tracing::warn!(account = %account.id, "Merge's list does not have the account; a later look decides");
    Ok(Ok(Standing::Missing(proof_at)))
}

/// Notes on the account since when it is missing, or that it is not; an earlier note stands. Answers what stands.
async fn note(
    worker: &Worker,
    account: &LinkedAccount,
    missing_at: Option<Timestamp>,
) -> Result<Option<Timestamp>, WorkError> {
    let noted = worker.store.change_account(&account.organization, account.id, |account| {
        let standing = account.deletion.missing_since;
        let next = missing_at.map(|now| standing.unwrap_or(now));
        if standing == next {
            return Change::Keep;
        }
        account.deletion.missing_since = next;
        Change::Write
    });
    Ok(noted.await?.and_then(|account| account.deletion.missing_since))
}

/// An account that counted as gone is in Merge's list again: it is connected as before, and polled soon.
pub async fn revive(worker: &Worker, account: &LinkedAccount, listed: &ListedAccount) -> Result<(), WorkError> {
    let now = worker.now();
    let status = if listed.status.connected() { listed.status } else { AccountStatus::Complete };
    let mut back = false;
    let revived = worker.store.change_account(&account.organization, account.id, |account| {
        back = account.status == AccountStatus::Deleted;
        if !back {
            return Change::Keep;
        }
        set_status(account, status, now);
        account.deletion.missing_since = None;
        account.due = Due::every(PollClass::FiveMinutes, account.id);
        account.updated_at = now;
        Change::Write
    });
    if let Some(account) = revived.await?.filter(|_| back) {
        worker.store.hold_slot(&account, now).await?;
        let event = Event::new(now, EventKind::StatusChanged, SYSTEM)
            .with("from", AccountStatus::Deleted.as_str())
            .with("to", status.as_str());
        add_event(worker, &account, &event).await?;
        tracing::warn!(account = %account.id, "an account that counted as gone is listed again, and is back");
    }
    Ok(())
}
