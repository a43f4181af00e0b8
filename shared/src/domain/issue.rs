//! An issue: a problem that Merge reports about a linked account, kept on the account's row from the first word of it
//! to some time after its end. Webhooks tell of one issue at a time, polling gives all of them; both are taken up here,
//! and the same news twice is no news.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::message::IssueEvent;

/// A problem that Merge reports about an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    pub kind: IssueKind,
    pub status: IssueStatus,
    /// Merge's `error_description`, for the operator.
    pub description: String,
    /// Merge's `error_details`, for the operator.
    #[serde(default)]
    pub details: Details,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    #[serde(default)]
    pub resolved_at: Option<Timestamp>,
    /// Somebody has seen it and does not want to be told again, until it comes back.
    #[serde(default)]
    pub acknowledged_at: Option<Timestamp>,
    /// Muted in Merge's dashboard.
    #[serde(default)]
    pub is_muted: bool,
}

impl Issue {
    /// People are to be told.
    pub fn is_open(&self) -> bool {
        self.status == IssueStatus::Ongoing && !self.is_muted && self.acknowledged_at.is_none()
    }

    /// Somebody knows of it. `false`: there was nobody to be told.
    pub fn acknowledge(&mut self, now: Timestamp) -> bool {
        let open = self.is_open();
        if open {
            self.acknowledged_at = Some(now);
        }
        open
    }
}

/// What Merge says about an issue beyond its kind. It may quote other people's systems: it is stored for the operator,
/// and neither shown, logged nor queued.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details(pub Vec<String>);

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} details]", self.0.len())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IssueStatus {
    Ongoing,
    Resolved,
}

/// The kinds of issue that Merge describes, in the order in which they matter to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueKind {
    BadApiKey,
    InvalidLoginCredentials,
    ExpiredMfa,
    MissingPermissions,
    ApiError,
    ThirdPartyOffline,
    IssueTypePending,
    /// A description that we do not know; shown as a general error.
    Other,
}

impl IssueKind {
    /// Reads Merge's `error_description`. Its casing and wording vary between sources, so this looks for the
    /// words that tell the kinds apart.
    pub fn of_description(text: &str) -> Self {
        let text = text.to_ascii_lowercase().replace(['-', '_'], " ");
        let has = |words: &[&str]| words.iter().all(|w| text.contains(w));
        if has(&["api key"]) {
            Self::BadApiKey
        } else if has(&["multi", "factor"]) || has(&["mfa"]) {
            Self::ExpiredMfa
        } else if has(&["login"]) || has(&["invalid", "credential"]) {
            Self::InvalidLoginCredentials
        } else if has(&["permission"]) {
            Self::MissingPermissions
        } else if has(&["offline"]) {
            Self::ThirdPartyOffline
        } else if has(&["pending"]) {
            Self::IssueTypePending
        } else if has(&["api error"]) {
            Self::ApiError
        } else {
            Self::Other
        }
    }

    /// The word that the API and the timeline have for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::BadApiKey => "bad_api_key",
            Self::InvalidLoginCredentials => "invalid_login_credentials",
            Self::ExpiredMfa => "expired_mfa",
            Self::MissingPermissions => "missing_permissions",
            Self::ApiError => "api_error",
            Self::ThirdPartyOffline => "third_party_offline",
            Self::IssueTypePending => "issue_type_pending",
            Self::Other => "other",
        }
    }
}

/// How an issue turned, for the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Opened(IssueKind),
    Reopened(IssueKind),
    /// Its type was pending, or was corrected.
    Became {
        was: IssueKind,
        is: IssueKind,
    },
    Resolved(IssueKind),
}

/// Merge's list may be behind its own webhook: an issue that is younger than this is not over because the list lacks
/// it.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// How many resolved issues a row keeps; the timeline has them all.
const RESOLVED_KEPT: usize = 20;

/// Takes up what Merge says about one issue.
pub fn note(issues: &mut BTreeMap<String, Issue>, event: &IssueEvent, now: Timestamp) -> Option<Turn> {
    let standing = issues.get(&event.issue_id);
    let was_ongoing = standing.is_some_and(|issue| issue.status == IssueStatus::Ongoing);
    let is_ongoing = event.status == IssueStatus::Ongoing;
    let same_kind = standing.is_some_and(|issue| issue.kind == event.kind);
    let next = Issue {
        kind: event.kind,
        status: event.status,
        description: event.description.clone(),
        details: match standing {
            // Only polling brings details.
            Some(issue) if event.details.0.is_empty() => issue.details.clone(),
            _ => event.details.clone(),
        },
        first_seen: standing.map_or(event.first_incident_time.unwrap_or(now), |issue| issue.first_seen),
        last_seen: event.last_incident_time.or(standing.map(|issue| issue.last_seen)).unwrap_or(now),
        resolved_at: standing.and_then(|issue| issue.resolved_at).or(Some(now)).filter(|_| !is_ongoing),
        acknowledged_at: standing
            .and_then(|issue| issue.acknowledged_at)
            .filter(|_| was_ongoing && is_ongoing && same_kind && !event.reopened),
        is_muted: event.is_muted,
    };
    let turn = match (standing, was_ongoing, is_ongoing) {
        (None, _, true) => Some(Turn::Opened(next.kind)),
        (Some(_), false, true) => Some(Turn::Reopened(next.kind)),
        (Some(issue), true, true) if !same_kind => Some(Turn::Became { was: issue.kind, is: next.kind }),
        (_, true, false) => Some(Turn::Resolved(next.kind)),
        _ => None,
    };
    issues.insert(event.issue_id.clone(), next);
    forget_old(issues);
    turn
}

/// Takes up the complete list of an account's issues. One that is open here and not in it any more is over.
pub fn compare(issues: &mut BTreeMap<String, Issue>, listed: &[IssueEvent], now: Timestamp) -> Vec<Turn> {
    // Issues that were over before we ever heard of them are nobody's news.
    let news = |event: &&IssueEvent| event.status == IssueStatus::Ongoing || issues.contains_key(&event.issue_id);
    let listed_here: Vec<&IssueEvent> = listed.iter().filter(news).collect();
    let mut turns: Vec<Turn> = listed_here.into_iter().filter_map(|event| note(issues, event, now)).collect();
    for (id, issue) in issues.iter_mut() {
        let gone = issue.status == IssueStatus::Ongoing && !listed.iter().any(|event| event.issue_id == *id);
        if gone && now.duration_since(issue.last_seen) >= SETTLED {
            issue.status = IssueStatus::Resolved;
            issue.resolved_at = Some(now);
            issue.acknowledged_at = None;
            turns.push(Turn::Resolved(issue.kind));
        }
    }
    forget_old(issues);
    turns
}

fn forget_old(issues: &mut BTreeMap<String, Issue>) {
    let resolved = issues.iter().filter(|(_, issue)| issue.status == IssueStatus::Resolved);
    let mut resolved: Vec<_> = resolved.map(|(id, issue)| (issue.last_seen, id.clone())).collect();
    resolved.sort_unstable();
    let surplus = resolved.len().saturating_sub(RESOLVED_KEPT);
    for (_, id) in resolved.into_iter().take(surplus) {
        issues.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn event(id: &str, kind: IssueKind, status: IssueStatus, minute: i64) -> IssueEvent {
        IssueEvent {
            issue_id: id.to_owned(),
            status,
            kind,
            description: String::new(),
            details: Details::default(),
            first_incident_time: Some(at(minute)),
            last_incident_time: Some(at(minute)),
            reopened: false,
            is_muted: false,
        }
    }

    #[test]
    fn kinds_are_read_in_any_casing() {
        for (text, kind) in [
            ("Bad API Key", IssueKind::BadApiKey),
            ("BAD_API_KEY", IssueKind::BadApiKey),
            ("Invalid Login Credentials", IssueKind::InvalidLoginCredentials),
            ("Expired multi-factor authentication", IssueKind::ExpiredMfa),
            ("Missing Permissions", IssueKind::MissingPermissions),
            ("API error", IssueKind::ApiError),
            ("Third-party offline", IssueKind::ThirdPartyOffline),
            ("issue type pending", IssueKind::IssueTypePending),
            ("Something new", IssueKind::Other),
        ] {
            assert_eq!(IssueKind::of_description(text), kind, "{text}");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }

    #[test]
    fn an_issue_opens_ends_and_comes_back_once_each() {
        use IssueStatus::*;
        let kind = IssueKind::ExpiredMfa;
        let mut issues = BTreeMap::new();
        for (minute, status, turn) in [
            (1, Ongoing, Some(Turn::Opened(kind))),
            (2, Ongoing, None),
            (3, Resolved, Some(Turn::Resolved(kind))),
            (4, Resolved, None),
            (5, Ongoing, Some(Turn::Reopened(kind))),
        ] {
            assert_eq!(note(&mut issues, &event("i", kind, status, minute), at(minute)), turn, "minute {minute}");
        }
        assert_eq!((issues["i"].first_seen, issues["i"].last_seen, issues["i"].resolved_at), (at(1), at(5), None));
    }

    #[test]
    fn an_acknowledged_issue_is_hidden_until_it_comes_back_or_becomes_another() {
        use IssueStatus::*;
        let acknowledged = || {
            let mut issues = BTreeMap::new();
            note(&mut issues, &event("i", IssueKind::IssueTypePending, Ongoing, 1), at(1));
            issues.get_mut("i").unwrap().acknowledged_at = Some(at(2));
            issues
        };
        let mut issues = acknowledged();
        note(&mut issues, &event("i", IssueKind::IssueTypePending, Ongoing, 3), at(3));
        assert!(!issues["i"].is_open(), "it merely goes on");
        let became = note(&mut issues, &event("i", IssueKind::BadApiKey, Ongoing, 4), at(4));
        assert_eq!(became, Some(Turn::Became { was: IssueKind::IssueTypePending, is: IssueKind::BadApiKey }));
        assert!(issues["i"].is_open());

        let mut issues = acknowledged();
        note(&mut issues, &event("i", IssueKind::IssueTypePending, Resolved, 3), at(3));
        note(&mut issues, &event("i", IssueKind::IssueTypePending, Ongoing, 4), at(4));
        assert!(issues["i"].is_open());

        let mut issues = acknowledged();
        let reopened = IssueEvent { reopened: true, ..event("i", IssueKind::IssueTypePending, Ongoing, 5) };
        note(&mut issues, &reopened, at(5));
        assert!(issues["i"].is_open(), "its end was missed");
    }

    #[test]
    fn the_list_ends_what_it_does_not_have_any_more() {
        use IssueStatus::*;
        let mut issues = BTreeMap::new();
        note(&mut issues, &event("old", IssueKind::ApiError, Ongoing, 1), at(1));
        note(&mut issues, &event("young", IssueKind::ApiError, Ongoing, 29), at(29));
        let listed =
            [event("new", IssueKind::BadApiKey, Ongoing, 30), event("long over", IssueKind::BadApiKey, Resolved, 3)];
        let turns = compare(&mut issues, &listed, at(30));
        assert_eq!(turns, [Turn::Opened(IssueKind::BadApiKey), Turn::Resolved(IssueKind::ApiError)]);
        assert!(!issues["old"].is_open() && issues["young"].is_open() && issues["new"].is_open());
        assert!(!issues.contains_key("long over"));
        assert!(compare(&mut issues, &listed, at(31)).is_empty(), "the same list again is no news");
    }

    #[test]
    fn resolved_issues_are_kept_for_a_while() {
        let mut issues = BTreeMap::new();
        for n in 0..30 {
            let id = format!("{n:02}");
            note(&mut issues, &event(&id, IssueKind::ApiError, IssueStatus::Ongoing, n), at(n));
            note(&mut issues, &event(&id, IssueKind::ApiError, IssueStatus::Resolved, n), at(n));
        }
        assert_eq!((issues.len(), issues.contains_key("09")), (RESOLVED_KEPT, false));
    }
}
