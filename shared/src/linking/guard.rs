//! The same-account guard: a relink repairs a connection, and must not quietly make another of it. If it led to another
//! system, or to another organization's, the timeline says so and nothing is deleted until somebody says that it is
//! meant.

use jiff::Timestamp;

use super::{LinkError, Linking};
use crate::{
    domain::account::{Integration, LinkedAccount},
    merge::AccountDetails,
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
    },
    telemetry::{self, Metric},
};

/// Where a relink led, when not to where the account was.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    from: Integration,
    to: Integration,
    organization: Option<String>,
    organization_changed: bool,
}

impl Linking {
    /// Compares an account with what Merge says of it now: its data may come before any word of the relink that led
    /// elsewhere. Answers the account as it stands then.
    pub async fn guarded(
        &self,
        account: LinkedAccount,
        details: &AccountDetails,
        now: Timestamp,
    ) -> Result<LinkedAccount, LinkError> {
        if led_elsewhere(&account, None, details).is_none() {
            return Ok(account);
        }
        let mut elsewhere = None;
        let changed = self.store.change_account(&account.organization, account.id, |account| {
            elsewhere = led_elsewhere(account, None, details).filter(|_| account.status.connected());
            if elsewhere.is_none() {
                return Change::Keep;
            }
            hold(account, elsewhere.as_ref(), now);
            account.updated_at = now;
            Change::Write
        });
        let account = changed.await?.unwrap_or(account);
        if let Some(elsewhere) = elsewhere {
            self.record(&account, elsewhere.event(now, SYSTEM)).await;
        }
        Ok(account)
    }
}

/// Compares an account with what Merge says of it. What either side does not know is no difference. `told`: what an
/// exchange said about the system.
pub(super) fn led_elsewhere(
    account: &LinkedAccount,
    told: Option<&Integration>,
    details: &AccountDetails,
) -> Option<Elsewhere> {
    let slug = details.integration_slug.as_deref().filter(|slug| !slug.is_empty());
    let integration_changed =
        slug.is_some_and(|slug| !account.integration.slug.is_empty() && slug != account.integration.slug);
    let (was, is) = (account.notes.end_user_organization.as_ref(), details.end_user_organization.as_ref());
    let organization_changed = was.is_some() && is.is_some() && was != is;
    if !integration_changed && !organization_changed {
        return None;
    }
    let told = told.filter(|integration| Some(integration.slug.as_str()) == slug).cloned();
    let known = || Integration {
        name: details.integration_name.clone().unwrap_or_default(),
        slug: slug.unwrap_or_default().to_owned(),
        image: None,
        color: None,
    };
    let to = if integration_changed { told.unwrap_or_else(known) } else { account.integration.clone() };
    Some(Elsewhere { from: account.integration.clone(), to, organization: is.cloned(), organization_changed })
}

/// Shows the account as what it is now, and holds its deletions.
pub(super) fn hold(account: &mut LinkedAccount, elsewhere: Option<&Elsewhere>, now: Timestamp) {
    let Some(elsewhere) = elsewhere else { return };
    account.integration = elsewhere.to.clone();
    account.notes.end_user_organization = elsewhere.organization.clone().or(account.notes.end_user_organization.take());
    account.notes.deletions_held_since.get_or_insert(now);
}

impl Elsewhere {
    /// For the timeline; it is counted, too.
    pub(super) fn event(&self, now: Timestamp, actor: &str) -> Event {
        telemetry::count(Metric::RelinkedElsewhere, 1);
        Event::new(now, EventKind::RelinkedElsewhere, actor)
            .with("from", self.from.slug.clone())
            .with("to", self.to.slug.clone())
            .with("organization_changed", self.organization_changed)
    }
}
