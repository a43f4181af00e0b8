//! Wire types that several calls share. Everything is optional that Merge might leave out, send as null or spell anew:
//! a value of an unexpected type counts as absent, because one odd field never fails a call.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::error::redacted;
use crate::domain::account::Integration;
use crate::domain::issue::{Details, IssueKind, IssueStatus};
use crate::domain::message::IssueEvent;
use crate::domain::sync_status::{SyncState, SyncStatus};
use crate::domain::time;

/// Deserializes a `T`, or `None` if the value is anything else.
pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// A page of a list other than records.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) next: Option<String>,
    pub(super) results: Vec<Box<RawValue>>,
}

/// The integration as three shapes have it: an object, an object with more, or (in account-details) its name.
#[derive(Default, Deserialize)]
pub(super) struct WireIntegration {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) slug: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) image: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) square_image: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) color: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) categories: Option<Vec<String>>,
}

impl WireIntegration {
    pub(super) fn into_domain(self) -> Integration {
        Integration {
            name: self.name.unwrap_or_default(),
            slug: self.slug.unwrap_or_default(),
            image: self.square_image.or(self.image),
            color: self.color,
        }
    }
}

#[derive(Deserialize)]
struct WireSyncStatus {
    #[serde(default, deserialize_with = "lenient")]
    model_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    model_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<SyncState>,
    #[serde(default, deserialize_with = "lenient")]
    last_sync_result: Option<SyncState>,
    #[serde(default, deserialize_with = "lenient")]
    last_sync_start: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    last_sync_finished: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    next_sync_start: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    is_initial_sync: Option<bool>,
}

fn instant(text: Option<String>) -> Option<Timestamp> {
    text.as_deref().and_then(time::parse)
}

/// A row of sync-status; `None` if it does not even name its model.
pub(super) fn sync_status(row: &RawValue) -> Option<SyncStatus> {
    let row: WireSyncStatus = serde_json::from_str(row.get()).ok()?;
    Some(SyncStatus {
        model_id: row.model_id.filter(|id| !id.is_empty())?,
        model_name: row.model_name.unwrap_or_default(),
        status: row.status.unwrap_or(SyncState::Other),
        last_sync_result: row.last_sync_result,
        last_sync_start: instant(row.last_sync_start),
        last_sync_finished: instant(row.last_sync_finished),
        next_sync_start: instant(row.next_sync_start),
        // Unknown counts as initial: a first sync is then read when it says DONE, and not before.
        is_initial_sync: row.is_initial_sync.unwrap_or(true),
    })
}

#[derive(Deserialize)]
struct WireIssue {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    error_description: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    error_details: Option<Vec<String>>,
    #[serde(default, deserialize_with = "lenient")]
    first_incident_time: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    last_incident_time: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    is_muted: Option<bool>,
}

/// The most details of an issue that are kept.
const MOST_DETAILS: usize = 5;

/// Reads Merge's Issue object, from a webhook's `data` or from the list: its kind, its times, description and details,
/// both capped and without what looks like a secret; never `end_user`. `None` without an id.
pub fn issue_event(issue: &RawValue) -> Option<IssueEvent> {
    let issue: WireIssue = serde_json::from_str(issue.get()).ok()?;
    let description = issue.error_description.unwrap_or_default();
    let details = issue.error_details.unwrap_or_default();
    Some(IssueEvent {
        issue_id: issue.id.filter(|id| !id.is_empty() && id.len() <= 128)?,
        status: match issue.status.as_deref() {
            Some(status) if status.eq_ignore_ascii_case("RESOLVED") => IssueStatus::Resolved,
            _ => IssueStatus::Ongoing,
        },
        kind: IssueKind::of_description(&description),
        description: redacted(&description, &[]),
        details: Details(details.iter().take(MOST_DETAILS).map(|detail| redacted(detail, &[])).collect()),
        first_incident_time: instant(issue.first_incident_time),
        last_incident_time: instant(issue.last_incident_time),
        reopened: false,
        is_muted: issue.is_muted.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn odd_fields_never_fail_a_sync_status() {
        let row = sync_status(&raw(
            r#"{"model_id":"hris.Employee","status":"NAPPING","last_sync_result":null,"last_sync_start":7,
                "last_sync_finished":"2026-01-31T09:05:00.123+01:00","is_initial_sync":"no","new":{"a":[1]}}"#,
        ))
        .unwrap();
        assert_eq!((row.status, row.last_sync_result, row.last_sync_start), (SyncState::Other, None, None));
        assert_eq!(row.last_sync_finished.map(|t| t.to_string()).as_deref(), Some("2026-01-31T08:05:00.123Z"));
        assert!(row.is_initial_sync);
        for unusable in ["{}", "[]", "7", r#"{"model_id":""}"#, r#"{"model_id":null}"#] {
            assert!(sync_status(&raw(unusable)).is_none(), "{unusable}");
        }
    }

    #[test]
    fn an_issue_keeps_no_free_data_of_others() {
        let issue = issue_event(&raw(
            r#"{"id":"i1","status":"ONGOING","error_description":"Missing Permissions","end_user":{"email":"canary@x"},
                "error_details":["canary", "the key abcdefgh12345678 is wrong"],"first_incident_time":"2026-01-01T00:00:00Z","is_muted":null}"#,
        ))
        .unwrap();
        assert_eq!(
            (issue.kind, issue.status, issue.is_muted),
            (IssueKind::MissingPermissions, IssueStatus::Ongoing, false)
        );
        assert!(!format!("{issue:?}").contains("canary"));
        assert!(!serde_json::to_string(&issue).unwrap().contains("canary"), "details are never queued");
        assert_eq!(issue.details.0, ["canary", "the key [redacted] is wrong"], "they are for the operator");
        let issue = issue_event(&raw(
            r#"{"id":"i1","error_description":"Bad API key: Bearer abcdefgh12345678 was\nnot accepted"}"#,
        ))
        .unwrap();
        assert_eq!(issue.kind, IssueKind::BadApiKey);
        assert_eq!(issue.description, "Bad API key: Bearer [redacted] was not accepted", "it is queued");
        assert!(issue_event(&raw(r#"{"status":"ONGOING"}"#)).is_none());
    }
}
