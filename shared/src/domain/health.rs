//! Health: what a connection's stored facts mean for the people who depend on it: its state, the reason, who can do
//! something about it, and what they can press. A pure function: nothing shown is not explained by a stored fact.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::account::{AccountStatus, LinkedAccount, TroubleCode};
use super::issue::{Issue, IssueKind};

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

/// Why. `docs/health.md` says how each comes about.
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
    SyncTimeout,
    ContinuedFailures,
    Idle,
    IntegrationUnavailable,
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

/// Syncs that have failed so often, and for so long, are not expected to succeed by themselves.
const FAILURES: u32 = 3;
const FAILING_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Health of a linked account.
pub fn of_account(account: &LinkedAccount, now: Timestamp) -> Health {
    let (state, reason, actor, since) = judge(account, now);
    let can_reconnect = account.status.connected();
    // Where every sync fails, or the system is not offered any more, another one does not help.
    let hopeless = matches!(reason, Some(Reason::ContinuedFailures | Reason::IntegrationUnavailable));
    Health { state, reason, actor, can_refresh: can_reconnect && !hopeless, can_reconnect, since }
}

type Judgement = (HealthState, Option<Reason>, Actor, Timestamp);

fn judge(account: &LinkedAccount, now: Timestamp) -> Judgement {
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
        AccountStatus::RelinkNeeded => return relink_needed(account, now),
        AccountStatus::Complete | AccountStatus::Idle => {}
    }
    let issue = open_issue(account).map(|issue| (of_issue(issue.kind), issue.first_seen));
    needs_a_person(account, issue, now)
        .or_else(|| issue.map(|((state, reason, actor), since)| (state, Some(reason), actor, since)))
        .or_else(|| works_in_part(account))
        .unwrap_or_else(|| works(account))
}

fn relink_needed(account: &LinkedAccount, now: Timestamp) -> Judgement {
    let since = account.status_since;
    // A relink while it was needed, and it still is.
    let relinked = account.relinked_at.filter(|at| *at >= since);
    let ineffective =
        |at: Timestamp| account.facts.synced_since_relink || now.duration_since(at) >= RELINK_TAKES_EFFECT;
    if relinked.is_some_and(ineffective) {
        return (HealthState::ActionNeeded, Some(Reason::RelinkIneffective), Actor::Operator, since);
    }
    let known = open_issue(account).and_then(|issue| match of_issue(issue.kind) {
        (HealthState::ActionNeeded, reason, _) => Some(reason),
        _ => None,
    });
    (HealthState::ActionNeeded, Some(known.unwrap_or(Reason::RelinkNeeded)), Actor::EndUser, since)
}

/// What an open issue means while the account is otherwise well.
fn of_issue(kind: IssueKind) -> (HealthState, Reason, Actor) {
    use Actor::*;
    use HealthState::*;
    match kind {
        IssueKind::BadApiKey => (ActionNeeded, Reason::BadApiKey, EndUser),
        IssueKind::InvalidLoginCredentials => (ActionNeeded, Reason::InvalidCredentials, EndUser),
        IssueKind::ExpiredMfa => (ActionNeeded, Reason::MfaExpired, EndUser),
        IssueKind::MissingPermissions => (ActionNeeded, Reason::MissingPermissions, ProviderAdmin),
        IssueKind::ThirdPartyOffline => (Degraded, Reason::ProviderOffline, Nobody),
        IssueKind::IssueTypePending => (Degraded, Reason::Checking, Nobody),
        IssueKind::ApiError | IssueKind::Other => (Degraded, Reason::ApiError, Operator),
    }
}

/// What goes on until somebody does something.
fn needs_a_person(
    account: &LinkedAccount,
    issue: Option<((HealthState, Reason, Actor), Timestamp)>,
    now: Timestamp,
) -> Option<Judgement> {
    use Actor::*;
    let needed = |reason, actor, since| Some((HealthState::ActionNeeded, Some(reason), actor, since));
    if let Some(at) = trouble(account, &[TroubleCode::AccountTokenRefused]) {
        return needed(Reason::RelinkNeeded, EndUser, at);
    }
    if let Some(((HealthState::ActionNeeded, reason, actor), since)) = issue {
        return needed(reason, actor, since);
    }
    if let Some(at) = account.notes.unavailable_since {
        return needed(Reason::IntegrationUnavailable, Operator, at);
    }
    let for_long = |since| now.duration_since(since) >= FAILING_FOR;
    if let Some(failing) = account.facts.failing.as_ref().filter(|f| f.count >= FAILURES && for_long(f.since)) {
        return needed(Reason::ContinuedFailures, EndUser, failing.since);
    }
    let at = trouble(account, &[TroubleCode::FirstSyncFailed])?;
    needed(Reason::FirstSyncFailed, EndUser, at)
}

/// What passes by itself, or for which our side is to blame.
fn works_in_part(account: &LinkedAccount) -> Option<Judgement> {
    use Actor::*;
    let degraded = |reason, actor, since| Some((HealthState::Degraded, Some(reason), actor, since));
    if let Some(at) = trouble(account, &[TroubleCode::MergeUnavailable, TroubleCode::ApiKeyRefused]) {
        return degraded(Reason::MergeUnavailable, Operator, at);
    }
    if let Some(at) = trouble(account, &[TroubleCode::ContractBroken]) {
        return degraded(Reason::InternalError, Operator, at);
    }
    if account.status == AccountStatus::Idle {
        return Some((HealthState::Paused, Some(Reason::Idle), EndUser, account.status_since));
    }
    if let Some(at) = trouble(account, &[TroubleCode::SyncTimeout]) {
        return degraded(Reason::SyncTimeout, Operator, at);
    }
    if !account.facts.initial_sync_completed {
        let reason = account.facts.partial.then_some(Reason::Partial);
        return Some((HealthState::FirstSync, reason, Nobody, account.created_at));
    }
    if let Some(failing) = &account.facts.failing {
        return degraded(Reason::Partial, Nobody, failing.since);
    }
    account.facts.partial.then_some((HealthState::Degraded, Some(Reason::Partial), Nobody, account.status_since))
}

fn works(account: &LinkedAccount) -> Judgement {
    let duplicate = account.is_duplicate == Some(true) && !account.duplicate_ignored;
    let (reason, actor) = if duplicate { (Some(Reason::Duplicate), Actor::EndUser) } else { (None, Actor::Nobody) };
    (HealthState::Healthy, reason, actor, account.status_since)
}

fn trouble(account: &LinkedAccount, codes: &[TroubleCode]) -> Option<Timestamp> {
    account.facts.trouble.as_ref().filter(|t| codes.contains(&t.code)).map(|t| t.since)
}

/// The open issue that matters most: what a person must repair comes before what heals by itself.
fn open_issue(account: &LinkedAccount) -> Option<&Issue> {
    account.issues.values().filter(|issue| issue.is_open()).min_by_key(|issue| issue.kind)
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
        issue::{Details, IssueStatus},
        origin::EndUserOriginId,
        schedule::{Due, PollClass},
        sync_status::Failing,
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
            notes: Default::default(),
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
            details: Details::default(),
            first_seen: at(first_seen),
            last_seen: at(first_seen),
            resolved_at: None,
            acknowledged_at: None,
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
        check(
            |a| a.notes.unavailable_since = Some(at(5)),
            ActionNeeded,
            Some(Reason::IntegrationUnavailable),
            Operator,
        );
    }

    #[test]
    fn each_trouble_has_its_meaning() {
        use Actor::*;
        use HealthState::*;
        for (code, state, reason, actor) in [
            (TroubleCode::FirstSyncFailed, ActionNeeded, Reason::FirstSyncFailed, EndUser),
            (TroubleCode::AccountTokenRefused, ActionNeeded, Reason::RelinkNeeded, EndUser),
            (TroubleCode::MergeUnavailable, Degraded, Reason::MergeUnavailable, Operator),
            (TroubleCode::ApiKeyRefused, Degraded, Reason::MergeUnavailable, Operator),
            (TroubleCode::ContractBroken, Degraded, Reason::InternalError, Operator),
            (TroubleCode::SyncTimeout, Degraded, Reason::SyncTimeout, Operator),
        ] {
            check(|a| a.facts.trouble = Some(Trouble { code, since: at(5) }), state, Some(reason), actor);
        }
    }

    #[test]
    fn each_issue_has_its_meaning_and_none_once_it_is_acknowledged_or_muted() {
        use Actor::*;
        use HealthState::*;
        for (kind, state, reason, actor) in [
            (IssueKind::BadApiKey, ActionNeeded, Reason::BadApiKey, EndUser),
            (IssueKind::InvalidLoginCredentials, ActionNeeded, Reason::InvalidCredentials, EndUser),
            (IssueKind::ExpiredMfa, ActionNeeded, Reason::MfaExpired, EndUser),
            (IssueKind::MissingPermissions, ActionNeeded, Reason::MissingPermissions, ProviderAdmin),
            (IssueKind::ApiError, Degraded, Reason::ApiError, Operator),
            (IssueKind::ThirdPartyOffline, Degraded, Reason::ProviderOffline, Nobody),
            (IssueKind::IssueTypePending, Degraded, Reason::Checking, Nobody),
            (IssueKind::Other, Degraded, Reason::ApiError, Operator),
        ] {
            let open = |issue: Issue| move |a: &mut LinkedAccount| drop(a.issues.insert("i".to_owned(), issue));
            check(open(issue(kind, 10)), state, Some(reason), actor);
            check(open(Issue { acknowledged_at: Some(at(20)), ..issue(kind, 10) }), Healthy, None, Nobody);
            check(open(Issue { is_muted: true, ..issue(kind, 10) }), Healthy, None, Nobody);
            check(open(Issue { status: IssueStatus::Resolved, ..issue(kind, 10) }), Healthy, None, Nobody);
        }
    }

    #[test]
    fn failures_are_a_gap_at_first_and_hopeless_after_three_and_two_weeks() {
        let fortnight = 14 * 86_400;
        let health = |count, now| {
            let failing = Failing { count, since: at(10), last: at(20) };
            of_account(&account(|a| a.facts.failing = Some(failing)), at(now))
        };
        for (count, now) in [(1, 1_000), (3, 10 + fortnight - 1), (2, 10 + fortnight)] {
            let health = health(count, now);
            assert_eq!((health.reason, health.can_refresh), (Some(Reason::Partial), true), "{count} at {now}");
        }
        let hopeless = health(3, 10 + fortnight);
        assert_eq!((hopeless.state, hopeless.reason), (HealthState::ActionNeeded, Some(Reason::ContinuedFailures)));
        assert_eq!((hopeless.can_refresh, hopeless.can_reconnect), (false, true));
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
        let synced = account(|a| {
            a.status = AccountStatus::RelinkNeeded;
            a.relinked_at = Some(at(200));
            a.facts.synced_since_relink = true;
        });
        assert_eq!(of_account(&synced, at(300)).reason, Some(Reason::RelinkIneffective), "a further sync did not help");
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
