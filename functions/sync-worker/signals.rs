//! What webhooks say: somebody linked, something became readable, an issue opened or closed, an account is gone. Each
//! is checked against Merge or merely noted; none is believed.

use jiff::Timestamp;
use shared::{
    domain::{
        account::{AccountStatus, Issue, IssueStatus, LinkedAccount},
        ids::MergeLinkedAccountId,
        message::IssueEvent,
    },
    linking::{Admission, LinkedEvent},
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
    },
    telemetry::{self, Metric},
};

use super::{
    Invocation, WorkError, Worker,
    absence::{self, Standing},
    account_sync::{self, Ask},
    state::{add_event, set_status},
};

/// `LinkedAccount.linked`: completes a reservation whose page was closed, or notes a relink; either way what Merge has
/// is fetched.
pub async fn linked(worker: &Worker, event: LinkedEvent<'_>, invocation: &Invocation) -> Result<(), WorkError> {
    match worker.linking.linked(&event, worker.now()).await? {
        Admission::Created(account) | Admission::Relinked(account) => {
            account_sync::hinted(worker, account, Ask::StatusAndAccount, invocation).await
        }
        Admission::Unchanged(_) => Ok(()),
        Admission::Refused(why) => {
            telemetry::count_by(Metric::WebhookIgnored, why.label(), 1);
            Ok(())
        }
    }
}

/// `sync_completed`, `{Model}.synced` or a record event: looks at the account. Unknown accounts are counted and left, and
/// one that Merge wants left alone is looked at by its wake. A wake that is set for a broken list alone holds up no other.
pub async fn hint(worker: &Worker, merge_id: &MergeLinkedAccountId, invocation: &Invocation) -> Result<(), WorkError> {
    let minute = worker.settings.clock.minute(worker.now());
    match known(worker, merge_id).await? {
        Some(account) if account.due.wakes_after(minute) && account.facts.unreadable.is_empty() => Ok(()),
        Some(account) => account_sync::hinted(worker, account, Ask::Status, invocation).await,
        None => Ok(()),
    }
}

/// `LinkedAccount.deleted`: Merge's list decides whether it is so. Records stay for a while; only time purges them.
pub async fn deleted(worker: &Worker, merge_id: &MergeLinkedAccountId) -> Result<(), WorkError> {
    let Some(account) = known(worker, merge_id).await? else { return Ok(()) };
    if !account.status.connected() {
        return Ok(());
    }
    match absence::look(worker, &account).await? {
        Ok(Standing::Listed(_)) => Ok(()),
        Ok(Standing::Missing(look_at)) => wake(worker, &account, look_at).await,
        Ok(Standing::Gone) => gone(worker, &account).await,
        // A later poll finds out.
        Err(error) => account_sync::put_off(worker, &account, &error).await,
    }
}

/// Merge's list does not have the account: it is looked at again when that may be proof.
async fn wake(worker: &Worker, account: &LinkedAccount, at: Timestamp) -> Result<(), WorkError> {
    let minute = worker.settings.clock.minute(at) + 1;
    let woken = worker.store.change_account(&account.organization, account.id, |account| {
        // A wake that comes sooner is followed by the next one.
        if !account.status.connected() || account.due.is_wake() {
            return Change::Keep;
        }
        account.due = account.due.wake(minute);
        Change::Write
    });
    woken.await?;
    Ok(())
}

/// Merge has the account no more: it is shown as disconnected and called no more.
pub async fn gone(worker: &Worker, account: &LinkedAccount) -> Result<(), WorkError> {
    let now = worker.now();
    let mut left = false;
    let account = worker
        .store
        .change_account(&account.organization, account.id, |account| {
            left = account.status.connected();
            if !left {
                return Change::Keep;
            }
            set_status(account, AccountStatus::Deleted, now);
            account.due = super::deletion::resting_place(account.id);
            account.updated_at = now;
            Change::Write
        })
        .await?;
    if let Some(account) = account.filter(|_| left) {
        // The category is free for the next account at once.
        worker.store.free_slot(&account.organization, account.category, account.id).await?;
        add_event(worker, &account, &Event::new(now, EventKind::Disconnected, SYSTEM)).await?;
    }
    Ok(())
}

/// `Issue.*`: opens or closes the issue on the account's row.
pub async fn issue(
    worker: &Worker,
    merge_id: &MergeLinkedAccountId,
    event: &IssueEvent,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    let Some(account) = known(worker, merge_id).await? else { return Ok(()) };
    let now = worker.now();
    let mut turned = None;
    let noted = worker
        .store
        .change_account(&account.organization, account.id, |account| {
            let standing = account.issues.get(&event.issue_id);
            let next = Issue {
                kind: event.kind,
                status: event.status,
                description: event.description.clone(),
                first_seen: standing.map_or(event.first_incident_time.unwrap_or(now), |issue| issue.first_seen),
                last_seen: event.last_incident_time.unwrap_or(now),
                is_muted: event.is_muted,
            };
            if standing == Some(&next) {
                return Change::Keep;
            }
            let was_open = standing.is_some_and(|issue| issue.status == IssueStatus::Ongoing);
            let is_open = next.status == IssueStatus::Ongoing;
            turned = match (was_open, is_open) {
                (false, true) => Some(EventKind::IssueOpened),
                (true, false) => Some(EventKind::IssueResolved),
                _ => None,
            };
            account.issues.insert(event.issue_id.clone(), next);
            forget_old_issues(account);
            account.updated_at = now;
            Change::Write
        })
        .await?;
    let (Some(account), Some(kind)) = (noted, turned) else { return Ok(()) };
    let detail = serde_json::to_value(event.kind).unwrap_or_default();
    add_event(worker, &account, &Event::new(now, kind, SYSTEM).with("kind", detail)).await?;
    // An issue often comes with a changed status, and a resolved one with data that can be read again.
    account_sync::hinted(worker, account, Ask::StatusAndAccount, invocation).await
}

/// How many resolved issues a row keeps; the timeline has them all.
const RESOLVED_KEPT: usize = 20;

fn forget_old_issues(account: &mut LinkedAccount) {
    let resolved = account.issues.iter().filter(|(_, issue)| issue.status == IssueStatus::Resolved);
    let mut resolved: Vec<_> = resolved.map(|(id, issue)| (issue.last_seen, id.clone())).collect();
    resolved.sort_unstable();
    let surplus = resolved.len().saturating_sub(RESOLVED_KEPT);
    for (_, id) in resolved.into_iter().take(surplus) {
        account.issues.remove(&id);
    }
}

async fn known(worker: &Worker, merge_id: &MergeLinkedAccountId) -> Result<Option<LinkedAccount>, WorkError> {
    let account = worker.store.account_of(merge_id).await?;
    if account.is_none() {
        telemetry::count_by(Metric::WebhookIgnored, "unknown_account", 1);
    }
    Ok(account)
}
