//! Admission: one claim, compared with Merge's account-details and with our rows.

use jiff::{SignedDuration, Timestamp};

use super::{Admission, Claim, LinkError, Linking, Refusal, Source, guard};
use crate::{
    domain::{
        account::{AccountStatus, Deletion, Integration, LinkedAccount, Notes, SyncFacts},
        message::AccountRef,
        schedule::{Due, PollFacts, poll_class},
    },
    merge::AccountDetails,
    secrets::SecretsError,
    store::{
        accounts::Change,
        events::EventKind,
        linking::Completion,
        pending::{Slot, SlotState},
    },
};

/// How long after a relink another word of it is the same one: the exchange and the webhook both tell.
const SAME_RELINK: SignedDuration = SignedDuration::from_mins(10);
/// The longest that a link token opens the dialog, and so the longest between asking for a relink and hearing of it.
const LONGEST_LINK_TOKEN: SignedDuration = SignedDuration::from_hours(12);
/// Events among which the request for a relink is looked for.
const NEWEST_EVENTS: usize = 100;

impl Linking {
    /// Decides a claim and stores what follows. May be repeated with the same claim.
    pub async fn admit(&self, claim: &Claim, now: Timestamp) -> Result<Admission, LinkError> {
        // 1. Merge says whose account the token opens.
        let details = self.merge.account_details(claim.category, &claim.token).await?;
        if !names_the_claim(&details, claim) {
            return Ok(Admission::Refused(Refusal::NotOurs));
        }
        // 2. A reservation of this organization comes first; then an account that it has.
        let slot = self.store.slot(&claim.organization, claim.category).await?;
        let slot = slot.filter(|slot| slot.state == SlotState::Pending);
        let reserved =
            slot.as_ref().filter(|slot| details.end_user_origin_id.as_deref() == Some(slot.origin_id.as_str()));
        if let Some(slot) = reserved {
            return self.complete(claim, &details, slot, now).await;
        }
        match self.store.owner(&claim.merge_id).await? {
            Some(owner) => self.welcome_back(claim, &details, &owner, slot.as_ref(), now).await,
            None => Ok(Admission::Refused(Refusal::NotOurs)),
        }
    }

    /// The reservation becomes an account.
    async fn complete(
        &self,
        claim: &Claim,
        details: &AccountDetails,
        slot: &Slot,
        now: Timestamp,
    ) -> Result<Admission, LinkError> {
        let account = new_account(claim, details, slot, now);
        match self.store.complete_link(&account).await? {
            Completion::Created(account) => {
                self.record_admission(&account, EventKind::Connected, &claim.source, now).await;
                Ok(Admission::Created(account))
            }
            Completion::Existing(account) => self.unchanged(account, claim).await,
            // One Merge account under two origin ids: with duplicates answered silently, it is the earlier one.
            Completion::Owned(owner) => self.welcome_back(claim, details, &owner, Some(slot), now).await,
            Completion::ReservationGone => Ok(Admission::Refused(Refusal::NotOurs)),
        }
    }

    /// An account that exists: linked again, or found as the duplicate of itself.
    async fn welcome_back(
        &self,
        claim: &Claim,
        details: &AccountDetails,
        owner: &AccountRef,
        slot: Option<&Slot>,
        now: Timestamp,
    ) -> Result<Admission, LinkError> {
        if owner.organization != claim.organization {
            return Ok(Admission::Refused(Refusal::NotOurs));
        }
        let Some(account) = self.store.account(&owner.organization, owner.account).await? else {
            return Ok(Admission::Refused(Refusal::NotOurs));
        };
        let same_origin = details.end_user_origin_id.as_deref() == Some(account.origin_id.as_str());
        if account.category != claim.category || !same_origin {
            return Ok(Admission::Refused(Refusal::NotOurs));
        }
        if account.status == AccountStatus::Deleting {
            return Ok(Admission::Refused(Refusal::Leaving));
        }

        let same_token = match self.token_of(&account).await {
            Ok(stored) => stored.expose() == claim.token.expose(),
            // Damaged, or another row's: the delivered one replaces it.
            Err(SecretsError::WrongContext) => false,
            Err(error) => return Err(error.into()),
        };
        // It counted as gone, and its token opens it: it is connected as before.
        let back = account.status == AccountStatus::Deleted;
        let again = back || self.linked_again(&account, claim, details, same_token, now).await?;
        if same_token && !again {
            return self.unchanged(account, claim).await;
        }
        // Nobody asked to repair this account, and an attempt to add one is open: the attempt found the duplicate.
        let duplicate = account.status == AccountStatus::Complete && matches!(claim.source, Source::Exchange { .. });
        let reserved_again = |slot: &&Slot| back && slot.origin_id == account.origin_id;
        if let Some(slot) = slot.filter(|slot| duplicate || reserved_again(slot)) {
            self.store.free_reservation(slot).await?;
        }

        let (mut back, mut elsewhere) = (back, None);
        let changed = self.store.change_account(&owner.organization, owner.account, |account| {
            if account.status == AccountStatus::Deleting {
                return Change::Keep;
            }
            // It may have gone only since it was read.
            back = account.status == AccountStatus::Deleted;
            elsewhere = guard::led_elsewhere(account, claim.integration.as_ref(), details);
            relink(account, claim, details, same_token, again, now);
            guard::hold(account, elsewhere.as_ref(), now);
            Change::Write
        });
        let Some(account) = changed.await?.filter(|account| account.status.connected()) else {
            return Ok(Admission::Refused(Refusal::Leaving));
        };
        if back {
            self.store.hold_slot(&account, now).await?;
        }
        if let Some(elsewhere) = elsewhere {
            self.record(&account, elsewhere.event(now, claim.source.actor())).await;
        }
        if again {
            self.record_admission(&account, EventKind::Relinked, &claim.source, now).await;
            return Ok(Admission::Relinked(account));
        }
        Ok(Admission::Unchanged(account))
    }

    /// An account that stands as it is. The page's exchange is noted on it all the same, because the webhook may have
    /// been faster: should the page repeat it, that is no news of a relink.
    async fn unchanged(&self, account: LinkedAccount, claim: &Claim) -> Result<Admission, LinkError> {
        if claim.public_token_hash.is_none() || claim.public_token_hash == account.public_token_hash {
            return Ok(Admission::Unchanged(account));
        }
        let noted = self.store.change_account(&account.organization, account.id, |account| {
            if !account.status.connected() {
                return Change::Keep;
            }
            account.public_token_hash.clone_from(&claim.public_token_hash);
            Change::Write
        });
        let Some(account) = noted.await?.filter(|account| account.status.connected()) else {
            return Ok(Admission::Refused(Refusal::Leaving));
        };
        Ok(Admission::Unchanged(account))
    }

    /// Whether the claim is news of a relink, and not an echo of one, or of the first link. A webhook may be a
    /// recording, whose word alone makes no relink: the account must be repaired by it, or somebody must have asked for
    /// one.
    async fn linked_again(
        &self,
        account: &LinkedAccount,
        claim: &Claim,
        details: &AccountDetails,
        same_token: bool,
        now: Timestamp,
    ) -> Result<bool, LinkError> {
        let heard = account.relinked_at.is_some_and(|at| now.duration_since(at) < SAME_RELINK);
        match &claim.source {
            Source::Webhook { is_relink } => {
                let told = *is_relink && !heard;
                let repaired = !same_token || repairs(account, details);
                Ok(told && (repaired || self.relink_is_open(account, now).await?))
            }
            Source::Exchange { .. } => {
                let known = account.public_token_hash.is_some() && account.public_token_hash == claim.public_token_hash;
                // The webhook completed the link, and this is the page's word of the same.
                let first = account.public_token_hash.is_none() && now.duration_since(account.created_at) < SAME_RELINK;
                Ok(!known && !first && (!heard || account.status == AccountStatus::RelinkNeeded))
            }
        }
    }

    /// Somebody asked for a relink, in the life of a link token, that nothing has been heard of since.
    async fn relink_is_open(&self, account: &LinkedAccount, now: Timestamp) -> Result<bool, LinkError> {
        let since = now.saturating_sub(LONGEST_LINK_TOKEN).unwrap_or(Timestamp::MIN);
        let since = account.relinked_at.map_or(since, |relinked_at| relinked_at.max(since));
        let newest = self.store.events(account.id, None, NEWEST_EVENTS, now).await?;
        Ok(newest.events.iter().any(|(_, event)| event.kind == EventKind::RelinkStarted && event.at > since))
    }
}

/// The token opens the account it was delivered for. Whose it is, is another question.
fn names_the_claim(details: &AccountDetails, claim: &Claim) -> bool {
    // The origin id, which is compared next, names the category as well: details that leave it out prove no less.
    let same_category = details.category.is_none_or(|category| category == claim.category);
    details.merge_id.as_ref() == Some(&claim.merge_id) && same_category
}

/// The account needed a relink, and by Merge's word of now needs none.
fn repairs(account: &LinkedAccount, details: &AccountDetails) -> bool {
    let needed = account.status == AccountStatus::RelinkNeeded;
    (needed && details.status != AccountStatus::RelinkNeeded) || account.facts.token_refused()
}

fn relink(
    account: &mut LinkedAccount,
    claim: &Claim,
    details: &AccountDetails,
    same_token: bool,
    again: bool,
    now: Timestamp,
) {
    if !same_token {
        account.token.clone_from(&claim.ciphertext);
    }
    if claim.public_token_hash.is_some() {
        account.public_token_hash.clone_from(&claim.public_token_hash);
    }
    if let Some(told) = claim.integration.as_ref().filter(|told| told.slug == account.integration.slug) {
        account.integration = told.clone();
    }
    let status = status_of(details);
    if account.status != status {
        account.status = status;
        account.status_since = now;
    }
    if again {
        account.relinked_at = Some(now);
    }
    account.deletion.missing_since = None;
    if account.facts.token_refused() {
        account.facts.trouble = None;
    }
    let class = poll_class(PollFacts {
        status,
        first_sync_completed: account.facts.initial_sync_completed,
        age_seconds: now.as_second() - account.created_at.as_second(),
        sync_interval_seconds: None,
        webhooks_arrive: false,
    });
    account.due = Due::every(class, account.id);
    account.updated_at = now;
}

/// Merge's word for the account. An account whose dialog was finished is not INCOMPLETE to us: data may flow.
fn status_of(details: &AccountDetails) -> AccountStatus {
    match details.status {
        AccountStatus::Incomplete => AccountStatus::Complete,
        status => status,
    }
}

fn new_account(claim: &Claim, details: &AccountDetails, slot: &Slot, now: Timestamp) -> LinkedAccount {
    let status = status_of(details);
    let class = poll_class(PollFacts {
        status,
        first_sync_completed: false,
        age_seconds: 0,
        sync_interval_seconds: None,
        webhooks_arrive: false,
    });
    let integration = claim.integration.clone().unwrap_or_else(|| Integration {
        name: details.integration_name.clone().unwrap_or_default(),
        slug: details.integration_slug.clone().unwrap_or_default(),
        image: None,
        color: None,
    });
    LinkedAccount {
        organization: claim.organization.clone(),
        id: slot.account,
        category: claim.category,
        status,
        status_since: now,
        merge_id: claim.merge_id.clone(),
        origin_id: slot.origin_id.clone(),
        integration,
        token: claim.ciphertext.clone(),
        public_token_hash: claim.public_token_hash.clone(),
        display_name: None,
        is_duplicate: details.is_duplicate,
        duplicate_ignored: false,
        issues: Default::default(),
        facts: SyncFacts::default(),
        relinked_at: None,
        notes: Notes { end_user_organization: details.end_user_organization.clone(), ..Notes::default() },
        deletion: Deletion::default(),
        chain: 0,
        due: Due::every(class, slot.account),
        created_by: slot.created_by.clone(),
        created_at: now,
        updated_at: now,
        version: 1,
    }
}
