//! The labels that Merge keeps of an account's end user: an e-mail address and the name of an organization, given when
//! the account was linked. A new link token for the account wants them again.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::MergeClient;
use super::error::MergeError;
use super::linking::{TestAccounts, list};
use super::wire::{Page, lenient};
use crate::domain::ids::MergeLinkedAccountId;

/// Of people: shown to nobody but Merge.
#[derive(Clone, PartialEq, Eq)]
pub struct EndUserLabels {
    pub email: String,
    pub organization_name: String,
}

// Labels of people stand in no log.
impl fmt::Debug for EndUserLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndUserLabels")
    }
}

impl MergeClient {
    /// Who linked the account, as Merge was told: from `GET /{category}/v1/linked-accounts?id=`, with the API key
    /// alone.
    /// `None`: Merge has no such account.
    pub async fn end_user_labels(&self, merge_id: &MergeLinkedAccountId) -> Result<Option<EndUserLabels>, MergeError> {
        for tests in [TestAccounts::Exclude, TestAccounts::Only] {
            let page: Page = self.fetch(list(tests).query("id", merge_id.as_str())).await?;
            let found = page.results.iter().find_map(|row| labels_of(row, merge_id));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

fn labels_of(row: &RawValue, merge_id: &MergeLinkedAccountId) -> Option<EndUserLabels> {
    #[derive(Deserialize)]
    struct Row {
        id: MergeLinkedAccountId,
        #[serde(default, deserialize_with = "lenient")]
        end_user_email_address: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        end_user_organization_name: Option<String>,
    }
    let row: Row = serde_json::from_str(row.get()).ok()?;
    (row.id == *merge_id).then(|| EndUserLabels {
        email: row.end_user_email_address.unwrap_or_default(),
        organization_name: row.end_user_organization_name.unwrap_or_default(),
    })
}
