//! What is known: whether a hint or a poll can lead to anything, so that Merge is not asked for what it has just said,
//! and not at all while it wants to be left alone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::{
    domain::{
        account::{AccountStatus, LinkedAccount},
        endpoint::{Endpoint, Rule},
        issue::Issue,
        sync_status::{SyncStatus, pair},
        window::Checkpoint,
    },
    store::status::StoredSyncStatus,
    telemetry::{self, Metric},
};

use super::{WorkError, Worker, account_sync::Ask};

/// An answer of Merge's of this age is as good as a new one, if it says enough.
const RECENT: Duration = Duration::from_secs(60);

/// A webhook should have told of a sync by now.
const WEBHOOK_TAKES: Duration = Duration::from_secs(10 * 60);

/// What a hint has to ask of Merge. `None`: nothing, not even of our own rows. `finished`: when each model's sync
/// finished.
pub async fn of_hint(
    worker: &Worker,
    account: &LinkedAccount,
    models: &[String],
    finished: &BTreeMap<String, Timestamp>,
) -> Result<Option<Ask>, WorkError> {
    if is_held(worker, account) {
        telemetry::count_by(Metric::LookSkipped, "held", 1);
        return Ok(None);
    }
    if account.status != AccountStatus::Complete {
        // Something new to read, where nothing was expected: somebody may have relinked the account, and elsewhere.
        return Ok(Some(Ask::StatusAndAccount));
    }
    // A sync that brings something while an issue is open may be the first since it was resolved: the webhook that said
    // so may be lost.
    let fresh = match account.issues.values().any(Issue::is_open) {
        true => Ask::StatusAndAccount,
        false => Ask::Status,
    };
    let told: Option<Vec<(&Endpoint, Timestamp)>> = models
        .iter()
        .map(|model| {
            let endpoint = Endpoint::of_model(account.category, model).filter(|e| e.rule() == Rule::Windows)?;
            Some((endpoint, *finished.get(model)?))
        })
        .collect();
    let Some(told) = told.filter(|told| !told.is_empty()) else { return Ok(Some(fresh)) };
    let checkpoints = worker.store.checkpoints(account.id).await?;
    let read = |(endpoint, at): &(&Endpoint, Timestamp)| {
        let checkpoint = checkpoints.get(&endpoint.slug());
        checkpoint.is_some_and(|c| c.window.is_none() && c.upper.is_some_and(|upper| upper >= *at))
    };
    if told.iter().all(read) {
        telemetry::count_by(Metric::LookSkipped, "hint", 1);
        return Ok(None);
    }
    let stored = worker.store.sync_status(account.id).await?;
    let says = |(endpoint, at): &(&Endpoint, Timestamp)| {
        let rows = stored.iter().flat_map(|stored| &stored.rows);
        let mut rows = rows.filter(|row| row.endpoint(account.category) == Some(*endpoint));
        rows.any(|row| row.last_sync_finished.is_some_and(|finished| finished >= *at))
    };
    let enough = is_recent(worker, stored.as_ref()) && told.iter().all(says);
    Ok(Some(if enough { Ask::Stored } else { fresh }))
}

/// Merge asked to be left alone, or is out; the wake that was set looks again.
fn is_held(worker: &Worker, account: &LinkedAccount) -> bool {
    // A wake that is set for broken lists alone holds up no other.
    account.facts.unreadable.is_empty() && account.due.wakes_after(worker.settings.clock.minute(worker.now()))
}

fn is_recent(worker: &Worker, stored: Option<&StoredSyncStatus>) -> bool {
    stored.is_some_and(|stored| before(worker, RECENT) < stored.read_at)
}

/// A poll comes right after a webhook led to everything there is, and nobody has asked for more.
pub fn poll_is_needless(
    worker: &Worker,
    account: &LinkedAccount,
    stored: Option<&StoredSyncStatus>,
    checkpoints: &HashMap<String, Checkpoint>,
) -> bool {
    let Some(stored) = stored.filter(|stored| is_recent(worker, Some(stored))) else { return false };
    let well = account.status == AccountStatus::Complete && account.facts.trouble.is_none();
    let all_read = pair(&stored.rows, account.category, &worker.settings.models.filter).into_iter().all(|(e, row)| {
        let checkpoint = checkpoints.get(&e.slug());
        let open = checkpoint.is_some_and(|checkpoint| checkpoint.window.is_some());
        !open && row.readable(checkpoint.and_then(|checkpoint| checkpoint.upper)).is_none()
    });
    well && account.facts.initial_sync_completed && account.facts.standing_full_read().is_none() && all_read
}

/// Whether Merge finished a sync, some while ago, that nothing has led us to.
pub fn was_missed(
    worker: &Worker,
    account: &LinkedAccount,
    rows: &[SyncStatus],
    checkpoints: &HashMap<String, Checkpoint>,
) -> bool {
    let told_by = before(worker, WEBHOOK_TAKES);
    pair(rows, account.category, &worker.settings.models.filter).into_iter().any(|(endpoint, row)| {
        let upper = checkpoints.get(&endpoint.slug()).and_then(|checkpoint| checkpoint.upper);
        let finished = upper.and_then(|upper| row.readable(Some(upper)));
        endpoint.rule() == Rule::Windows && finished.is_some_and(|finished| finished < told_by)
    })
}

/// The time that lay so far back on the schedule's clock.
pub fn before(worker: &Worker, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(worker.settings.clock.real(span)).unwrap_or(SignedDuration::MAX);
    worker.now().checked_sub(span).unwrap_or(Timestamp::MIN)
}
