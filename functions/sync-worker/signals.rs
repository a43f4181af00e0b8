//! What webhooks say: somebody linked, something became readable, an issue opened or closed, an account is gone. Each
//! is checked against Merge or merely noted; none is believed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::{
    domain::{
        account::{AccountStatus, LinkedAccount},
        ids::MergeLinkedAccountId,
        issue,
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
    announce::{add_event, announce, tell},
    census, known,
    state::{Findings, set_status},
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

/// `sync_completed`, `{Model}.synced` or a record event: looks at the account, if that can lead to anything. Unknown
/// accounts are counted and left, and one that Merge wants left alone is looked at by its wake.
pub async fn hint(
    worker: &Worker,
    merge_id: &MergeLinkedAccountId,
    models: &[String],
    finished: &BTreeMap<String, Timestamp>,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    let Some(account) = known(worker, merge_id).await? else { return Ok(()) };
    match known::of_hint(worker, &account, models, finished).await? {
        Some(ask) => account_sync::hinted(worker, account, ask, invocation).await,
        None => Ok(()),
    }
}

/// Asks with the key alone about the account: its issues; where somebody does not mind its duplicates, who they are;
/// and whether a system that was not offered any more is back.
/// What Merge does not answer now stays as it was.
pub async fn look_around(worker: &Worker, account: &LinkedAccount, findings: &mut Findings) {
    match worker.merge.issues(account.category, &account.merge_id).await {
        Ok(issues) => findings.issues = Some(issues),
        Err(error) => tracing::info!(error = telemetry::chain(&error), "the account's issues are not known"),
    }
    if account.notes.unavailable_since.is_some() {
        let slug = &account.integration.slug;
        findings.offered_again = census::catalogue(worker).await.is_some_and(|offered| offered.contains(slug));
    }
    let duplicate = findings.details.as_ref().is_some_and(|details| details.is_duplicate == Some(true));
    if duplicate && account.duplicate_ignored {
        match worker.merge.duplicates(&account.merge_id).await {
            Ok(set) => findings.duplicates = Some(set),
            Err(error) => tracing::info!(error = telemetry::chain(&error), "the account's duplicates are not known"),
        }
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
        if !account.status.connected() || account.due.key != account.due.class {
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
            account.facts.trouble = None;
            account.due = super::deletion::resting_place(account.id);
            account.updated_at = now;
            Change::Write
        })
        .await?;
    if let Some(account) = account.filter(|_| left) {
        // The category is free for the next account at once.
        worker.store.free_slot(&account.organization, account.category, account.id).await?;
        add_event(worker, &account, &Event::new(now, EventKind::Disconnected, SYSTEM)).await?;
        tell(worker, &account).await?;
    }
    Ok(())
}

/// `Issue.*` of an account of ours: opens or closes the issue on its row.
pub async fn issue(
    worker: &Worker,
    account: LinkedAccount,
    event: &IssueEvent,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    let now = worker.now();
    let (mut before, mut turn) = (None, None);
    let noted = worker
        .store
        .change_account(&account.organization, account.id, |account| {
            let read = account.clone();
            turn = issue::note(&mut account.issues, event, now);
            if *account == read {
                return Change::Keep;
            }
            account.updated_at = now;
            before = Some(read);
            Change::Write
        })
        .await?;
    let (Some(account), Some(before), Some(turn)) = (noted, before, turn) else { return Ok(()) };
    announce(worker, &before, &account, &[turn]).await?;
    // An issue often comes with a changed status, and a resolved one with data that can be read again.
    account_sync::hinted(worker, account, Ask::StatusAndAccount, invocation).await
}

async fn known(worker: &Worker, merge_id: &MergeLinkedAccountId) -> Result<Option<LinkedAccount>, WorkError> {
    let account = worker.store.account_of(merge_id).await?;
    match &account {
        Some(account) => telemetry::about_account(&account.organization, account.id),
        None => telemetry::count_by(Metric::WebhookIgnored, "unknown_account", 1),
    }
    Ok(account)
}
