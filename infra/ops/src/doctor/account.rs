//! One account: its token, Merge's answers, its owner row, its windows and checkpoints. Gathered first, then judged by
//! a pure function.

use std::time::Duration;

use jiff::Timestamp;
use shared::config::Clock;
use shared::domain::account::{AccountStatus, LinkedAccount};
use shared::domain::endpoint::{Endpoint, Rule};
use shared::domain::health::{self, Actor, HealthState};
use shared::domain::message::AccountRef;
use shared::domain::schedule::PollClass;
use shared::domain::secret::AccountToken;
use shared::domain::sync_status::SyncStatus;
use shared::domain::window::Checkpoint;
use shared::linking::Linking;
use shared::merge::ErrorKind;
use shared::secrets::SecretsError;
use shared::store::brake::Held;
use shared::store::ledger::LedgerRow;
use shared::telemetry;

use super::finding::{Check, Finding};
use super::tiling;
use crate::failure::Failure;
use crate::output::word;

/// What is known of one account.
pub struct AccountFacts {
    pub account: LinkedAccount,
    pub token: Result<(), TokenFault>,
    /// What Merge says; `None` where it was not asked: the account is leaving, its token does not open, or Merge is
    /// out.
    pub merge: Option<MergeSays>,
    pub owner: Option<AccountRef>,
    pub models: Vec<ModelFacts>,
    /// By the slug of the endpoint.
    pub held: Vec<(String, Held)>,
}

/// Why a token does not open.
pub enum TokenFault {
    /// The ciphertext is another row's, or damaged.
    Foreign,
    /// The key cannot be used.
    Key(String),
}

/// Merge's word about an account.
pub enum MergeSays {
    Serves {
        status: AccountStatus,
        syncs: Vec<SyncStatus>,
    },
    /// It has no such account.
    Gone,
    /// It has the account, but does not accept our token.
    TokenRefused,
    Fails(String),
}

/// One model's copy.
pub struct ModelFacts {
    pub endpoint: &'static Endpoint,
    pub checkpoint: Checkpoint,
    pub windows: Vec<LedgerRow>,
}

/// By what an account is judged.
#[derive(Clone, Copy)]
pub struct Yardstick {
    pub clock: Clock,
    pub now: Timestamp,
    /// How long the ledger remembers.
    pub kept: Duration,
    /// A copy this much older than Merge's is stale; twice the polling interval without one.
    pub stale_after: Option<Duration>,
}

/// Reads what there is to know. `linking`: none while Merge cannot be called at all.
pub async fn gather(linking: &Linking, ask_merge: AskMerge, account: LinkedAccount) -> Result<AccountFacts, Failure> {
    let store = &linking.store;
    let (token, opened) = match linking.token_of(&account).await {
        Ok(token) => (Ok(()), Some(token)),
        Err(SecretsError::WrongContext) => (Err(TokenFault::Foreign), None),
        Err(error) => (Err(TokenFault::Key(telemetry::chain(&error))), None),
    };
    let merge = match opened {
        Some(token) if ask_merge == AskMerge::Yes && account.status.connected() => {
            Some(asked(linking, &account, &token).await)
        }
        _ => None,
    };
    let checkpoints = store.checkpoints(account.id).await?;
    let mut models = Vec::new();
    for endpoint in Endpoint::of(account.category) {
        if let Some(checkpoint) = checkpoints.get(&endpoint.slug()) {
            let windows = store.windows(account.id, endpoint).await?;
            models.push(ModelFacts { endpoint, checkpoint: checkpoint.clone(), windows });
        }
    }
    let owner = store.owner(&account.merge_id).await?;
    let held = store.all_held(account.id).await?;
    Ok(AccountFacts { account, token, merge, owner, models, held })
}

/// Whether Merge is asked about each account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskMerge {
    Yes,
    No,
}

async fn asked(linking: &Linking, account: &LinkedAccount, token: &AccountToken) -> MergeSays {
    let merge = &linking.merge;
    let answers = async {
        let details = merge.account_details(account.category, token).await?;
        let syncs = merge.sync_status(account.category, token, None).await?;
        Ok::<_, shared::merge::MergeError>(MergeSays::Serves { status: details.status, syncs })
    };
    match answers.await {
        Ok(says) => says,
        Err(error) if matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::NotFound) => {
            match merge.linked_account(&account.merge_id).await {
                Ok(None) => MergeSays::Gone,
                Ok(Some(_)) => MergeSays::TokenRefused,
                Err(error) => MergeSays::Fails(telemetry::chain(&error)),
            }
        }
        Err(error) => MergeSays::Fails(telemetry::chain(&error)),
    }
}

/// What is wrong with an account.
pub fn judge(facts: &AccountFacts, by: &Yardstick) -> Vec<Finding> {
    let account = &facts.account;
    let mut findings = Vec::new();
    findings.extend(token(facts));
    findings.extend(owner(facts));
    findings.extend(merge(facts));
    findings.extend(health(account, by.now));
    // What is approved is on its way.
    for (slug, held) in facts.held.iter().filter(|(_, held)| !held.approved) {
        let what = format!("{} of {} records would be deleted; the brake holds them", held.missing, held.live);
        let advice = "`tether brake show ACCOUNT` tells more; then approve or discard them";
        let model = Endpoint::by_slug(slug).map_or_else(|| slug.clone(), Endpoint::key);
        findings.push(Finding::broken(Check::Brake, what, advice).since(Some(held.at)).model(model));
    }
    if let Some(since) = account.notes.deletions_held_since {
        let what = "a relink led to another system or company: nothing is deleted until somebody says that it is meant";
        let advice = "ask the customer; `tether brake release ACCOUNT` says it for them";
        findings.push(Finding::warning(Check::Brake, what, advice).since(Some(since)));
    }
    for model in &facts.models {
        let key = model.endpoint.key();
        findings.extend(tiling::judge(&key, &model.checkpoint, &model.windows, by.kept, by.now));
    }
    if let Some(MergeSays::Serves { syncs, .. }) = &facts.merge {
        findings.extend(syncs.iter().filter_map(|sync| stale(facts, sync, by)));
    }
    findings.into_iter().map(|finding| finding.about(account)).collect()
}

fn token(facts: &AccountFacts) -> Option<Finding> {
    // What is gone at Merge's side is opened by no token any more.
    if facts.account.status == AccountStatus::Deleted {
        return None;
    }
    match &facts.token {
        Ok(()) => None,
        Err(TokenFault::Foreign) => Some(Finding::broken(
            Check::Token,
            "the account token does not open: the row holds another account's, or damaged bytes",
            "`tether inbox --account ACCOUNT --links` gives a link with which the customer reconnects; that brings the token \
             again",
        )),
        Err(TokenFault::Key(why)) => Some(Finding::broken(
            Check::Token,
            format!("the account token cannot be opened: {why}"),
            "enable the stack's TokenKey; if it is lost, each customer must reconnect",
        )),
    }
}

fn owner(facts: &AccountFacts) -> Option<Finding> {
    let account = &facts.account;
    let own = AccountRef { organization: account.organization.clone(), account: account.id };
    let advice = "webhooks of this account are not recognised; the poller still syncs it";
    match &facts.owner {
        Some(owner) if *owner == own => None,
        None => {
            let advice = format!("{advice}. `tether orphans adopt {}` writes the row again", account.merge_id);
            Some(Finding::broken(Check::Owner, "the account has no owner row", advice))
        }
        Some(other) => {
            let what = format!("the owner row names the account {} of {}", other.account, other.organization);
            Some(Finding::broken(Check::Owner, what, advice))
        }
    }
}

fn merge(facts: &AccountFacts) -> Option<Finding> {
    let account = &facts.account;
    match facts.merge.as_ref()? {
        MergeSays::Gone => Some(Finding::broken(
            Check::Orphan,
            "Merge has no such account",
            format!(
                "`tether orphans delete {}` marks it as disconnected, once Merge has not had it for an hour",
                account.merge_id
            ),
        )),
        MergeSays::TokenRefused => Some(Finding::broken(
            Check::Merge,
            "Merge has the account but refuses its token",
            "it was regenerated elsewhere: `tether inbox --account ACCOUNT --links` gives a link with which the customer \
             reconnects",
        )),
        MergeSays::Fails(why) => {
            let what = format!("Merge does not answer for the account: {why}");
            Some(Finding::warning(Check::Merge, what, "see status.merge.dev; it is tried again by itself"))
        }
        MergeSays::Serves { status, .. } if *status != account.status => {
            let what = format!("Merge says {}, the account says {}", status.as_str(), account.status.as_str());
            let advice = "`tether replay ACCOUNT` reads it again";
            Some(Finding::warning(Check::Status, what, advice).since(Some(account.status_since)))
        }
        MergeSays::Serves { .. } => None,
    }
}

/// What the API shows as somebody's to mend.
fn health(account: &LinkedAccount, now: Timestamp) -> Option<Finding> {
    let health = health::of_account(account, now);
    let reason = health.reason.map(word).unwrap_or_default();
    let what = format!("{}: {reason}", word(health.state));
    let finding = match (health.state, health.actor) {
        (HealthState::ActionNeeded | HealthState::Degraded | HealthState::Paused, Actor::Operator) => {
            Finding::broken(Check::Health, what, "`tether account ACCOUNT` shows what led to it")
        }
        (HealthState::ActionNeeded | HealthState::Paused, _) => {
            Finding::warning(Check::Health, what, "`tether inbox` says who can mend it, and gives a link to send")
        }
        (HealthState::Disconnecting, Actor::Operator) => {
            Finding::broken(Check::Health, "its deletion waits for Merge", "see the finding about the API key")
        }
        _ => return None,
    };
    Some(finding.since(Some(health.since)))
}

/// How long the next full read of a model that cannot say what changed may be away.
const FULL_READ_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Merge finished a sync a while ago that we have not copied.
fn stale(facts: &AccountFacts, sync: &SyncStatus, by: &Yardstick) -> Option<Finding> {
    let endpoint = sync.endpoint(facts.account.category)?;
    let model = facts.models.iter().find(|model| model.endpoint == endpoint)?;
    let finished = sync.readable(model.checkpoint.upper)?;
    let class = facts.account.due.poll_class().unwrap_or(PollClass::OneHour);
    let interval = by.clock.real(Duration::from_secs(class.minutes() * 60));
    let mut patience = by.stale_after.unwrap_or(2 * interval);
    if endpoint.rule() != Rule::Windows {
        patience += FULL_READ_EVERY;
    }
    let late = by.now.duration_since(finished);
    if late.is_negative() || late.unsigned_abs() < patience {
        return None;
    }
    let stands = crate::output::time(model.checkpoint.upper);
    let what = format!("Merge finished a sync at {finished:.0}; the copy ends at {stands}");
    let advice = "`tether replay ACCOUNT` fetches it; `tether account ACCOUNT` shows what hinders it";
    Some(Finding::broken(Check::Freshness, what, advice).since(Some(finished)).model(endpoint.key()))
}
