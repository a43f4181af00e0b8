//! A linked account: one connection of one organization to one system, as we hold it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    category::Category,
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    issue::Issue,
    origin::EndUserOriginId,
    schedule::Due,
    sync_status::Failing,
};

/// Merge's statuses, and two of ours (`DELETING`, `DELETED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountStatus {
    /// Reserved; the dialog was not finished.
    Incomplete,
    Complete,
    RelinkNeeded,
    /// No traffic for two weeks; Merge paused it.
    Idle,
    /// Being disconnected by its owner.
    Deleting,
    /// Gone at Merge's side; records are kept for a while.
    Deleted,
}

impl AccountStatus {
    /// Merge's spelling; a status Merge invents later counts as complete, because data may flow.
    pub fn of_merge(text: &str) -> Self {
        match text {
            "RELINK_NEEDED" => Self::RelinkNeeded,
            "IDLE" => Self::Idle,
            "INCOMPLETE" => Self::Incomplete,
            _ => Self::Complete,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Complete => "COMPLETE",
            Self::RelinkNeeded => "RELINK_NEEDED",
            Self::Idle => "IDLE",
            Self::Deleting => "DELETING",
            Self::Deleted => "DELETED",
        }
    }

    /// A person can use the connection: neither leaving nor gone.
    pub fn connected(self) -> bool {
        matches!(self, Self::Complete | Self::RelinkNeeded | Self::Idle)
    }
}

/// The system behind an account, as people know it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    pub name: String,
    pub slug: String,
    #[serde(default)]
    pub image: Option<String>,
    #[serde(default)]
    pub color: Option<String>,
}

/// A linked account after its exchange. Never serialised to a caller as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkedAccount {
    pub organization: OrganizationId,
    pub id: AccountId,
    pub category: Category,
    pub status: AccountStatus,
    /// When `status` last changed.
    pub status_since: Timestamp,
    pub merge_id: MergeLinkedAccountId,
    pub origin_id: EndUserOriginId,
    pub integration: Integration,
    /// KMS ciphertext of the account token.
    pub token: Vec<u8>,
    /// SHA-256 of the public token that was exchanged for it last, hexadecimal.
    pub public_token_hash: Option<String>,
    pub display_name: Option<String>,
    pub is_duplicate: Option<bool>,
    pub duplicate_ignored: bool,
    /// Open and recently resolved issues by Merge's issue id.
    pub issues: BTreeMap<String, Issue>,
    pub facts: SyncFacts,
    /// A relink completed at this time.
    pub relinked_at: Option<Timestamp>,
    pub notes: Notes,
    pub deletion: Deletion,
    /// Rises with each continuation of its sync.
    pub chain: u64,
    pub due: Due,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Rises with each write; a write over another version is refused.
    pub version: u64,
}

impl LinkedAccount {
    /// Names what a relink led to, while that holds deletions: whoever lets them go on has looked at this system of
    /// this organization, and means no other.
    pub fn held_for(&self) -> Option<String> {
        self.notes.deletions_held_since?;
        let organization = self.notes.end_user_organization.as_deref().unwrap_or_default();
        Some(fingerprint(&format!("{} {organization}", self.integration.slug)))
    }

    /// Lets deletions go on that a relink holds. What was held back is found by a full read, which is asked for here:
    /// the same write holds both. `false`: nothing is held, or by a relink that led elsewhere than to what was meant.
    pub fn release_deletions(&mut self, meant: &str, now: Timestamp) -> bool {
        if self.held_for().as_deref() != Some(meant) {
            return false;
        }
        self.notes.deletions_held_since = None;
        self.facts.ask_in_full(BTreeSet::new(), now);
        true
    }
}

/// What is kept about an account beside its syncs, so that nothing is told twice and nothing is forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// The host product was last told that somebody must act.
    pub told_action_needed: bool,
    /// The host product was told that the complete history is stored.
    pub told_first_sync: bool,
    /// Webhooks about the account arrive: one came at this time. `None` once a poll found what no webhook told.
    pub webhook_seen_at: Option<Timestamp>,
    /// Hash of the end user's organization as Merge has it.
    pub end_user_organization: Option<String>,
    /// A relink led to another system or organization: nothing is deleted until somebody says that it is meant so.
    pub deletions_held_since: Option<Timestamp>,
    /// Hashes of Merge's ids of the duplicates that are not minded.
    pub ignored_duplicates: BTreeSet<String>,
    /// Merge does not offer the integration any more.
    pub unavailable_since: Option<Timestamp>,
}

/// What stands for a name or an id that need not be known, only recognised.
pub fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text.trim().as_bytes());
    digest[..8].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// How far the deletion of an account has come, so that a crash repeats no call to Merge and skips no sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Merge has deleted it, or is certain to have it no more.
    #[serde(default)]
    pub gone_at_merge: bool,
    /// Merge's list did not have it at this time, nor since; no proof that it is gone before some time has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// The first sweep found nothing left at this time; the second looks again once every worker has ended.
    #[serde(default)]
    pub swept_at: Option<Timestamp>,
}

/// What the last finished work of the sync engine says about the account as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncFacts {
    /// Live records over all models.
    pub records: u64,
    pub initial_sync_completed: bool,
    /// Some model's last finished sync was partial.
    #[serde(default)]
    pub partial: bool,
    /// The oldest of the models' upper bounds: everything up to here is stored.
    pub data_fresh_as_of: Option<Timestamp>,
    pub last_successful_sync_at: Option<Timestamp>,
    /// Syncs of Merge's that fail, one after the other.
    #[serde(default)]
    pub failing: Option<Failing>,
    /// Merge has finished a sync since the last relink.
    #[serde(default)]
    pub synced_since_relink: bool,
    /// Trouble that the engine met and that is not over: a stable code such as `merge_unavailable`.
    #[serde(default)]
    pub trouble: Option<Trouble>,
    /// Lists that cannot be read to their end, by endpoint slug.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<String, UnreadableList>,
    /// The last full read that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_read: Option<FullRead>,
}

/// A list whose pages break Merge's contract. It is left alone for as long again as it has been broken, within bounds:
/// webhooks must not turn one broken list into a storm of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableList {
    pub since: Timestamp,
    /// Not asked for before this time, unless a person asks.
    pub retry_at: Timestamp,
}

impl UnreadableList {
    const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(60);
    const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

    /// The list was found broken at `now`; `before`: what was known until then.
    pub fn found(before: Option<&Self>, now: Timestamp) -> Self {
        let since = before.map_or(now, |before| before.since);
        let pause = now.duration_since(since).clamp(Self::SHORTEST_PAUSE, Self::LONGEST_PAUSE);
        Self { since, retry_at: now.checked_add(pause).unwrap_or(Timestamp::MAX) }
    }
}

/// A full read of all records that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullRead {
    /// Rises with each request. A list that has been read in full for this number is not read in full again; times
    /// would not tell, since the clock of whoever read may be ahead of the clock of whoever asked. Rows of releases
    /// that asked by time have none.
    #[serde(default)]
    pub number: u64,
    // So that a release from before the numbers reads it, too.
    #[serde(rename = "since")]
    pub asked_at: Timestamp,
    /// Endpoint slugs; empty: all.
    #[serde(default)]
    pub lists: BTreeSet<String>,
    /// Every list is through with it.
    #[serde(default)]
    pub over: bool,
}

impl SyncFacts {
    /// Asks for a full read of these lists, by endpoint slug; none: all. It stands until every list is through with it.
    /// `asked_at`: the request's own time, by which it is known when it comes twice. `false`: it was here last.
    pub fn ask_in_full(&mut self, mut lists: BTreeSet<String>, asked_at: Timestamp) -> bool {
        let last = self.full_read.take();
        if last.as_ref().is_some_and(|last| last.asked_at == asked_at) {
            self.full_read = last;
            return false;
        }
        // Whoever asked for all lists earlier gets them read in full once more with these.
        if let Some(standing) = last.as_ref().filter(|last| !last.over) {
            lists = match lists.is_empty() || standing.lists.is_empty() {
                true => BTreeSet::new(),
                false => &lists | &standing.lists,
            };
        }
        let number = last.map_or(0, |last| last.number) + 1;
        self.full_read = Some(FullRead { number, asked_at, lists, over: false });
        true
    }

    /// The full read that was asked for and is not over.
    pub fn standing_full_read(&self) -> Option<&FullRead> {
        self.full_read.as_ref().filter(|read| !read.over)
    }

    /// For which request an endpoint is to be read in full, if any.
    pub fn full_read_of(&self, slug: &str) -> Option<u64> {
        let read = self.standing_full_read()?;
        (read.lists.is_empty() || read.lists.contains(slug)).then_some(read.number)
    }

    /// Merge refuses the account's token.
    pub fn token_refused(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.code == TroubleCode::AccountTokenRefused)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub code: TroubleCode,
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleCode {
    /// Merge does not answer, or answers with errors.
    MergeUnavailable,
    /// Merge refuses our API key.
    ApiKeyRefused,
    /// Merge refuses this account's token.
    AccountTokenRefused,
    /// The first sync failed or was paused at Merge.
    FirstSyncFailed,
    /// A sync of Merge's has been running for too long.
    SyncTimeout,
    /// Merge's answers break the contract (repeated cursors, oversized pages).
    ContractBroken,
    /// Deletion waits for Merge.
    DeleteBlocked,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// A clock that is behind asks for as much as one that is not.
    #[test]
    fn each_request_for_a_full_read_has_a_number_of_its_own() {
        let mut facts = SyncFacts::default();
        assert!(facts.ask_in_full(["hris.teams".to_owned()].into(), at(50)));
        assert!(!facts.ask_in_full(["hris.teams".to_owned()].into(), at(50)), "its message came twice");
        assert_eq!((facts.full_read_of("hris.teams"), facts.full_read_of("hris.groups")), (Some(1), None));
        assert!(facts.ask_in_full(["hris.groups".to_owned()].into(), at(20)));
        assert_eq!((facts.full_read_of("hris.teams"), facts.full_read_of("hris.groups")), (Some(2), Some(2)));
        facts.full_read = facts.full_read.map(|read| FullRead { over: true, ..read });
        assert_eq!(facts.full_read_of("hris.teams"), None);
        assert!(!facts.ask_in_full(["hris.groups".to_owned()].into(), at(20)), "nor once it is over");
        assert!(facts.ask_in_full(BTreeSet::new(), at(70)));
        assert_eq!((facts.full_read_of("hris.teams"), facts.full_read_of("crm.leads")), (Some(3), Some(3)));
    }

    #[test]
    fn a_full_read_asked_for_by_time_still_stands() {
        let read: FullRead = serde_json::from_str(r#"{"since":"2026-11-26T06:02:43Z","lists":[]}"#).unwrap();
        let facts = SyncFacts { full_read: Some(read), ..SyncFacts::default() };
        assert_eq!(facts.full_read_of("hris.teams"), Some(0), "which is more than none");
        let written = serde_json::to_value(&facts.full_read).unwrap();
        assert_eq!(written["since"], "2026-11-26T06:02:43Z", "and such a release reads ours");
    }
}
