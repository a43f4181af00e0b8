//! A webhook delivery: the envelope that Merge posts, read as far as we act on it. Only what is named here leaves the
//! body: an allow-list, since bodies carry records, tokens and free text of other people's systems.
//!
//! Read it only after the signature holds. Values that do not matter are skipped without building them, so depth and
//! size of a body cost no stack and no memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{issue_event, lenient};
use crate::domain::ids::MergeLinkedAccountId;
use crate::domain::issue::IssueStatus;
use crate::domain::message::IssueEvent;
use crate::domain::secret::AccountToken;
use crate::domain::time;

/// An event about a linked account.
#[derive(Debug)]
pub struct Delivery {
    /// Merge's name of the event, capped, for logs.
    pub event: String,
    /// The account that it is about.
    pub merge_id: MergeLinkedAccountId,
    /// What happened.
    pub hint: Hint,
}

/// What happened, as a hint to look: nothing of it is believed before Merge's API says the same.
#[derive(Debug)]
pub enum Hint {
    /// `LinkedAccount.linked`: somebody finished the dialog.
    Linked {
        /// As Merge sent it; may be empty.
        end_user_origin_id: String,
        /// As Merge sent it; may be empty.
        category: String,
        /// It was a relink.
        is_relink: bool,
        /// The only event that carries a token.
        account_token: Option<AccountToken>,
    },
    /// `LinkedAccount.sync_completed` or `{Model}.synced`: Merge finished syncs of these models.
    Synced {
        /// Merge's model ids, or the model name of the event.
        models: Vec<String>,
        /// When each model's sync finished, as far as the event says it.
        finished: BTreeMap<String, Timestamp>,
    },
    /// `{Model}.added`, `.changed` or `.removed`.
    RecordsChanged,
    /// `LinkedAccount.deleted`.
    Deleted,
    /// `Issue.new`, `.created`, `.reopened` or `.resolved`.
    Issue {
        issue: IssueEvent,
        /// As Merge sent it; may be empty.
        end_user_origin_id: String,
    },
}

impl Hint {
    /// A word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Linked { .. } => "linked",
            Self::Synced { .. } => "synced",
            Self::RecordsChanged => "records",
            Self::Deleted => "deleted",
            Self::Issue { .. } => "issue",
        }
    }
}

/// Why a genuine delivery leads to nothing. Values, not errors: Merge may send what it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Not JSON, or of no shape that an envelope could have.
    Unreadable,
    /// No `hook`: the dashboard's test delivery.
    NoHook,
    /// No usable `linked_account.id`.
    NoAccount,
    /// An event that means nothing to us.
    UnknownEvent,
}

impl Ignored {
    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NoHook => "no_hook",
            Self::NoAccount => "no_account",
            Self::UnknownEvent => "unknown_event",
        }
    }
}

/// The most models of one event that are passed on; Merge has 30 in its largest category.
const MOST_MODELS: usize = 64;
/// The longest name of a model, origin id or event that is passed on, in bytes.
const LONGEST_NAME: usize = 256;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    hook: Option<&'a RawValue>,
    #[serde(borrow, default)]
    linked_account: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Hook {
    #[serde(default, deserialize_with = "lenient")]
    event: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
struct Account {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<MergeLinkedAccountId>,
    #[serde(default, deserialize_with = "lenient")]
    category: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    end_user_origin_id: Option<String>,
}

impl Account {
    /// The origin id if it can be one of ours.
    fn origin_id(self) -> String {
        self.end_user_origin_id.filter(|id| id.len() <= LONGEST_NAME).unwrap_or_default()
    }
}

/// Reads a delivery whose signature holds.
pub fn parse(body: &[u8]) -> Result<Delivery, Ignored> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|_| Ignored::Unreadable)?;
    let hook: Hook = read(envelope.hook).ok_or(Ignored::NoHook)?;
    let event = hook.event.filter(|event| event.len() <= LONGEST_NAME).ok_or(Ignored::UnknownEvent)?;
    let account: Account = read(envelope.linked_account).ok_or(Ignored::NoAccount)?;
    let merge_id = account.id.clone().ok_or(Ignored::NoAccount)?;
    let hint = hint(&event, account, envelope.data).ok_or(Ignored::UnknownEvent)?;
    Ok(Delivery { event, merge_id, hint })
}

/// Whether a delivery says that it is about a test account: one made with Merge's test key.
pub fn is_of_test_account(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        linked_account: Option<Typed<'a>>,
    }
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow)]
        account_type: Option<Cow<'a, str>>,
    }
    let outer: Option<Outer<'_>> = serde_json::from_slice(body).ok();
    outer.and_then(|outer| outer.linked_account?.account_type).is_some_and(|kind| kind == "TEST")
}

fn hint(event: &str, account: Account, data: Option<&RawValue>) -> Option<Hint> {
    let (subject, action) = event.split_once('.')?;
    match (subject, action) {
        ("LinkedAccount", "linked") => Some(linked(account, data)),
        ("LinkedAccount", "sync_completed") => Some(models_of_map(data)),
        ("LinkedAccount", "deleted") => Some(Hint::Deleted),
        // Events of the account that older settings still send, and those that are never sent.
        ("LinkedAccount", _) => None,
        ("Issue", "new" | "created") => issue(account, data, IssueStatus::Ongoing, false),
        ("Issue", "reopened") => issue(account, data, IssueStatus::Ongoing, true),
        ("Issue", "resolved") => issue(account, data, IssueStatus::Resolved, false),
        (_, "synced") => Some(model_of_object(data, subject)),
        (_, "added" | "changed" | "removed") => Some(Hint::RecordsChanged),
        _ => None,
    }
}

fn linked(account: Account, data: Option<&RawValue>) -> Hint {
    #[derive(Default, Deserialize)]
    struct Linked {
        #[serde(default, deserialize_with = "lenient")]
        account_token: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        is_relink: Option<bool>,
    }
    let data: Linked = read(data).unwrap_or_default();
    Hint::Linked {
        end_user_origin_id: account.clone().origin_id(),
        category: account.category.filter(|name| name.len() <= LONGEST_NAME).unwrap_or_default(),
        is_relink: data.is_relink.unwrap_or(false),
        account_token: data.account_token.filter(|token| !token.is_empty()).map(AccountToken::new),
    }
}

/// The event says more about an issue's state than the object in it, which may be older.
fn issue(account: Account, data: Option<&RawValue>, status: IssueStatus, reopened: bool) -> Option<Hint> {
    let issue = IssueEvent { status, reopened, ..issue_event(data?)? };
    Some(Hint::Issue { issue, end_user_origin_id: account.origin_id() })
}

/// `sync_status` of `LinkedAccount.sync_completed`: a map whose keys are model ids.
fn models_of_map(data: Option<&RawValue>) -> Hint {
    #[derive(Default, Deserialize)]
    struct Synced<'a> {
        #[serde(borrow, default)]
        sync_status: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Finish {
        #[serde(default, deserialize_with = "lenient")]
        last_sync_finished: Option<String>,
    }
    let data: Synced<'_> = read(data).unwrap_or_default();
    let models: BTreeMap<String, &RawValue> = read(data.sync_status).unwrap_or_default();
    let models = models.into_iter().filter(|(model, _)| model.len() <= LONGEST_NAME).take(MOST_MODELS);
    let times: Vec<(String, Option<Timestamp>)> = models
        .map(|(model, status)| {
            let finish = read::<Finish>(Some(status)).and_then(|finish| finish.last_sync_finished);
            (model, finish.as_deref().and_then(time::parse))
        })
        .collect();
    Hint::Synced {
        finished: times.iter().filter_map(|(model, at)| Some((model.clone(), (*at)?))).collect(),
        models: times.into_iter().map(|(model, _)| model).collect(),
    }
}

/// `sync_status` of `{Model}.synced`: one object. Without it the event's name has to do.
fn model_of_object(data: Option<&RawValue>, subject: &str) -> Hint {
    #[derive(Deserialize)]
    struct Status {
        model_id: String,
        #[serde(default, deserialize_with = "lenient")]
        last_sync_finished: Option<String>,
    }
    #[derive(Deserialize)]
    struct Synced {
        #[serde(default, deserialize_with = "lenient")]
        sync_status: Option<Status>,
    }
    let status = read::<Synced>(data).and_then(|data| data.sync_status);
    let status = status.filter(|status| !status.model_id.is_empty() && status.model_id.len() <= LONGEST_NAME);
    match status {
        Some(status) => {
            let at = status.last_sync_finished.as_deref().and_then(time::parse);
            let finished = at.into_iter().map(|at| (status.model_id.clone(), at)).collect();
            Hint::Synced { models: vec![status.model_id], finished }
        }
        None => Hint::Synced { models: vec![subject.to_owned()], finished: BTreeMap::new() },
    }
}

fn read<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn delivery(event: &str, data: Value) -> Result<Delivery, Ignored> {
        let body = json!({
            "hook": {"id": "h", "event": event, "target": "https://x"},
            "linked_account": {"id": "acc-1", "category": "hris", "end_user_origin_id": "org_hris", "end_user_email_address": "canary@x"},
            "data": data,
        });
        parse(body.to_string().as_bytes())
    }

    #[track_caller]
    fn synced(event: &str, data: Value) -> Vec<String> {
        match delivery(event, data).map(|delivery| delivery.hint) {
            Ok(Hint::Synced { models, .. }) => models,
            other => panic!("{event}: {other:?}"),
        }
    }

    #[test]
    fn linked_carries_its_token_and_never_shows_it() {
        let delivery =
            delivery("LinkedAccount.linked", json!({"account_token": "canary-token", "is_relink": true})).unwrap();
        assert!(!format!("{delivery:?}").contains("canary"));
        let Hint::Linked { end_user_origin_id, category, is_relink, account_token } = delivery.hint else { panic!() };
        assert_eq!((end_user_origin_id.as_str(), category.as_str(), is_relink), ("org_hris", "hris", true));
        assert_eq!(account_token.map(|token| token.expose().to_owned()).as_deref(), Some("canary-token"));
    }

    #[test]
    fn the_two_shapes_of_sync_status_are_told_apart_by_the_event() {
        let map = json!({"is_initial_sync": true, "sync_status": {"hris.Employee": {"last_sync_result": "DONE"}, "hris.Team": {}}});
        assert_eq!(synced("LinkedAccount.sync_completed", map), ["hris.Employee", "hris.Team"]);
        assert!(synced("LinkedAccount.sync_completed", json!({})).is_empty());
        let object = json!({"synced_fields": [], "sync_status": {"model_id": "hris.Employee", "status": "DONE"}});
        assert_eq!(synced("Employee.synced", object), ["hris.Employee"]);
        assert_eq!(synced("Employee.synced", json!(null)), ["Employee"]);
        let timed = json!({"sync_status": {"hris.Employee": {"last_sync_finished": "2026-01-31T09:05:00Z"}, "hris.Team": {"last_sync_finished": 7}, "x": 1}});
        let hint = delivery("LinkedAccount.sync_completed", timed).unwrap().hint;
        let Hint::Synced { models, finished } = hint else { panic!() };
        let finished: Vec<&str> = finished.keys().map(String::as_str).collect();
        assert_eq!((models.len(), finished), (3, vec!["hris.Employee"]));
        let many: serde_json::Map<String, Value> = (0..500).map(|n| (format!("hris.M{n}"), json!({}))).collect();
        assert_eq!(synced("LinkedAccount.sync_completed", json!({ "sync_status": many })).len(), MOST_MODELS);
    }

    #[test]
    fn record_events_keep_nothing_of_the_record() {
        for event in ["Employee.added", "FileStorageFile.changed", "Ticket.removed"] {
            let delivery = delivery(event, json!({"id": "r1", "first_name": "canary"})).unwrap();
            assert!(matches!(delivery.hint, Hint::RecordsChanged));
            assert!(!format!("{delivery:?}").contains("canary"));
        }
    }

    #[test]
    fn issues_follow_the_event_and_its_old_name() {
        let data = json!({"id": "i1", "status": "ONGOING", "error_description": "Bad API Key", "end_user": "canary"});
        for (event, status) in [
            ("Issue.new", IssueStatus::Ongoing),
            ("Issue.created", IssueStatus::Ongoing),
            ("Issue.reopened", IssueStatus::Ongoing),
            ("Issue.resolved", IssueStatus::Resolved),
        ] {
            let delivery = delivery(event, data.clone()).unwrap();
            assert!(!format!("{delivery:?}").contains("canary"));
            let Hint::Issue { issue, end_user_origin_id } = delivery.hint else { panic!("{event}") };
            assert_eq!((issue.status, end_user_origin_id.as_str()), (status, "org_hris"), "{event}");
            assert_eq!(issue.reopened, event == "Issue.reopened");
        }
        assert_eq!(delivery("Issue.new", json!({})).map(|_| ()), Err(Ignored::UnknownEvent));
    }

    #[test]
    fn what_means_nothing_is_ignored_by_name() {
        for event in ["LinkedAccount.synced", "LinkedAccount.status_changed", "AsyncPost.completed", "nonsense", ""] {
            assert_eq!(delivery(event, json!({})).map(|_| ()), Err(Ignored::UnknownEvent), "{event}");
        }
        for (body, why) in [
            (r#"{"response":"test"}"#, Ignored::NoHook),
            (r#"{"hook":null}"#, Ignored::NoHook),
            (r#"{"hook":"x"}"#, Ignored::NoHook),
            (r#"{"hook":{"event":"A.synced"}}"#, Ignored::NoAccount),
            (r#"{"hook":{"event":"A.synced"},"linked_account":{"id":"a b"}}"#, Ignored::NoAccount),
            (r#"{"hook":{"event":7},"linked_account":{"id":"a"}}"#, Ignored::UnknownEvent),
            ("", Ignored::Unreadable),
            ("[]", Ignored::NoHook),
            ("7", Ignored::Unreadable),
            (r#"{"hook":{},"hook":{}}"#, Ignored::Unreadable),
        ] {
            assert_eq!(parse(body.as_bytes()).map(|_| ()), Err(why), "{body}");
        }
        assert_eq!(parse(b"{\"hook\":\"\xff\"}").map(|_| ()), Err(Ignored::Unreadable));
    }

    #[test]
    fn only_what_says_that_it_is_a_test_account_is_one() {
        let of =
            |account: &str| is_of_test_account(format!(r#"{{"linked_account":{account},"data":{{}}}}"#).as_bytes());
        assert!(of(r#"{"account_type":"TEST"}"#) && of(r#"{"account_type":"\u0054EST","id":"a"}"#));
        let others =
            [r#"{"account_type":"PRODUCTION"}"#, r#"{"account_type":"test"}"#, r#"{"account_type":7}"#, "{}", "null"];
        assert!(others.iter().all(|account| !of(account)));
        assert!(!is_of_test_account(b"") && !is_of_test_account(br#"{"data":{"account_type":"TEST"}}"#));
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let body = format!(
            r#"{{"hook":{{"event":"Employee.changed","x":{deep}}},"linked_account":{{"id":"a","y":{deep}}},"data":{deep}}}"#
        );
        assert!(matches!(parse(body.as_bytes()).map(|delivery| delivery.hint), Ok(Hint::RecordsChanged)));
        let unclosed = format!(r#"{{"hook":{}"#, "{\"a\":".repeat(100_000));
        assert_eq!(parse(unclosed.as_bytes()).map(|_| ()), Err(Ignored::Unreadable));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_ignored_without_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&body).is_err());
        }

        #[test]
        fn any_shape_of_data_is_survived(event in "(LinkedAccount|Issue|Employee)\\.(linked|sync_completed|new|synced|deleted)", data in "[\\[\\]{}\":,a1]{0,40}") {
            let body = format!(r#"{{"hook":{{"event":"{event}"}},"linked_account":{{"id":"a"}},"data":{data}}}"#);
            if let Ok(delivery) = parse(body.as_bytes()) {
                prop_assert_eq!(delivery.merge_id.as_str(), "a");
            }
        }
    }
}
