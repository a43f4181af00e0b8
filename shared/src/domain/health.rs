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
mod tests;
