//! The webhook's way: `LinkedAccount.linked` completes a link whose page was closed, or repeats one that stands.

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use jiff::Timestamp;

use super::{Admission, Claim, LinkError, Linking, Refusal, Source};
use crate::{
    domain::{
        account::AccountStatus,
        category::Category,
        ids::{MergeLinkedAccountId, OrganizationId},
        origin::EndUserOriginId,
    },
    merge::ErrorKind,
    secrets::{SecretsError, TokenContext},
    store::pending::SlotState,
};

/// What `LinkedAccount.linked` said, as it stood on the queue.
#[derive(Debug, Clone)]
pub struct LinkedEvent<'a> {
    pub merge_id: &'a MergeLinkedAccountId,
    pub end_user_origin_id: &'a str,
    pub category: &'a str,
    pub is_relink: bool,
    /// Base64 KMS ciphertext of the account token, under the webhook's context.
    pub token: Option<&'a str>,
}

impl Linking {
    /// Completes a reservation, or notes a relink, from a webhook. Nothing that the event says is believed before
    /// account-details say the same. Events about accounts that are nobody's here are refused without a call.
    pub async fn linked(&self, event: &LinkedEvent<'_>, now: Timestamp) -> Result<Admission, LinkError> {
        // 1. Whose could it be? An account that stands, or a reservation that the origin id names.
        let owner = self.store.account_of(event.merge_id).await?;
        let (organization, category) = match &owner {
            // What merely counted as gone may be back.
            Some(account) if account.status == AccountStatus::Deleting => {
                return Ok(Admission::Refused(Refusal::Leaving));
            }
            Some(account) => (account.organization.clone(), account.category),
            None => match self.reserved(event).await? {
                Some(found) => found,
                None => return Ok(Admission::Refused(Refusal::NotOurs)),
            },
        };
        // 2. The token, from the webhook's hands into the account's.
        let Some(token) = event.token else {
            return Ok(owner.map_or(Admission::Refused(Refusal::NotOurs), Admission::Unchanged));
        };
        let delivered = TokenContext::Webhook { merge_id: event.merge_id };
        let token = BASE64.decode(token).map_err(|_| SecretsError::WrongContext)?;
        let token = self.tokens.decrypt(&token, delivered).await?;
        if let Some(account) = owner.as_ref().filter(|account| !event.is_relink && account.status.connected())
            && self.token_of(account).await?.expose() == token.expose()
        {
            return Ok(Admission::Unchanged(account.clone()));
        }
        let ciphertext = self.closed(&organization, event.merge_id, &token).await?;
        // 3. The same rules as for an exchange.
        let claim = Claim {
            organization,
            category,
            merge_id: event.merge_id.clone(),
            token,
            ciphertext,
            integration: None,
            public_token_hash: None,
            source: Source::Webhook { is_relink: event.is_relink },
        };
        match self.admit(&claim, now).await {
            Err(LinkError::Merge(error)) if matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::NotFound) => {
                // An old event of an account that is gone, or an outage of our key? Merge's own list tells.
                match (self.merge.linked_account(event.merge_id).await?, owner) {
                    (None, _) => Ok(Admission::Refused(Refusal::Gone)),
                    // The account stands with a newer token: whoever repeats an old event must not hold up its queue.
                    (Some(_), Some(_)) => Ok(Admission::Refused(Refusal::StaleToken)),
                    (Some(_), None) => Err(LinkError::Merge(error)),
                }
            }
            decided => decided,
        }
    }

    /// The organization and category of the pending reservation that the event's origin id names in full.
    async fn reserved(&self, event: &LinkedEvent<'_>) -> Result<Option<(OrganizationId, Category)>, LinkError> {
        let Some(parts) = EndUserOriginId::parse(event.end_user_origin_id) else { return Ok(None) };
        if parts.category.slug() != event.category {
            return Ok(None);
        }
        let slot = self.store.slot(&parts.organization, parts.category).await?;
        let stands = slot.is_some_and(|slot| {
            slot.state == SlotState::Pending && slot.origin_id.as_str() == event.end_user_origin_id
        });
        Ok(stands.then_some((parts.organization, parts.category)))
    }
}
