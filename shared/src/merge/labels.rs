//! The labels that Merge keeps of an account's end user: an e-mail address and the name of an organization, given when
//! the account was linked. A new link token for the account wants them again.

use std::fmt;

use serde::Deserialize;

use super::client::{Call, MergeClient};
use super::error::MergeError;
use super::wire::lenient;
use crate::domain::category::Category;
use crate::domain::secret::AccountToken;

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
    /// Who linked the account, as Merge was told: `GET /{category}/v1/account-details`.
    pub async fn end_user_labels(
        &self,
        category: Category,
        account_token: &AccountToken,
    ) -> Result<EndUserLabels, MergeError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "lenient")]
            end_user_email_address: Option<String>,
            #[serde(default, deserialize_with = "lenient")]
            end_user_organization_name: Option<String>,
        }
        let call = Call::get("account-details", format!("{category}/v1/account-details")).account(account_token);
        let answer: Answer = self.fetch(call).await?;
        Ok(EndUserLabels {
            email: answer.end_user_email_address.unwrap_or_default(),
            organization_name: answer.end_user_organization_name.unwrap_or_default(),
        })
    }
}
