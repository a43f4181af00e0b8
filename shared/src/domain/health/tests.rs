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
    check(|a| a.notes.unavailable_since = Some(at(5)), ActionNeeded, Some(Reason::IntegrationUnavailable), Operator);
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
