//! The pending attempt: the slot of one organization and category, in which an account to be holds its id from the
//! first click until it is connected.
//!
//! | state | set by | `one_per_category` | `many_per_category` |
//! |---|---|---|---|
//! | `pending` | [`Store::reserve`] | reused | reused |
//! | `connected` | completing the link | 409 `already_connected` | overwritten |
//! | `disconnecting` | [`Store::mark_slot_disconnecting`] | 409 `disconnecting` | overwritten |
//!
//! A pending attempt never expires: Merge opens the same account for the same origin id, however late. The slot is
//! removed only by its own account: every change is conditional on `account = :account`.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Item, Store, StoreError,
    item::s,
    keys::{self, prefix},
    rows::{Condition, From, Put, decode, encode},
};
use crate::domain::{
    account::LinkedAccount,
    category::Category,
    ids::{AccountId, OrganizationId},
    origin::{EndUserOriginId, OriginIdStrategy},
    schedule::{Due, PollClass},
    time,
};

/// What the slot of an organization and category holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// Reserved; the dialog was not finished.
    Pending,
    /// The account is connected.
    Connected,
    /// The account is being deleted.
    Disconnecting,
}

/// The slot, with the account that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    pub organization: OrganizationId,
    pub category: Category,
    pub account: AccountId,
    pub origin_id: EndUserOriginId,
    pub state: SlotState,
    /// The subject who asked first.
    pub created_by: String,
    pub created_at: Timestamp,
    /// Merge has refused a link token for it, whatever the person chose.
    pub refused: bool,
}

/// What came of a reservation.
#[derive(Debug, Clone, PartialEq)]
pub enum Reservation {
    /// The slot was empty and is ours now.
    First(Slot),
    /// The slot was an earlier account's and is ours now.
    Additional(Slot),
    /// An attempt was pending: this is it, with its own id.
    Reused(Slot),
    /// The category holds its one account.
    AlreadyConnected,
    /// The category's one account is being deleted.
    Disconnecting,
}

#[derive(Serialize, Deserialize)]
struct SlotItem {
    organization: OrganizationId,
    category: Category,
    account: AccountId,
    origin_id: String,
    state: SlotState,
    created_by: String,
    created_at: Timestamp,
    /// Its place in the time wheel, while it is pending: the poller reports attempts that grow old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refused: bool,
}

impl Slot {
    fn to_item(&self) -> Result<Item, StoreError> {
        let slot = self.clone();
        let pending = slot.state == SlotState::Pending;
        let item = SlotItem {
            due: pending.then(|| Due::every(PollClass::Daily, slot.account).key),
            due_at: pending.then(|| time::fixed(slot.created_at)),
            organization: slot.organization,
            category: slot.category,
            account: slot.account,
            origin_id: slot.origin_id.to_string(),
            state: slot.state,
            created_by: slot.created_by,
            created_at: slot.created_at,
            refused: slot.refused,
        };
        encode(&keys::pending(&self.organization, self.category), &item)
    }

    fn from_item(item: Item) -> Result<Self, StoreError> {
        let item: SlotItem = decode(item)?;
        Ok(Self {
            organization: item.organization,
            category: item.category,
            account: item.account,
            origin_id: EndUserOriginId::stored(item.origin_id),
            state: item.state,
            created_by: item.created_by,
            created_at: item.created_at,
            refused: item.refused,
        })
    }
}

impl Store {
    /// Reserves the slot for `wanted`, or finds the attempt that is pending: one conditional put, whatever the
    /// concurrency. A put whose answer was lost is recognised as our own by its account id.
    pub async fn reserve(&self, wanted: Slot, strategy: OriginIdStrategy) -> Result<Reservation, StoreError> {
        let condition = match strategy {
            OriginIdStrategy::OnePerCategory => Condition::new("attribute_not_exists(pk)"),
            OriginIdStrategy::ManyPerCategory => {
                Condition::new("attribute_not_exists(pk) OR #state <> :pending").value(":pending", s("pending"))
            }
        };
        let standing = match self.put_row("reserve", wanted.to_item()?, Some(condition)).await? {
            Put::Written(None) => return Ok(Reservation::First(wanted)),
            Put::Written(Some(_)) => return Ok(Reservation::Additional(wanted)),
            Put::Refused(item) => Slot::from_item(item)?,
        };
        Ok(match standing.state {
            SlotState::Pending if standing.account == wanted.account => Reservation::First(wanted),
            SlotState::Pending => Reservation::Reused(standing),
            SlotState::Connected => Reservation::AlreadyConnected,
            SlotState::Disconnecting => Reservation::Disconnecting,
        })
    }

    /// The slot as it stands.
    pub async fn slot(&self, of: &OrganizationId, category: Category) -> Result<Option<Slot>, StoreError> {
        self.row("slot", &keys::pending(of, category)).await?.map(Slot::from_item).transpose()
    }

    /// The pending attempts of an organization, at most one per category.
    pub async fn pending(&self, of: &OrganizationId) -> Result<Vec<Slot>, StoreError> {
        let rows = self
            .rows("pending", &keys::organization(of), prefix::PENDING, From::Start(None), Category::ALL.len())
            .await?;
        let slots = rows.items.into_iter().map(Slot::from_item).collect::<Result<Vec<_>, _>>()?;
        Ok(slots.into_iter().filter(|slot| slot.state == SlotState::Pending).collect())
    }

    /// Gives an account that came back its slot again, unless something else holds it by now.
    pub async fn hold_slot(&self, account: &LinkedAccount, now: Timestamp) -> Result<(), StoreError> {
        let slot = Slot {
            organization: account.organization.clone(),
            category: account.category,
            account: account.id,
            origin_id: account.origin_id.clone(),
            state: SlotState::Connected,
            created_by: account.created_by.clone(),
            created_at: now,
            refused: false,
        };
        self.put_row("hold_slot", slot.to_item()?, Some(Condition::new("attribute_not_exists(pk)"))).await?;
        Ok(())
    }

    /// Notes that Merge refuses link tokens for the reservation, so that further ones are counted before they are asked
    /// for. Nothing happens to a slot that is another account's or no longer pending.
    pub async fn mark_reservation_refused(&self, slot: &Slot) -> Result<(), StoreError> {
        let condition = Condition::new("#account = :account AND #state = :pending")
            .value(":account", s(slot.account.to_string()))
            .value(":pending", s("pending"))
            .value(":refused", AttributeValue::Bool(true));
        let key = keys::pending(&slot.organization, slot.category);
        self.update_row("mark_reservation_refused", &key, "SET #refused = :refused", condition).await?;
        Ok(())
    }

    /// Gives the reservation up, so that the next attempt starts with a new id. Nothing happens to a slot that is
    /// another account's or no longer pending.
    pub async fn free_reservation(&self, slot: &Slot) -> Result<(), StoreError> {
        let condition = Condition::new("#account = :account AND #state = :pending")
            .value(":account", s(slot.account.to_string()))
            .value(":pending", s("pending"));
        self.delete_row("free_reservation", &keys::pending(&slot.organization, slot.category), Some(condition)).await?;
        Ok(())
    }

    /// Says in the slot that its account is leaving. Nothing happens to a slot that is another account's.
    pub async fn mark_slot_disconnecting(
        &self,
        of: &OrganizationId,
        category: Category,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let condition = Condition::new("#account = :account")
            .value(":account", s(account.to_string()))
            .value(":disconnecting", s("disconnecting"));
        let key = keys::pending(of, category);
        self.update_row("mark_slot_disconnecting", &key, "SET #state = :disconnecting REMOVE #due, #due_at", condition)
            .await?;
        Ok(())
    }

    /// Removes the slot of an account that is gone, whatever its state. Nothing happens to a slot that is another
    /// account's.
    pub async fn free_slot(
        &self,
        of: &OrganizationId,
        category: Category,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let condition = Condition::new("#account = :account").value(":account", s(account.to_string()));
        self.delete_row("free_slot", &keys::pending(of, category), Some(condition)).await?;
        Ok(())
    }
}
