//! The census: compares Merge's list of accounts with ours, both ways, at a hundredth of a call per account. What Merge
//! has and we have not is billed and serves nobody; what we have and Merge has not is looked at again before it counts
//! as gone.
//!
//! It changes no account but for the note that it was missing, or that its system is not offered any more: where
//! Merge's word differs from ours, a poll of the account is queued, and the poll decides. No table is scanned: our
//! accounts are read from the slots of the time wheel, in which every connected account has its place.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    domain::{
        account::AccountStatus,
        ids::MergeLinkedAccountId,
        message::{AccountRef, CensusStep, Message, Work},
        schedule::{self, PollClass},
    },
    merge::{Cursor, ErrorKind, ListedAccount, MergeError, TestAccounts},
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
        tick::Due,
    },
    telemetry::{self, Metric},
};

use super::{Invocation, WorkError, Worker, absence::MISSING_FOR, announce::add_event, known};

/// Accounts that one call of Merge's list tells about.
const PAGE: usize = 100;
/// Owner rows read at once.
const READS_AT_ONCE: usize = 16;

/// Goes on with the census from `step` until it is done, the time is up, or Merge does not serve us: the next
/// invocation goes on from there.
pub async fn take(worker: &Worker, minute: i64, step: CensusStep, invocation: &Invocation) -> Result<(), WorkError> {
    let census = Census { worker, minute, offered: catalogue(worker).await };
    let mut next = Some(step.clone());
    let begun = step;
    while let Some(step) = next {
        if invocation.time_is_up() {
            worker.queue.send(&Message::census(minute, step)).await?;
            return Ok(());
        }
        next = match census.step(&step).await {
            Ok(next) => next,
            Err(WorkError::Merge(error)) if matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Unavailable) => {
                if step == begun {
                    return Err(WorkError::NotNow(error));
                }
                // What is done is not done again: the rest waits for Merge as a message of its own.
                worker.queue.send(&Message::census(minute, step)).await?;
                return Ok(());
            }
            // Half a census says nothing wrong; the next one is whole.
            Err(WorkError::Merge(error)) => {
                tracing::warn!(error = telemetry::chain(&error), "the census ends early");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
    }
    tracing::info!(minute, "the census is complete");
    Ok(())
}

/// Slugs of the integrations that Merge offers; `None` when that cannot be known.
pub async fn catalogue(worker: &Worker) -> Option<BTreeSet<String>> {
    match worker.merge.integrations().await {
        Ok(offered) if !offered.is_empty() => Some(offered.into_iter().map(|entry| entry.slug).collect()),
        Ok(_) => None,
        Err(error) => {
            tracing::info!(error = telemetry::chain(&error), "the catalogue is not known");
            None
        }
    }
}

struct Census<'a> {
    worker: &'a Worker,
    minute: i64,
    offered: Option<BTreeSet<String>>,
}

impl Census<'_> {
    /// One step, and which one follows.
    async fn step(&self, step: &CensusStep) -> Result<Option<CensusStep>, WorkError> {
        match step {
            CensusStep::Theirs { tests, cursor } => self.theirs(*tests, cursor.as_deref()).await,
            CensusStep::Ours { slot, after } => self.ours(*slot, after.as_ref()).await,
        }
    }

    /// A page of Merge's list: whose accounts are they?
    async fn theirs(&self, tests: bool, cursor: Option<&str>) -> Result<Option<CensusStep>, WorkError> {
        let half = if tests { TestAccounts::Only } else { TestAccounts::Exclude };
        let cursor: Option<Cursor> = cursor.and_then(|cursor| Cursor::parse(cursor).ok().flatten());
        let (listed, next) = self.worker.merge.linked_accounts(half, cursor.as_ref()).await?;
        // What was never finished is not billed, and is an attempt of ours or nobody's.
        let finished = listed.iter().filter(|listed| listed.status != AccountStatus::Incomplete);
        let owned = stream::iter(finished)
            .map(|listed| async move { Ok::<_, WorkError>((listed, self.worker.store.owner(&listed.merge_id).await?)) })
            .buffer_unordered(READS_AT_ONCE);
        let owned: Vec<_> = owned.try_collect().await?;
        for (listed, _) in owned.iter().filter(|(_, owner)| owner.is_none()) {
            telemetry::count_by(Metric::CensusOrphan, "only_at_merge", 1);
            tracing::warn!(merge_id = %listed.merge_id, "Merge has an account that is nobody's here");
            self.worker.bus.put_orphan(&listed.merge_id, listed.category).await;
        }
        Ok(Some(match next {
            Some(next) => CensusStep::Theirs { tests, cursor: Some(next.as_str().to_owned()) },
            None if !tests => CensusStep::Theirs { tests: true, cursor: None },
            None => CensusStep::Ours { slot: 0, after: None },
        }))
    }

    /// A page of a slot of the wheel: does Merge still have these accounts, and as we know them?
    async fn ours(
        &self,
        slot: usize,
        after: Option<&BTreeMap<String, String>>,
    ) -> Result<Option<CensusStep>, WorkError> {
        let Some((class, key)) = schedule::slot(slot) else { return Ok(None) };
        // With the key of another environment every account would be missing.
        if (slot, after) == (0, None) && !self.worker.merge.has_linked_accounts().await? {
            telemetry::count_by(Metric::MergeAccountsMissing, "all", 1);
            tracing::error!("Merge lists no account at all; the census ends");
            return Ok(None);
        }
        let page = self.worker.store.due(&key, after, PAGE).await?;
        let ours: BTreeMap<MergeLinkedAccountId, AccountRef> = page
            .due
            .into_iter()
            .filter_map(|due| match due {
                Due::Account { of, merge_id } => Some((merge_id, of)),
                Due::Parked(_) | Due::Pending(_) => None,
            })
            .collect();
        let listed = self.listed(&ours).await?;
        for (merge_id, of) in &ours {
            match listed.get(merge_id) {
                None => self.missing(merge_id, of).await?,
                Some(listed) => self.compare(class, listed, of).await?,
            }
        }
        let next = match page.next {
            Some(after) => CensusStep::Ours { slot, after: Some(after) },
            None => CensusStep::Ours { slot: slot + 1, after: None },
        };
        Ok(Some(next))
    }

    /// What Merge's list says of these accounts, in both of its halves.
    async fn listed(
        &self,
        ours: &BTreeMap<MergeLinkedAccountId, AccountRef>,
    ) -> Result<BTreeMap<MergeLinkedAccountId, ListedAccount>, MergeError> {
        let mut found = BTreeMap::new();
        for half in [TestAccounts::Exclude, TestAccounts::Only] {
            let wanted: Vec<&MergeLinkedAccountId> = ours.keys().filter(|id| !found.contains_key(*id)).collect();
            if wanted.is_empty() {
                break;
            }
            let listed = self.worker.merge.listed(half, &wanted).await?;
            found.extend(listed.into_iter().map(|listed| (listed.merge_id.clone(), listed)));
        }
        Ok(found)
    }

    /// The slot tells how we know the account: those that Merge does not sync are looked at once a day.
    async fn compare(&self, class: PollClass, listed: &ListedAccount, of: &AccountRef) -> Result<(), WorkError> {
        let resting = matches!(listed.status, AccountStatus::RelinkNeeded | AccountStatus::Idle);
        if resting != (class == PollClass::Daily) {
            let work = Work::Poll { of: of.clone(), minute: self.minute };
            self.worker.queue.send(&Message::new(listed.merge_id.clone(), work)).await?;
        }
        let slug = &listed.integration.slug;
        let withdrawn = self.offered.as_ref().is_some_and(|offered| !slug.is_empty() && !offered.contains(slug));
        if withdrawn {
            let now = self.worker.now();
            let noted = self.worker.store.change_account(&of.organization, of.account, |account| {
                if account.notes.unavailable_since.is_some() || !account.status.connected() {
                    return Change::Keep;
                }
                account.notes.unavailable_since = Some(now);
                account.updated_at = now;
                Change::Write
            });
            noted.await?;
        }
        Ok(())
    }

    /// Merge's list does not have the account. The second time it is treated as if a webhook had said so, which
    /// verifies it.
    async fn missing(&self, merge_id: &MergeLinkedAccountId, of: &AccountRef) -> Result<(), WorkError> {
        let (worker, now) = (self.worker, self.worker.now());
        let (mut first, mut again) = (false, false);
        let account = worker.store.change_account(&of.organization, of.account, |account| {
            let since = account.deletion.missing_since;
            first = since.is_none() && account.status.connected();
            again =
                since.is_some_and(|since| since <= known::before(worker, MISSING_FOR)) && account.status.connected();
            if !first {
                return Change::Keep;
            }
            account.deletion.missing_since = Some(now);
            Change::Write
        });
        let Some(account) = account.await? else { return Ok(()) };
        if first {
            telemetry::count_by(Metric::CensusOrphan, "only_here", 1);
            tracing::warn!(account = %account.id, "Merge's list does not have an account of ours; the next census decides");
            add_event(worker, &account, &Event::new(now, EventKind::Missing, SYSTEM)).await?;
        }
        if again {
            worker.queue.send(&Message::new(merge_id.clone(), Work::Deleted {})).await?;
        }
        Ok(())
    }
}
