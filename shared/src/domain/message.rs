//! A message: what travels on the queue between functions. Tagged and versioned, so that a deploy may find the
//! messages of the one before; an allow-listed projection of an event, never its body. It holds no secret: the
//! one token that a webhook delivers travels encrypted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    category::Category,
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    issue::{Details, IssueKind, IssueStatus},
};

/// One queue message: `{"v":1,"type":…}`. Every message belongs to one of Merge's linked accounts, whose id is its
/// message group: an account is worked by one worker at a time and delays no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub v: u8,
    pub merge_id: MergeLinkedAccountId,
    #[serde(flatten)]
    pub work: Work,
}

/// Our side of an account, in messages that we originate. Webhooks know only Merge's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountRef {
    pub organization: OrganizationId,
    pub account: AccountId,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Work {
    /// Webhook `LinkedAccount.linked`: somebody finished the dialog, first time or relink.
    Linked {
        /// As Merge sent it; proves nothing until account-details says the same.
        end_user_origin_id: String,
        category: String,
        is_relink: bool,
        /// Base64 KMS ciphertext of the account token, under the webhook context.
        token: Option<String>,
    },
    /// Webhook `LinkedAccount.sync_completed` or `{Model}.synced`: a hint to pull.
    Synced {
        models: Vec<String>,
        /// When each model's sync finished, as far as the event says it.
        #[serde(default)]
        finished: BTreeMap<String, Timestamp>,
    },
    /// Webhooks `{Model}.added|changed|removed`: a hint to look, once per account and minute.
    RecordsChanged {},
    /// Webhook `LinkedAccount.deleted`: to be verified.
    Deleted {},
    /// Webhook `Issue.*`.
    Issue {
        #[serde(flatten)]
        issue: IssueEvent,
        /// As Merge sent it: whose account it may become, if it is not ours yet.
        #[serde(default)]
        end_user_origin_id: String,
    },
    /// The poller, or whoever connected the account, remembers that messages are parked.
    Parked {
        /// Minute of the schedule, counted from the Unix epoch.
        minute: i64,
    },
    /// Compare Merge's list of accounts with ours, from this step on.
    Census {
        /// Minute of the schedule, counted from the Unix epoch.
        minute: i64,
        step: CensusStep,
    },
    /// The poller found the account due.
    Poll {
        #[serde(flatten)]
        of: AccountRef,
        /// Minute of the schedule, counted from the Unix epoch.
        minute: i64,
    },
    /// First sync, refresh, catch-up after a relink.
    Sync {
        #[serde(flatten)]
        of: AccountRef,
        mode: SyncMode,
        /// Model keys; empty means all.
        #[serde(default)]
        models: Vec<String>,
        /// A list read in full since then is not read in full again for this request.
        requested_at: Timestamp,
        request: Uuid,
    },
    /// The work slice ended before the work did.
    Continue {
        #[serde(flatten)]
        of: AccountRef,
        /// Rises at each hop; an older one is dropped.
        chain: u64,
        /// Committed pages of all endpoints when this was sent: a hop that moves none is the last.
        pages: u64,
    },
    /// The operator has decided about deletions that the mass-delete brake holds.
    Held {
        #[serde(flatten)]
        of: AccountRef,
        /// Key of the model.
        model: String,
        /// The full read that held them; a decision about an older one is dropped.
        generation: u64,
        decision: Decision,
        /// Who decided, for the timeline.
        actor: String,
        request: Uuid,
    },
    /// Delete at Merge, then purge; `sweep` 2 looks again for what a late worker wrote.
    Delete {
        #[serde(flatten)]
        of: AccountRef,
        sweep: u8,
        request: Uuid,
    },
    /// The operator wants the account to have a new token.
    RotateToken {
        #[serde(flatten)]
        of: AccountRef,
        request: Uuid,
    },
}

impl Work {
    /// The account that it is about, if it says more than Merge's id.
    pub fn of(&self) -> Option<&AccountRef> {
        match self {
            Self::Poll { of, .. }
            | Self::Sync { of, .. }
            | Self::Continue { of, .. }
            | Self::Held { of, .. }
            | Self::Delete { of, .. }
            | Self::RotateToken { of, .. } => Some(of),
            Self::Linked { .. }
            | Self::Synced { .. }
            | Self::RecordsChanged {}
            | Self::Deleted {}
            | Self::Issue { .. }
            | Self::Parked { .. }
            | Self::Census { .. } => None,
        }
    }
}

/// How far a census has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CensusStep {
    /// Merge's pages: those of production accounts, then those of test accounts.
    Theirs { tests: bool, cursor: Option<String> },
    /// Our slots of the time wheel, by number, and the item of a slot after which to go on.
    Ours { slot: usize, after: Option<BTreeMap<String, String>> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// What changed since the last finished window.
    Changes,
    /// Everything again.
    Full,
}

/// What is to become of held deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Delete what is missing.
    Approve,
    /// Keep the records.
    Discard,
}

/// What Merge says about an issue, by an `Issue.*` webhook or in its list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssueEvent {
    pub issue_id: String,
    pub status: IssueStatus,
    pub kind: IssueKind,
    /// Merge's `error_description`, for the operator.
    pub description: String,
    /// Merge's `error_details`, for the operator; never on the queue.
    #[serde(skip)]
    pub details: Details,
    pub first_incident_time: Option<Timestamp>,
    pub last_incident_time: Option<Timestamp>,
    /// It was over and is back.
    #[serde(default)]
    pub reopened: bool,
    #[serde(default)]
    pub is_muted: bool,
}

/// Two messages with one deduplication id within five minutes are one (SQS FIFO).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeduplicationId(String);

impl DeduplicationId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For a webhook that keeps its own message: the same delivery twice is one.
    pub fn webhook(body: &[u8]) -> Self {
        let digest = Sha256::digest(body);
        Self(digest.iter().fold(String::from("w:"), |text, byte| text + &format!("{byte:02x}")))
    }

    /// For record events: one look per account and minute.
    pub fn record_events(merge_id: &MergeLinkedAccountId, minute: i64) -> Self {
        Self(format!("k:{merge_id}:{minute}"))
    }
}

impl Message {
    pub fn new(merge_id: MergeLinkedAccountId, work: Work) -> Self {
        Self { v: 1, merge_id, work }
    }

    /// A census is about no one account; its group is its own.
    pub fn census(minute: i64, step: CensusStep) -> Self {
        Self::new(MergeLinkedAccountId::census(), Work::Census { minute, step })
    }

    /// The deduplication id of messages that we originate; webhooks have theirs from the delivery.
    pub fn deduplication_id(&self) -> DeduplicationId {
        DeduplicationId(match &self.work {
            Work::Poll { of, minute } => format!("p:{}:{minute}", of.account),
            Work::Parked { minute } => format!("h:{}:{minute}", self.merge_id),
            Work::Census { minute, step } => {
                format!("s:{minute}:{}", Uuid::from_bytes(digest16(&format!("{step:?}"))))
            }
            Work::Continue { of, chain, .. } => format!("c:{}:{chain}", of.account),
            Work::Sync { request, .. }
            | Work::Delete { request, .. }
            | Work::RotateToken { request, .. }
            | Work::Held { request, .. } => {
                format!("u:{request}")
            }
            Work::Linked { .. }
            | Work::Synced { .. }
            | Work::RecordsChanged {}
            | Work::Deleted {}
            | Work::Issue { .. } => {
                format!("o:{}", Uuid::from_bytes(digest16(&format!("{self:?}"))))
            }
        })
    }

    /// Reads a queue body. Unknown versions and types are errors: the message waits in the dead-letter queue for a
    /// version of ours that knows it.
    pub fn parse(body: &str) -> Result<Self, UnreadableMessage> {
        let message: Message = serde_json::from_str(body).map_err(UnreadableMessage::Shape)?;
        match message.v {
            1 => Ok(message),
            other => Err(UnreadableMessage::Version(other)),
        }
    }
}

fn digest16(text: &str) -> [u8; 16] {
    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    first
}

#[derive(Debug, thiserror::Error)]
pub enum UnreadableMessage {
    #[error("the message is not one of ours")]
    Shape(#[source] serde_json::Error),
    #[error("the message has version {0}; this build reads version 1")]
    Version(u8),
}

/// What a `Linked` message claims, once its category is known to us.
pub fn known_category(text: &str) -> Option<Category> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge_id() -> MergeLinkedAccountId {
        MergeLinkedAccountId::parse("0b1e5a0e-1111-4222-8333-444455556666").unwrap()
    }

    #[test]
    fn a_message_is_tagged_and_versioned() {
        let of = AccountRef {
            organization: OrganizationId::parse("org_acme").unwrap(),
            account: AccountId::new(Uuid::nil()),
        };
        let message = Message::new(merge_id(), Work::Poll { of, minute: 7 });
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"merge_id":"0b1e5a0e-1111-4222-8333-444455556666","type":"poll","organization":"org_acme","account":"00000000-0000-0000-0000-000000000000","minute":7}"#
        );
        assert_eq!(Message::parse(&text).unwrap(), message);
        assert_eq!(message.deduplication_id().as_str(), "p:00000000-0000-0000-0000-000000000000:7");
    }

    #[test]
    fn an_issue_travels_without_its_details() {
        let issue = IssueEvent {
            issue_id: "i1".to_owned(),
            status: IssueStatus::Ongoing,
            kind: IssueKind::ExpiredMfa,
            description: "Expired MFA".to_owned(),
            details: Details(vec!["for the operator".to_owned()]),
            first_incident_time: Timestamp::from_second(60).ok(),
            last_incident_time: None,
            reopened: true,
            is_muted: false,
        };
        let work = |issue| Work::Issue { issue, end_user_origin_id: "org_hris".to_owned() };
        let text = serde_json::to_string(&Message::new(merge_id(), work(issue.clone()))).unwrap();
        assert!(!text.contains("for the operator"));
        let without = IssueEvent { details: Details::default(), ..issue };
        assert_eq!(Message::parse(&text).unwrap(), Message::new(merge_id(), work(without)));
    }

    #[test]
    fn other_versions_and_types_are_told_apart_from_ours() {
        let newer = r#"{"v":2,"merge_id":"a","type":"records_changed"}"#;
        assert!(matches!(Message::parse(newer), Err(UnreadableMessage::Version(2))));
        assert!(matches!(Message::parse(r#"{"v":1,"merge_id":"a","type":"dance"}"#), Err(UnreadableMessage::Shape(_))));
        assert!(matches!(Message::parse("{"), Err(UnreadableMessage::Shape(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_a_message_of_ours_or_unreadable(text in proptest::prelude::any::<String>()) {
            proptest::prop_assert!(Message::parse(&text).is_err());
        }

        /// Members of every type, mixed: what parses is written as it was read.
        #[test]
        fn any_mixture_of_our_members_is_survived(
            kind in "(linked|synced|records_changed|deleted|issue|poll|sync|continue|delete|rotate_token|dance)",
            members in proptest::collection::btree_map(
                "(v|merge_id|organization|account|minute|models|mode|chain|pages|sweep|request|token|is_relink)",
                "(1|2|-1|null|true|\"a\"|\"a#b\"|\"changes\"|\\[\"x\"\\]|\\{\\}|\"00000000-0000-0000-0000-000000000000\")",
                0..12,
            ),
        ) {
            let members: String = members.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
            if let Ok(message) = Message::parse(&format!("{{\"type\":\"{kind}\"{members}}}")) {
                let text = serde_json::to_string(&message).unwrap();
                proptest::prop_assert_eq!(Message::parse(&text).unwrap(), message);
            }
        }
    }
}
