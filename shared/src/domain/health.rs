//! Health: what a connection's stored facts mean for the people who depend on it: its state, the reason, who can do
//! something about it, and what they can press. A pure function: nothing shown is not explained by a stored fact.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::account::{AccountStatus, Issue, IssueKind, IssueStatus, LinkedAccount, TroubleCode};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// The dialog has not been finished.
    Connecting,
    FirstSync,
    Healthy,
    /// Works in part, or will heal by itself.
    Degraded,
    /// Somebody must do something.
    ActionNeeded,
    Paused,
    Disconnecting,
    Disconnected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    NotFinished,
    Abandoned,
    BadApiKey,
    InvalidCredentials,
    MfaExpired,
    MissingPermissions,
    ApiError,
    ProviderOffline,
    Checking,
    Partial,
    FirstSyncFailed,
    Idle,
    Duplicate,
    RelinkNeeded,
    RelinkIneffective,
    MergeUnavailable,
    InternalError,
}

/// Who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The person who connects systems.
    EndUser,
    /// The administrator of the connected system.
    ProviderAdmin,
    /// The engineers who run Tether.
    Operator,
    Nobody,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub state: HealthState,
    pub reason: Option<Reason>,
    pub actor: Actor,
    pub can_refresh: bool,
    pub can_reconnect: bool,
    pub since: Timestamp,
}

/// How long a reservation counts as being worked on.
pub const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(4);

/// How long after a completed relink the need for one is still put down to Merge catching up.
const RELINK_TAKES_EFFECT: SignedDuration = SignedDuration::from_hours(24);

/// Health of a reservation that was not exchanged yet.
pub fn of_pending(reserved_at: Timestamp, now: Timestamp) -> Health {
    let abandoned = now.duration_since(reserved_at) >= ABANDONED_AFTER;
    Health {
        state: HealthState::Connecting,
        reason: Some(if abandoned { Reason::Abandoned } else { Reason::NotFinished }),
        actor: Actor::EndUser,
        can_refresh: false,
        can_reconnect: false,
        since: reserved_at,
    }
}

/// Health of a linked account.
pub fn of_account(account: &LinkedAccount, now: Timestamp) -> Health {
    let (state, reason, actor, since) = judge(account, now);
    let connected = account.status.connected();
    Health { state, reason, actor, can_refresh: connected, can_reconnect: connected, since }
}

fn judge(account: &LinkedAccount, now: Timestamp) -> (HealthState, Option<Reason>, Actor, Timestamp) {
    use Actor::*;
    use HealthState::*;

    let since = account.status_since;
    match account.status {
        AccountStatus::Deleting => {
            let blocked = trouble(account, &[TroubleCode::DeleteBlocked]).map(|_| Reason::MergeUnavailable);
            return (Disconnecting, blocked, if blocked.is_some() { Operator } else { Nobody }, since);
        }
        AccountStatus::Deleted => return (Disconnected, None, EndUser, since),
        AccountStatus::Incomplete => return (Connecting, Some(Reason::NotFinished), EndUser, since),
        AccountStatus::RelinkNeeded => {
            let (reason, actor) = match account.relinked_at {
                // A relink while it was needed, and it still is.
                Some(at) if at >= since && now.duration_since(at) >= RELINK_TAKES_EFFECT => {
                    (Reason::RelinkIneffective, Operator)
                }
                _ => open_issue(account)
                    .and_then(|issue| needs_relink(issue.kind))
                    .map_or((Reason::RelinkNeeded, EndUser), |reason| (reason, EndUser)),
            };
            return (ActionNeeded, Some(reason), actor, since);
        }
        AccountStatus::Complete | AccountStatus::Idle => {}
    }
    if let Some(at) = trouble(account, &[TroubleCode::AccountTokenRefused]) {
        return (ActionNeeded, Some(Reason::RelinkNeeded), EndUser, at);
    }
    if let Some(at) = trouble(account, &[TroubleCode::FirstSyncFailed]) {
        return (ActionNeeded, Some(Reason::FirstSyncFailed), EndUser, at);
    }
    if let Some(issue) = open_issue(account) {
        let (state, reason, actor) = match issue.kind {
            IssueKind::BadApiKey => (ActionNeeded, Reason::BadApiKey, EndUser),
            IssueKind::InvalidLoginCredentials => (ActionNeeded, Reason::InvalidCredentials, EndUser),
            IssueKind::ExpiredMfa => (ActionNeeded, Reason::MfaExpired, EndUser),
            IssueKind::MissingPermissions => (ActionNeeded, Reason::MissingPermissions, ProviderAdmin),
            IssueKind::ThirdPartyOffline => (Degraded, Reason::ProviderOffline, Nobody),
            IssueKind::IssueTypePending => (Degraded, Reason::Checking, Nobody),
            IssueKind::ApiError | IssueKind::Other => (Degraded, Reason::ApiError, Operator),
        };
        return (state, Some(reason), actor, issue.first_seen);
    }
    if let Some(at) = trouble(account, &[TroubleCode::MergeUnavailable, TroubleCode::ApiKeyRefused]) {
        return (Degraded, Some(Reason::MergeUnavailable), Operator, at);
    }
    if let Some(at) = trouble(account, &[TroubleCode::ContractBroken]) {
        return (Degraded, Some(Reason::InternalError), Operator, at);
    }
    if account.status == AccountStatus::Idle {
        return (Paused, Some(Reason::Idle), EndUser, since);
    }
    if !account.facts.initial_sync_completed {
        let reason = account.facts.partial.then_some(Reason::Partial);
        return (FirstSync, reason, Nobody, account.created_at);
    }
    if account.facts.partial {
        return (Degraded, Some(Reason::Partial), Nobody, since);
    }
    if account.is_duplicate == Some(true) && !account.duplicate_ignored {
        return (Healthy, Some(Reason::Duplicate), EndUser, since);
    }
    (Healthy, None, Nobody, since)
}

fn trouble(account: &LinkedAccount, codes: &[TroubleCode]) -> Option<Timestamp> {
    account.facts.trouble.as_ref().filter(|t| codes.contains(&t.code)).map(|t| t.since)
}

/// The open issue that matters most: what a person must repair comes before what heals by itself.
fn open_issue(account: &LinkedAccount) -> Option<&Issue> {
    account.issues.values().filter(|i| i.status == IssueStatus::Ongoing && !i.is_muted).min_by_key(|i| i.kind)
}

fn needs_relink(kind: IssueKind) -> Option<Reason> {
    match kind {
        IssueKind::BadApiKey => Some(Reason::BadApiKey),
        IssueKind::InvalidLoginCredentials => Some(Reason::InvalidCredentials),
        IssueKind::ExpiredMfa => Some(Reason::MfaExpired),
        IssueKind::MissingPermissions => Some(Reason::MissingPermissions),
        _ => None,
    }
}

/// What one person reads about an issue: never the provider's own text.
pub fn message(kind: IssueKind) -> &'static str {
    match kind {
        IssueKind::BadApiKey => "The key for this system is no longer accepted. Relink the integration with a new key.",
        IssueKind::InvalidLoginCredentials => {
            "The login for this system is no longer accepted. Relink the integration with the current login."
        }
        IssueKind::ExpiredMfa => "The extra sign-in step has expired. Relink the integration to sign in again.",
        IssueKind::MissingPermissions => {
            "Some data may not be read with the permissions given. An administrator of the system can grant them."
        }
        IssueKind::ApiError | IssueKind::Other => "The system answered with an error. Our team has been told.",
        IssueKind::ThirdPartyOffline => "The system is not reachable at the moment. This usually resolves by itself.",
        IssueKind::IssueTypePending => "Something is not right; the cause is being determined.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        account::{Integration, SyncFacts, Trouble},
        category::Category,
        ids::{AccountId, MergeLinkedAccountId, OrganizationId},
        origin::EndUserOriginId,
        schedule::{Due, PollClass},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn account(change: impl FnOnce(&mut LinkedAccount)) -> LinkedAccount {
        let id = AccountId::new(Uuid::nil());
        let mut account = LinkedAccount {
            organization: OrganizationId::parse("org_acme").unwrap(),
            id,
            category: Category::Hris,
            status: AccountStatus::Complete,
            status_since: at(100),
            merge_id: MergeLinkedAccountId::parse("m").unwrap(),
            origin_id: EndUserOriginId::stored("o"),
            integration: Integration::default(),
            token: Vec::new(),
            public_token_hash: None,
            display_name: None,
            is_duplicate: None,
            duplicate_ignored: false,
            issues: BTreeMap::new(),
            facts: SyncFacts { initial_sync_completed: true, ..SyncFacts::default() },
            relinked_at: None,
            deletion: Default::default(),
            chain: 0,
            due: Due::every(PollClass::OneHour, id),
            created_by: "test".to_owned(),
            created_at: at(100),
            updated_at: at(100),
            version: 1,
        };
        change(&mut account);
        account
    }

    fn issue(kind: IssueKind, first_seen: i64) -> Issue {
        Issue {
            kind,
            status: IssueStatus::Ongoing,
            description: String::new(),
            first_seen: at(first_seen),
            last_seen: at(first_seen),
            is_muted: false,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut LinkedAccount), state: HealthState, reason: Option<Reason>, actor: Actor) {
        let health = of_account(&account(change), at(1_000));
        assert_eq!((health.state, health.reason, health.actor), (state, reason, actor));
    }

    #[test]
    fn each_fact_has_its_meaning() {
        use Actor::*;
        use HealthState::*;
        check(|_| {}, Healthy, None, Nobody);
        check(|a| a.facts.initial_sync_completed = false, FirstSync, None, Nobody);
        check(|a| a.facts.partial = true, Degraded, Some(Reason::Partial), Nobody);
        check(|a| a.status = AccountStatus::Idle, Paused, Some(Reason::Idle), EndUser);
        check(|a| a.status = AccountStatus::Deleting, Disconnecting, None, Nobody);
        check(|a| a.status = AccountStatus::Deleted, Disconnected, None, EndUser);
        check(|a| a.is_duplicate = Some(true), Healthy, Some(Reason::Duplicate), EndUser);
        check(|a| a.status = AccountStatus::RelinkNeeded, ActionNeeded, Some(Reason::RelinkNeeded), EndUser);
        let trouble = |code| Some(Trouble { code, since: at(5) });
        check(
            |a| a.facts.trouble = trouble(TroubleCode::FirstSyncFailed),
            ActionNeeded,
            Some(Reason::FirstSyncFailed),
            EndUser,
        );
        check(
            |a| a.facts.trouble = trouble(TroubleCode::MergeUnavailable),
            Degraded,
            Some(Reason::MergeUnavailable),
            Operator,
        );
    }

    #[test]
    fn what_a_person_must_repair_comes_first() {
        let health = of_account(
            &account(|a| {
                a.issues.insert("1".to_owned(), issue(IssueKind::ThirdPartyOffline, 10));
                a.issues.insert("2".to_owned(), issue(IssueKind::ExpiredMfa, 20));
            }),
            at(1_000),
        );
        assert_eq!((health.reason, health.since), (Some(Reason::MfaExpired), at(20)));
    }

    #[test]
    fn a_relink_that_changes_nothing_is_for_the_operator() {
        let day = 86_400;
        let relinked = account(|a| {
            a.status = AccountStatus::RelinkNeeded;
            a.relinked_at = Some(at(200));
        });
        assert_eq!(of_account(&relinked, at(200 + day - 1)).reason, Some(Reason::RelinkNeeded));
        assert_eq!(of_account(&relinked, at(200 + day)).reason, Some(Reason::RelinkIneffective));
        let needed_since = account(|a| {
            a.status = AccountStatus::RelinkNeeded;
            a.status_since = at(300);
            a.relinked_at = Some(at(200));
        });
        assert_eq!(of_account(&needed_since, at(300 + day)).reason, Some(Reason::RelinkNeeded), "an earlier relink");
    }

    #[test]
    fn a_reservation_is_abandoned_after_four_hours_and_only_in_words() {
        assert_eq!(of_pending(at(0), at(14_399)).reason, Some(Reason::NotFinished));
        assert_eq!(of_pending(at(0), at(14_400)).reason, Some(Reason::Abandoned));
    }
}
