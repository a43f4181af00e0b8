//! The item of a linked account: how [`LinkedAccount`] lies in the Accounts table.
//!
//! `merge_id` is copied into the sparse index `due`, whose keys are `due` (the slot of the time wheel, or a wake) and
//! `due_at` (the time of its creation, fixed: so that an ordinary write leaves the index alone).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Item, StoreError, keys,
    rows::{decode, encode},
};
use crate::domain::{
    account::{AccountStatus, Deletion, Integration, LinkedAccount, Notes, SyncFacts},
    category::Category,
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    issue::Issue,
    origin::EndUserOriginId,
    schedule::Due,
    time,
};

#[derive(Serialize, Deserialize)]
struct AccountItem {
    organization: OrganizationId,
    id: AccountId,
    category: Category,
    status: AccountStatus,
    status_since: Timestamp,
    merge_id: MergeLinkedAccountId,
    origin_id: String,
    integration: Integration,
    #[serde(with = "serde_bytes")]
    token: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_token_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is_duplicate: Option<bool>,
    duplicate_ignored: bool,
    #[serde(default)]
    issues: BTreeMap<String, Issue>,
    facts: SyncFacts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relinked_at: Option<Timestamp>,
    #[serde(default)]
    notes: Notes,
    #[serde(default)]
    deletion: Deletion,
    chain: u64,
    due: String,
    due_at: String,
    due_class: String,
    created_by: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: u64,
}

/// The item of an account, keys included.
pub(super) fn to_item(account: &LinkedAccount) -> Result<Item, StoreError> {
    let key = keys::account(&account.organization, account.id);
    let account = account.clone();
    let item = AccountItem {
        organization: account.organization,
        id: account.id,
        category: account.category,
        status: account.status,
        status_since: account.status_since,
        merge_id: account.merge_id,
        origin_id: account.origin_id.to_string(),
        integration: account.integration,
        token: account.token,
        public_token_hash: account.public_token_hash,
        display_name: account.display_name,
        is_duplicate: account.is_duplicate,
        duplicate_ignored: account.duplicate_ignored,
        issues: account.issues,
        facts: account.facts,
        relinked_at: account.relinked_at,
        notes: account.notes,
        deletion: account.deletion,
        chain: account.chain,
        due: account.due.key,
        due_at: time::fixed(account.created_at),
        due_class: account.due.class,
        created_by: account.created_by,
        created_at: account.created_at,
        updated_at: account.updated_at,
        version: account.version,
    };
    encode(&key, &item)
}

/// The account that an item holds.
pub(super) fn from_item(item: Item) -> Result<LinkedAccount, StoreError> {
    let item: AccountItem = decode(item)?;
    Ok(LinkedAccount {
        organization: item.organization,
        id: item.id,
        category: item.category,
        status: item.status,
        status_since: item.status_since,
        merge_id: item.merge_id,
        origin_id: EndUserOriginId::stored(item.origin_id),
        integration: item.integration,
        token: item.token,
        public_token_hash: item.public_token_hash,
        display_name: item.display_name,
        is_duplicate: item.is_duplicate,
        duplicate_ignored: item.duplicate_ignored,
        issues: item.issues,
        facts: item.facts,
        relinked_at: item.relinked_at,
        notes: item.notes,
        deletion: item.deletion,
        chain: item.chain,
        due: Due { key: item.due, class: item.due_class },
        created_by: item.created_by,
        created_at: item.created_at,
        updated_at: item.updated_at,
        version: item.version,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        issue::{Details, IssueKind, IssueStatus},
        schedule::PollClass,
    };

    fn account() -> LinkedAccount {
        let at = Timestamp::from_second(1_790_000_000).unwrap();
        let id = AccountId::new(Uuid::from_u128(7));
        let issue = Issue {
            kind: IssueKind::BadApiKey,
            status: IssueStatus::Ongoing,
            description: "Bad API key".to_owned(),
            details: Details(vec!["The key was revoked.".to_owned()]),
            first_seen: at,
            last_seen: at,
            resolved_at: None,
            acknowledged_at: Some(at),
            is_muted: false,
        };
        LinkedAccount {
            organization: OrganizationId::parse("org_acme").unwrap(),
            id,
            category: Category::Hris,
            status: AccountStatus::RelinkNeeded,
            status_since: at,
            merge_id: MergeLinkedAccountId::parse("0b1e5a0e-1111-4222-8333-444455556666").unwrap(),
            origin_id: EndUserOriginId::stored("org_acme_hris"),
            integration: Integration { name: "BambooHR".into(), slug: "bamboohr".into(), image: None, color: None },
            token: vec![0, 255, 7],
            public_token_hash: None,
            display_name: Some("Payroll".to_owned()),
            is_duplicate: Some(true),
            duplicate_ignored: false,
            issues: BTreeMap::from([("i1".to_owned(), issue)]),
            facts: SyncFacts { records: 12, ..SyncFacts::default() },
            relinked_at: Some(at),
            notes: Notes { webhook_seen_at: Some(at), ignored_duplicates: ["a".to_owned()].into(), ..Notes::default() },
            deletion: Deletion::default(),
            chain: 3,
            due: Due::every(PollClass::FiveMinutes, id).wake(29_400_000),
            created_by: "user_1".to_owned(),
            created_at: at,
            updated_at: at,
            version: 9,
        }
    }

    #[test]
    fn an_account_survives_its_item() {
        let account = account();
        let item = to_item(&account).unwrap();
        assert_eq!(item["pk"].as_s().unwrap(), "ORG#org_acme");
        assert_eq!(item["due"].as_s().unwrap(), "at#29400000");
        assert!(item["token"].is_b(), "ciphertext is stored as bytes");
        assert_eq!(from_item(item).unwrap(), account);
    }

    #[test]
    fn an_ordinary_write_does_not_touch_the_index() {
        let mut account = account();
        let indexed = |account: &LinkedAccount| {
            let item = to_item(account).unwrap();
            ["pk", "sk", "due", "due_at", "merge_id"].map(|name| item[name].clone())
        };
        let before = indexed(&account);
        account.updated_at = Timestamp::from_second(1_800_000_000).unwrap();
        account.version += 1;
        account.facts.records = 99;
        assert_eq!(indexed(&account), before);
    }
}
