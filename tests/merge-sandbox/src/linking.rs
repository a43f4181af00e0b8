//! Linking: link token → dialog → public token → account token, with Merge's rules about accounts.
//!
//! An account is (end user's origin id, category); a second linking of a pair is a relink and keeps id and token.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::{Account, EndUser, Status};
use crate::clock::Time;
use crate::ids::{hash_str, mix};
use crate::integrations;
use crate::models::Model;
use crate::settings::{Duplicates, Relinks};
use crate::sync::Event;
use crate::world::World;

/// What a link token is bound to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkToken {
    pub end_user: EndUser,
    pub categories: Vec<String>,
    /// The preselected integration's slug.
    pub integration: Option<String>,
    pub is_test: bool,
    pub are_syncs_disabled: bool,
    /// Model names or ids that may be read; `None`: all.
    pub readable: Option<Vec<String>>,
    pub language: String,
    pub expires_at: Time,
}

/// A public token: one exchange, ten minutes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PublicToken {
    account: String,
    expires_at: Time,
}

const PUBLIC_TOKEN_MINUTES: i64 = 10;

/// How the dialog ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Success,
    Exit,
    ValidationError,
}

/// What the end user did in the dialog.
#[derive(Clone, Debug, Deserialize)]
pub struct Attempt {
    pub link_token: String,
    pub integration_slug: Option<String>,
    pub credentials: Option<Value>,
    pub outcome: Ending,
}

/// What the dialog tells the page.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Linked {
    Success { public_token: String, is_token_for_other_preexisting_linked_account: bool },
    Refused { errors: Vec<Value> },
    Exited {},
}

/// Why an attempt cannot even be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    #[error("The link token is unknown, used or expired.")]
    Token,
    #[error("The link token does not allow this integration.")]
    Integration,
}

impl World {
    /// The integrations that a link token offers, in the order of the catalogue.
    pub fn offered(&self, token: &LinkToken) -> Vec<&'static integrations::Integration> {
        let existing =
            token.categories.iter().find_map(|category| self.account_of(&token.end_user.origin_id, category));
        let existing = existing.filter(|account| account.status != Status::Incomplete);
        let fixed = existing.map(|account| account.integration.as_str()).or(token.integration.as_deref());
        integrations::all()
            .iter()
            .filter(|offer| fixed.is_none_or(|slug| slug == offer.slug))
            .filter(|offer| offer.categories.iter().any(|category| token.categories.iter().any(|c| c == category)))
            .collect()
    }

    pub fn account_of(&self, origin_id: &str, category: &str) -> Option<&Account> {
        let mut accounts = self.store.accounts.values();
        accounts.find(|account| account.end_user.origin_id == origin_id && account.category == category)
    }

    /// A link token that may still be used.
    pub fn open_link_token(&self, token: &str, now: Time) -> Result<LinkToken, LinkError> {
        self.store.link_tokens.get(token).filter(|found| found.expires_at > now).cloned().ok_or(LinkError::Token)
    }

    /// Does what the end user did in the dialog.
    pub fn link(&mut self, attempt: &Attempt, now: Time) -> Result<Linked, LinkError> {
        let token = self.open_link_token(&attempt.link_token, now)?;
        let offered = self.offered(&token);
        let chosen = match &attempt.integration_slug {
            Some(slug) => Some(*offered.iter().find(|offer| offer.slug == slug).ok_or(LinkError::Integration)?),
            None if offered.len() == 1 => offered.first().copied(),
            None => None,
        };
        let Some(integration) = chosen else {
            return if attempt.outcome == Ending::Exit { Ok(Linked::Exited {}) } else { Err(LinkError::Integration) };
        };
        let category = token.categories.iter().find(|category| integration.categories.contains(&category.as_str()));
        let category = category.ok_or(LinkError::Integration)?.clone();
        let id = self.reserve(&token, &category, integration.slug, now);
        match attempt.outcome {
            Ending::Exit => return Ok(Linked::Exited {}),
            Ending::ValidationError => return Ok(refusal("INVALID_CREDENTIALS", "The credentials were not accepted.")),
            Ending::Success => {}
        }
        if let Some(other) = self.duplicate_of(&id, integration.slug, attempt.credentials.as_ref()) {
            match self.store.settings.duplicates {
                Duplicates::Allow => {}
                Duplicates::Silent => {
                    self.store.accounts.remove(&id);
                    self.touch(&id);
                    self.store.link_tokens.remove(&attempt.link_token);
                    return Ok(self.success(other, true, now));
                }
                Duplicates::Block => {
                    return Ok(refusal("DUPLICATE_LINKED_ACCOUNT", "This system is already connected elsewhere."));
                }
            }
        }
        // Single use: from here on the token is spent.
        self.store.link_tokens.remove(&attempt.link_token);
        self.complete(&id, &token, attempt.credentials.clone(), now);
        Ok(self.success(id, false, now))
    }

    /// The pair's account, created as INCOMPLETE where there is none.
    fn reserve(&mut self, token: &LinkToken, category: &str, integration: &str, now: Time) -> String {
        if let Some(existing) = self.account_of(&token.end_user.origin_id, category) {
            let id = existing.id.clone();
            if let Some(account) = self.store.accounts.get_mut(&id)
                && account.status == Status::Incomplete
            {
                account.integration = integration.to_owned();
                account.end_user = token.end_user.clone();
                self.touch(&id);
            }
            return id;
        }
        let id = self.fresh_id("account");
        let account_token = self.fresh("account-token").0;
        let account = Account {
            account_token,
            category: category.to_owned(),
            end_user: token.end_user.clone(),
            integration: integration.to_owned(),
            status: Status::Incomplete,
            is_test: token.is_test,
            credentials: None,
            created_at: now,
            completed_at: None,
            syncs: Vec::new(),
            datasets: Default::default(),
            round: None,
            next_round: None,
            interval_ms: None,
            drifts: false,
            initial_round_done: false,
            issues: Vec::new(),
            seed: mix(self.config.seed, hash_str(&id)),
            id: id.clone(),
        };
        self.store.accounts.insert(id.clone(), account);
        self.touch(&id);
        id
    }

    /// The production account that already has these credentials; a relink asks no such question.
    fn duplicate_of(&self, id: &str, slug: &str, credentials: Option<&Value>) -> Option<String> {
        let own =
            self.store.accounts.get(id).filter(|account| !account.is_test && account.status == Status::Incomplete)?;
        let wanted = format!("{slug} {}", credentials?);
        let mut others = self.store.accounts.values().filter(|account| account.id != own.id);
        others.find(|account| account.duplicate_key().as_ref() == Some(&wanted)).map(|account| account.id.clone())
    }

    fn complete(&mut self, id: &str, token: &LinkToken, credentials: Option<Value>, now: Time) {
        let plan = self.plan(now);
        let (settings, employees) = (&self.store.settings, self.config.employees);
        let Some(account) = self.store.accounts.get_mut(id) else { return };
        let is_relink = account.status != Status::Incomplete;
        let cured = account.status != Status::RelinkNeeded || settings.relinks == Relinks::Effective;
        if cured {
            account.status = Status::Complete;
        }
        account.completed_at = Some(now);
        account.end_user = token.end_user.clone();
        if credentials.is_some() {
            account.credentials = credentials;
        }
        if !is_relink {
            let enabled = |model: &Model| !token.are_syncs_disabled && is_readable(token, model);
            account.provision(|model| settings.size(model, employees), enabled);
        }
        // The catch-up after a relink is a round like any other.
        account.begin(&[], plan);
        let data = json!({"account_token": account.account_token, "is_relink": is_relink});
        let resolved = if cured { account.resolve_issues(None, now) } else { Vec::new() };
        self.touch(id);
        self.emit(id, Event::new(now, "LinkedAccount.linked", data), now);
        for event in resolved {
            self.emit(id, event, now);
        }
    }

    fn success(&mut self, account: String, is_other: bool, now: Time) -> Linked {
        let public_token = self.fresh("public-token").0;
        let expires_at = now.plus_millis(PUBLIC_TOKEN_MINUTES * 60_000);
        self.store.public_tokens.insert(public_token.clone(), PublicToken { account, expires_at });
        self.revision += 1;
        Linked::Success { public_token, is_token_for_other_preexisting_linked_account: is_other }
    }

    /// Exchanges a public token, once.
    pub fn exchange(&mut self, public_token: &str, now: Time) -> Option<&Account> {
        let token = self.store.public_tokens.remove(public_token)?;
        self.revision += 1;
        if token.expires_at <= now {
            return None;
        }
        self.store.accounts.get(&token.account)
    }

    /// Deletes an account, as by API or dashboard.
    pub fn remove(&mut self, id: &str, now: Time) -> bool {
        let Some(account) = self.store.accounts.remove(id) else { return false };
        self.touch(id);
        self.emit_about(&account.clone_without_data(), Event::new(now, "LinkedAccount.deleted", json!({})), now);
        true
    }

    /// Gives an account a new token; the old one is worth nothing from now on.
    pub fn regenerate(&mut self, id: &str) -> Option<String> {
        let token = self.fresh("account-token").0;
        self.store.accounts.get_mut(id)?.account_token.clone_from(&token);
        self.touch(id);
        Some(token)
    }
}

fn refusal(problem_type: &str, detail: &str) -> Linked {
    Linked::Refused { errors: vec![json!({"detail": detail, "problem_type": problem_type})] }
}

fn is_readable(token: &LinkToken, model: &Model) -> bool {
    token.readable.as_ref().is_none_or(|names| names.iter().any(|name| *name == model.name || *name == model.model_id))
}
