//! The calls of a linked account's life: link token, exchange, details, deletion, and the list of all accounts.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::{Call, MergeClient, malformed};
use super::error::MergeError;
use super::lists::Walk;
use super::records::Cursor;
use super::wire::{Page, WireIntegration, lenient};
use crate::domain::account::{AccountStatus, Integration, fingerprint};
use crate::domain::category::Category;
use crate::domain::ids::MergeLinkedAccountId;
use crate::domain::origin::EndUserOriginId;
use crate::domain::secret::{AccountToken, LinkToken, PublicToken};

/// What Merge needs to open its dialog.
#[derive(Clone, Debug)]
pub struct LinkTokenRequest<'a> {
    /// The category to connect; also the route's.
    pub category: Category,
    /// The identity of the account to be.
    pub origin_id: &'a EndUserOriginId,
    /// A display label of the end user; no mail is sent.
    pub email: &'a str,
    /// A display label of the end user's organization.
    pub organization_name: &'a str,
    /// Slug of the one integration to offer.
    pub integration: Option<&'a str>,
    /// Language of the dialog: `en` or `de`.
    pub language: Option<&'a str>,
    /// Ask for a URL that opens the dialog on its own.
    pub magic_link: bool,
    /// Minutes until the token expires, 30 to 720.
    pub expiry_minutes: u32,
}

/// A fresh link token. Both secrets open the dialog.
#[derive(Clone, Debug)]
pub struct LinkTokenAnswer {
    /// For Merge's script on the page.
    pub link_token: LinkToken,
    /// Display name of the integration, when one is implied.
    pub integration_name: Option<String>,
    /// The URL with the token in it, when asked for.
    pub magic_link_url: Option<LinkToken>,
}

/// What a public token was exchanged for. It does not say whose account it is: account-details does.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// Opens the account.
    pub account_token: AccountToken,
    /// Merge's id of the account.
    pub merge_id: MergeLinkedAccountId,
    /// The system that was connected.
    pub integration: Integration,
}

/// An account as its own token shows it.
#[derive(Clone, Debug)]
pub struct AccountDetails {
    /// Merge's id of the account.
    pub merge_id: Option<MergeLinkedAccountId>,
    /// The identity we gave it; proves whose it is when it equals a reservation in full.
    pub end_user_origin_id: Option<String>,
    /// Its category, if we know it.
    pub category: Option<Category>,
    /// Its status.
    pub status: AccountStatus,
    /// Display name of its integration.
    pub integration_name: Option<String>,
    /// Slug of its integration.
    pub integration_slug: Option<String>,
    /// Fingerprint of the end user's organization: enough to see that it is another one.
    pub end_user_organization: Option<String>,
    /// Its credentials are those of another account; `None` for test accounts.
    pub is_duplicate: Option<bool>,
}

/// An account as the organization-wide list shows it.
#[derive(Clone, Debug)]
pub struct ListedAccount {
    /// Merge's id of the account.
    pub merge_id: MergeLinkedAccountId,
    /// The identity we gave it.
    pub end_user_origin_id: Option<String>,
    /// Its category, if we know it.
    pub category: Option<Category>,
    /// Its status.
    pub status: AccountStatus,
    /// Its integration.
    pub integration: Integration,
    /// Its credentials are those of another account; `None` for test accounts.
    pub is_duplicate: Option<bool>,
}

/// Which of the two halves of the list: Merge never gives both in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestAccounts {
    /// Accounts linked with a production key.
    Exclude,
    /// Accounts linked with a test key.
    Only,
}

impl MergeClient {
    /// Mints a link token: `POST /{category}/v1/link-token`. Not repeatable for free, but harmless to repeat.
    pub async fn create_link_token(&self, request: &LinkTokenRequest<'_>) -> Result<LinkTokenAnswer, MergeError> {
        const NAME: &str = "link-token";
        #[derive(Serialize)]
        struct Body<'a> {
            end_user_email_address: &'a str,
            end_user_organization_name: &'a str,
            end_user_origin_id: &'a str,
            categories: [Category; 1],
            link_expiry_mins: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            integration: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            language: Option<&'a str>,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            should_create_magic_link_url: bool,
        }
        #[derive(Deserialize)]
        struct Answer {
            link_token: String,
            #[serde(default, deserialize_with = "lenient")]
            integration_name: Option<String>,
            #[serde(default, deserialize_with = "lenient")]
            magic_link_url: Option<String>,
        }
        let body = serde_json::to_vec(&Body {
            end_user_email_address: request.email,
            end_user_organization_name: request.organization_name,
            end_user_origin_id: request.origin_id.as_str(),
            categories: [request.category],
            link_expiry_mins: request.expiry_minutes,
            integration: request.integration,
            language: request.language,
            should_create_magic_link_url: request.magic_link,
        })
        .map_err(|error| malformed(NAME, &error))?;
        let path = format!("{}/v1/link-token", request.category);
        let answer: Answer = self.fetch(Call::post(NAME, path, Some(Bytes::from(body)))).await?;
        Ok(LinkTokenAnswer {
            link_token: LinkToken::new(answer.link_token),
            integration_name: answer.integration_name,
            magic_link_url: answer.magic_link_url.filter(|url| !url.is_empty()).map(LinkToken::new),
        })
    }

    /// Exchanges a public token: `GET /{category}/v1/account-token/{public_token}`. Merge takes a public token once;
    /// one that is unknown, used or expired is `Rejected` or `NotFound`.
    pub async fn exchange_public_token(
        &self,
        category: Category,
        public_token: &PublicToken,
    ) -> Result<Exchanged, MergeError> {
        #[derive(Deserialize)]
        struct Answer {
            account_token: String,
            id: MergeLinkedAccountId,
            #[serde(default, deserialize_with = "lenient")]
            integration: Option<WireIntegration>,
        }
        let path = format!("{category}/v1/account-token/{}", segment(public_token.expose()));
        let mut call = Call::get("account-token", path);
        call.secret = Some(public_token.expose());
        let answer: Answer = self.fetch(call).await?;
        Ok(Exchanged {
            account_token: AccountToken::new(answer.account_token),
            merge_id: answer.id,
            integration: answer.integration.unwrap_or_default().into_domain(),
        })
    }

    /// Whose account a token opens: `GET /{category}/v1/account-details`. Call it with the account's own category.
    pub async fn account_details(
        &self,
        category: Category,
        account_token: &AccountToken,
    ) -> Result<AccountDetails, MergeError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "lenient")]
            id: Option<MergeLinkedAccountId>,
            #[serde(default, deserialize_with = "lenient")]
            end_user_origin_id: Option<String>,
            #[serde(default, deserialize_with = "lenient")]
            category: Option<Category>,
            #[serde(default, deserialize_with = "lenient")]
            status: Option<String>,
            #[serde(default, deserialize_with = "lenient")]
            integration: Option<String>,
            #[serde(default, deserialize_with = "lenient")]
            integration_slug: Option<String>,
            #[serde(default, deserialize_with = "lenient")]
            end_user_organization_name: Option<String>,
            #[serde(default, deserialize_with = "lenient")]
            is_duplicate: Option<bool>,
        }
        let call = Call::get("account-details", format!("{category}/v1/account-details")).account(account_token);
        let answer: Answer = self.fetch(call).await?;
        Ok(AccountDetails {
            merge_id: answer.id,
            end_user_origin_id: answer.end_user_origin_id.filter(|id| !id.is_empty()),
            category: answer.category,
            status: AccountStatus::of_merge(answer.status.as_deref().unwrap_or_default()),
            integration_name: answer.integration,
            integration_slug: answer.integration_slug,
            end_user_organization: answer.end_user_organization_name.as_deref().map(fingerprint),
            is_duplicate: answer.is_duplicate,
        })
    }

    /// A new account token in place of this one: `POST /{category}/v1/account-token/regenerate`. The old one is worth
    /// nothing from then on, whether or not the answer arrives.
    pub async fn regenerate_token(
        &self,
        category: Category,
        account_token: &AccountToken,
    ) -> Result<AccountToken, MergeError> {
        #[derive(Deserialize)]
        struct Answer {
            account_token: String,
        }
        let path = format!("{category}/v1/account-token/regenerate");
        let call = Call::post("account-token/regenerate", path, None).account(account_token);
        let answer: Answer = self.fetch(call).await?;
        Ok(AccountToken::new(answer.account_token))
    }

    /// Deletes the account at Merge, for good: `POST /{category}/v1/delete-account`. The answer's body is ignored.
    pub async fn delete_account(&self, category: Category, account_token: &AccountToken) -> Result<(), MergeError> {
        let call = Call::post("delete-account", format!("{category}/v1/delete-account"), None).account(account_token);
        self.send(call).await.map(|_| ())
    }

    /// Looks an account up with the API key alone, among production accounts and among test accounts. `None` means that
    /// Merge has no such account; an error means that nobody knows.
    pub async fn linked_account(&self, merge_id: &MergeLinkedAccountId) -> Result<Option<ListedAccount>, MergeError> {
        for tests in [TestAccounts::Exclude, TestAccounts::Only] {
            let call = list(tests).query("id", merge_id.as_str());
            let page: Page = self.fetch(call).await?;
            let found = page.results.iter().filter_map(|row| listed(row)).find(|row| row.merge_id == *merge_id);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Whether Merge lists any account at all, with the API key alone. None at all is what the key of another
    /// environment or organization looks like.
    pub async fn has_linked_accounts(&self) -> Result<bool, MergeError> {
        for tests in [TestAccounts::Exclude, TestAccounts::Only] {
            let page: Page = self.fetch(list(tests).query("page_size", "1")).await?;
            if !page.results.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Merge's ids of the set of accounts that were linked with the same credentials, the account itself included.
    /// Only production accounts have duplicates. Other organizations' accounts are in it: show none of them.
    pub async fn duplicates(&self, merge_id: &MergeLinkedAccountId) -> Result<Vec<MergeLinkedAccountId>, MergeError> {
        let call = list(TestAccounts::Exclude).query("id", merge_id.as_str()).query("include_duplicates", "true");
        let page: Page = self.fetch(call).await?;
        Ok(page.results.iter().filter_map(|row| listed(row)).map(|row| row.merge_id).collect())
    }

    /// Those of at most 100 accounts that Merge has, looked up with the API key alone.
    pub async fn listed(
        &self,
        tests: TestAccounts,
        ids: &[&MergeLinkedAccountId],
    ) -> Result<Vec<ListedAccount>, MergeError> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let ids = ids.join(",");
        let page: Page = self.fetch(list(tests).query("page_size", "100").query("ids", &ids)).await?;
        Ok(page.results.iter().filter_map(|row| listed(row)).collect())
    }

    /// One page of all accounts of the organization, whatever their category. Rows without an id are left out.
    pub async fn linked_accounts(
        &self,
        tests: TestAccounts,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<ListedAccount>, Option<Cursor>), MergeError> {
        let mut call = list(tests).query("page_size", "100");
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor.as_str());
        }
        let page: Page = self.fetch(call).await?;
        let next = Walk::next(LIST, &page, cursor)?;
        Ok((page.results.iter().filter_map(|row| listed(row)).collect(), next))
    }
}

const LIST: &str = "linked-accounts";

/// The list is the same under every category.
pub(super) fn list<'a>(tests: TestAccounts) -> Call<'a> {
    let call = Call::get(LIST, format!("{}/v1/linked-accounts", Category::Hris));
    match tests {
        TestAccounts::Exclude => call,
        TestAccounts::Only => call.query("is_test_account", "true"),
    }
}

fn listed(row: &RawValue) -> Option<ListedAccount> {
    #[derive(Deserialize)]
    struct Row {
        id: MergeLinkedAccountId,
        #[serde(default, deserialize_with = "lenient")]
        end_user_origin_id: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        category: Option<Category>,
        #[serde(default, deserialize_with = "lenient")]
        status: Option<String>,
        #[serde(default, deserialize_with = "lenient")]
        integration: Option<WireIntegration>,
        #[serde(default, deserialize_with = "lenient")]
        is_duplicate: Option<bool>,
    }
    let row: Row = serde_json::from_str(row.get()).ok()?;
    Some(ListedAccount {
        merge_id: row.id,
        end_user_origin_id: row.end_user_origin_id.filter(|id| !id.is_empty()),
        category: row.category,
        status: AccountStatus::of_merge(row.status.as_deref().unwrap_or_default()),
        integration: row.integration.unwrap_or_default().into_domain(),
        is_duplicate: row.is_duplicate,
    })
}

/// Text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    // "." and ".." alone would be taken for steps in the path.
    if encoded.bytes().all(|byte| byte == b'.') { encoded.replace('.', "%2E") } else { encoded }
}
