//! Linking: the rules by which an account token of Merge's becomes a linked account of an organization, or is refused.
//!
//! A token proves nothing about whose it is: with Merge's duplicate setting "show success" it may open somebody else's
//! account. So whatever delivered it, an exchange or a webhook, Merge's account-details are read with it and compared
//! with what this organization reserved, or already has. What does not match is refused without a trace: nothing is
//! stored, and nothing is ever deleted at Merge.

mod admission;
mod guard;
mod webhook;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    ambient,
    domain::{
        account::{Integration, LinkedAccount},
        category::Category,
        ids::{MergeLinkedAccountId, OrganizationId},
        secret::AccountToken,
    },
    merge::{MergeClient, MergeError},
    secrets::{SecretsError, TokenCipher, TokenContext},
    store::{
        Store, StoreError,
        events::{Event, EventKind},
    },
};

pub use webhook::LinkedEvent;

/// Reads and writes what linking needs.
#[derive(Clone)]
pub struct Linking {
    pub store: Store,
    pub merge: MergeClient,
    pub tokens: Arc<TokenCipher>,
    /// How long the timeline is kept.
    pub history: Duration,
}

/// A token, and who claims it.
#[derive(Debug, Clone)]
pub struct Claim {
    pub organization: OrganizationId,
    pub category: Category,
    pub merge_id: MergeLinkedAccountId,
    pub token: AccountToken,
    /// KMS ciphertext of `token` under the account's context.
    pub ciphertext: Vec<u8>,
    /// What the exchange said about the system; account-details say less.
    pub integration: Option<Integration>,
    /// SHA-256 of the public token, hexadecimal.
    pub public_token_hash: Option<String>,
    pub source: Source,
}

/// What delivered a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The page, on behalf of this subject.
    Exchange { subject: String },
    /// Merge's `LinkedAccount.linked`.
    Webhook { is_relink: bool },
}

impl Source {
    fn actor(&self) -> &str {
        match self {
            Self::Exchange { subject } => subject,
            Self::Webhook { .. } => crate::store::events::SYSTEM,
        }
    }
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// A new account: its first sync is to be queued.
    Created(LinkedAccount),
    /// An account of this organization, linked again: a catch-up sync is to be queued.
    Relinked(LinkedAccount),
    /// An account of this organization, as it stood.
    Unchanged(LinkedAccount),
    Refused(Refusal),
}

/// Why a claim is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Neither a reservation nor an account of this organization matches: somebody else's, or nobody's.
    NotOurs,
    /// The account is being deleted, or gone.
    Leaving,
    /// Merge says that there is no such account any more.
    Gone,
    /// Merge refuses the token that was delivered for an account which stands.
    StaleToken,
}

impl Refusal {
    /// A word for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Leaving => "leaving",
            Self::Gone => "gone",
            Self::StaleToken => "stale_token",
        }
    }
}

/// A claim that could not be decided now; it may be made again.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("a linked account cannot be verified")]
    Merge(#[from] MergeError),
    #[error("a link cannot be stored")]
    Store(#[from] StoreError),
    #[error("an account token cannot be opened or closed")]
    Secrets(#[from] SecretsError),
}

impl Linking {
    /// The account's token, opened.
    pub async fn token_of(&self, account: &LinkedAccount) -> Result<AccountToken, SecretsError> {
        let (organization, merge_id) = (&account.organization, &account.merge_id);
        self.tokens.decrypt(&account.token, TokenContext::Account { organization, merge_id }).await
    }

    /// A token as it is stored in the row of an account.
    pub async fn closed(
        &self,
        organization: &OrganizationId,
        merge_id: &MergeLinkedAccountId,
        token: &AccountToken,
    ) -> Result<Vec<u8>, SecretsError> {
        self.tokens.encrypt(token, TokenContext::Account { organization, merge_id }).await
    }

    /// Adds to the account's timeline. What happened has happened: a failure is logged and passed over.
    pub async fn record(&self, account: &LinkedAccount, event: Event) {
        if let Err(error) = self.store.add_event(account.id, &event, ambient::uuid(), self.history).await {
            tracing::warn!(error = crate::telemetry::chain(&error), "an event is missing from a timeline");
        }
    }

    async fn record_admission(&self, account: &LinkedAccount, kind: EventKind, source: &Source, now: Timestamp) {
        let event = Event::new(now, kind, source.actor()).with("integration", account.integration.slug.clone());
        self.record(account, event).await;
    }
}
