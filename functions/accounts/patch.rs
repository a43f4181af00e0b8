//! Patches: what people say about an account themselves. Its name; that they know of its duplicates, or of an issue;
//! and that a relink to another system was meant so.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lambda_http::Request;
use shared::{
    ambient,
    api::{
        access,
        accounts::{AccountView, PatchAccount},
    },
    domain::{
        account::{LinkedAccount, fingerprint},
        ids::RequestedId,
        message::SyncMode,
    },
    http::{self, Answer, Caller, Code, Problem},
    store::{
        accounts::Change,
        events::{Event, EventKind},
        limits::Counter,
    },
};

use super::{Accounts, sync};

/// The longest name of an account, in characters.
const LONGEST_NAME: usize = 100;

/// What is to be different.
#[derive(Default)]
struct Wanted {
    name: Option<Option<String>>,
    duplicate_ignored: Option<bool>,
    /// Fingerprints of the duplicates as they stand.
    duplicates: BTreeSet<String>,
    acknowledged: Vec<String>,
    /// What the account leads to, if its deletions are to go on.
    meant: Option<String>,
}

/// `PATCH /v1/linked-accounts/{id}`.
pub async fn patch(
    accounts: &Accounts,
    caller: &Caller,
    id: RequestedId,
    request: &Request,
) -> Result<Answer, Problem> {
    // 1. What is asked for, of which account.
    let store = &accounts.linking.store;
    let patch: PatchAccount = http::body(request)?;
    let release = patch.deletions_held == Some(false);
    let mut wanted = Wanted::of(patch)?;
    let account = access::readable(store, &caller.organization, id).await?;
    let (id, now) = (account.id, ambient::now());
    accounts.count(caller, Counter::Patch).await?;
    // The same answer whatever the id: another account's issue is like none.
    if !wanted.acknowledged.iter().all(|issue| account.issues.contains_key(issue)) {
        return Err(Problem::invalid("acknowledge_issues names an issue that the account does not have."));
    }
    if wanted.duplicate_ignored == Some(true) && account.is_duplicate == Some(true) {
        let set = accounts.linking.merge.duplicates(&account.merge_id).await?;
        wanted.duplicates = set.iter().map(|merge_id| fingerprint(merge_id.as_str())).collect();
    }

    if release && wanted.meant.is_none() {
        wanted.meant = account.held_for();
    }

    // 2. Change what differs, all of it or nothing, and say what that was.
    let mut happened = Ok(Vec::new());
    let account = store.change_account(&caller.organization, id, |account| {
        happened = wanted.apply(account, &caller.subject, now);
        if happened.as_ref().map_or(true, Vec::is_empty) {
            return Change::Keep;
        }
        account.updated_at = now;
        Change::Write
    });
    let account = account.await?.ok_or_else(Problem::not_found)?;
    for event in &happened? {
        store.add_event(id, event, ambient::uuid(), accounts.retention.history).await?;
    }

    // 3. What was held back meanwhile is found by reading everything again. A poll would do it, too; this makes it
    //    soon, and a repeat makes up for a message that was not queued.
    if let Some(read) = account.facts.standing_full_read().filter(|_| release) {
        sync::send(accounts, &account, SyncMode::Full, Vec::new(), read.asked_at, ambient::uuid()).await?;
    }
    http::ok(&AccountView::of_account(&account, now))
}

impl Wanted {
    fn of(patch: PatchAccount) -> Result<Self, Problem> {
        let trimmed = |name: String| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        let name = patch.display_name.map(|name| name.and_then(trimmed));
        if let Some(Some(name)) = &name
            && (name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control))
        {
            return Err(Problem::invalid("display_name has at most 100 characters and no line breaks."));
        }
        if patch.deletions_held == Some(true) {
            return Err(Problem::invalid("deletions_held can only be set to false."));
        }
        if patch.deletions_held_for.is_some() && patch.deletions_held.is_none() {
            return Err(Problem::invalid("deletions_held_for says what deletions_held is set to false for."));
        }
        Ok(Self {
            name,
            duplicate_ignored: patch.duplicate_ignored,
            duplicates: BTreeSet::new(),
            acknowledged: patch.acknowledge_issues.unwrap_or_default(),
            meant: patch.deletions_held_for,
        })
    }

    /// Changes what differs; the events. 409 if the account leads elsewhere than to what is meant: it is not to be
    /// written.
    fn apply(&self, account: &mut LinkedAccount, subject: &str, now: Timestamp) -> Result<Vec<Event>, Problem> {
        let event = |kind| Event::new(now, kind, subject);
        let mut happened = Vec::new();
        if let Some(name) = self.name.as_ref().filter(|name| **name != account.display_name) {
            account.display_name.clone_from(name);
            happened.push(event(EventKind::Renamed));
        }
        if let Some(ignored) = self.duplicate_ignored {
            if ignored != account.duplicate_ignored {
                happened.push(event(EventKind::DuplicateIgnored).with("ignored", ignored));
            }
            account.duplicate_ignored = ignored;
            account.notes.ignored_duplicates = if ignored { self.duplicates.clone() } else { BTreeSet::new() };
        }
        for id in &self.acknowledged {
            if let Some(issue) = account.issues.get_mut(id)
                && issue.acknowledge(now)
            {
                happened.push(event(EventKind::IssueAcknowledged).with("kind", issue.kind.word()));
            }
        }
        if let Some(meant) = self.meant.as_ref().filter(|_| account.held_for().is_some()) {
            if !account.release_deletions(meant, now) {
                return Err(Problem::new(
                    Code::Conflict,
                    "A relink has led elsewhere since; look at the account again.",
                ));
            }
            happened.push(event(EventKind::DeletionsReleased));
        }
        Ok(happened)
    }
}
