//! A finding: one thing that is wrong, since when, and what to do about it.

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::account::LinkedAccount;
use shared::domain::ids::{AccountId, OrganizationId};

use crate::severity::Severity;

/// What was looked at. Stable words: scripts and the runbook name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Merge accepts the API key.
    ApiKey,
    /// The webhook keys can be read.
    WebhookKeys,
    /// Merge's webhooks arrive, and are signed with a key that we have.
    Webhooks,
    /// Somebody works on the queue.
    Queue,
    /// No message is dead.
    DeadLetters,
    /// The poller finishes its minutes.
    Schedule,
    /// The tables can be read.
    Tables,
    /// The account's token opens under its own context.
    Token,
    /// Merge answers for the account.
    Merge,
    /// Merge and we say the same of its status.
    Status,
    /// Nobody has to do anything about it.
    Health,
    /// The owner row and the account name each other.
    Owner,
    /// Both sides have the account.
    Orphan,
    /// Finished windows leave no time out.
    Tiling,
    /// The checkpoint stands where the ledger ends.
    Checkpoint,
    /// The copy is as fresh as it should be.
    Freshness,
    /// No deletions are held.
    Brake,
    /// A sample of records is Merge's.
    Records,
    /// A list can be read page after page.
    Pagination,
}

impl Check {
    /// As people read it.
    pub fn word(self) -> String {
        crate::output::word(self)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub check: Check,
    pub severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// One sentence.
    pub what: String,
    pub since: Option<Timestamp>,
    /// What to do: a command where one does it.
    pub advice: String,
}

impl Finding {
    pub fn new(check: Check, severity: Severity, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            severity,
            organization: None,
            account: None,
            model: None,
            what: what.into(),
            since: None,
            advice: advice.into(),
        }
    }

    pub fn broken(check: Check, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Severity::Broken, what, advice)
    }

    pub fn warning(check: Check, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Severity::Warning, what, advice)
    }

    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since;
        self
    }

    /// Says whose it is; `ACCOUNT` in the advice becomes the account's id.
    pub fn about(mut self, account: &LinkedAccount) -> Self {
        self.organization = Some(account.organization.clone());
        self.account = Some(account.id);
        self.advice = self.advice.replace("ACCOUNT", &account.id.to_string());
        self
    }

    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}
