//! Limits: counters of what one organization does in one minute, and turns, which keep what costs a call to Merge from
//! being done too often for one account.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    Fault, Store, StoreError,
    item::{Reader, key_of, n, s},
    keys,
    rows::{Condition, Put, expiring},
    with_retries,
};
use crate::domain::{
    ids::{AccountId, OrganizationId},
    time,
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Calls that Merge has not accepted, of those that it may refuse for what a caller sent.
    Refused,
    Relink,
    /// Syncs that people ask for.
    Refresh,
    Delete,
    /// Names and marks that people give an account.
    Patch,
    /// Questions for an account's duplicates.
    Duplicates,
    /// Exchanges that name themselves: each name is a row.
    Named,
}

impl Counter {
    /// Its attribute in the row of the minute.
    fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Relink => "relinks",
            Self::Refresh => "refreshes",
            Self::Delete => "deletes",
            Self::Patch => "patches",
            Self::Duplicates => "duplicates",
            Self::Named => "named",
        }
    }
}

/// A turn: what is done for an account once in a while, whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Names it, for whoever took it and for those who came too late for one of their own: what they do under this name,
    /// they do once.
    pub id: Uuid,
    /// When it was taken.
    pub at: Timestamp,
    /// The caller has taken it.
    pub is_new: bool,
}

impl Store {
    /// Adds `by` to one of the organization's counters of this minute, which share a row, and answers its value. Counting is not conditional: an
    /// attempt whose answer was lost may count twice, which only makes the limit stricter.
    pub async fn count(
        &self,
        of: &OrganizationId,
        counter: Counter,
        by: i64,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let key = keys::limit(of, now.as_second().div_euclid(60));
        let ttl = now.saturating_add(SignedDuration::from_mins(10)).unwrap_or(Timestamp::MAX);
        let answer = with_retries("count", || async {
            self.client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key_of(&key)))
                .update_expression("ADD #count :by SET #ttl = :ttl")
                .expression_attribute_names("#count", counter.label())
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":by", n(by))
                .expression_attribute_values(":ttl", n(ttl.as_second()))
                .return_values(ReturnValue::UpdatedNew)
                .send()
                .await
                .map_err(|error| Fault::of(&error))
        });
        let attributes = answer.await?.and_then(|output| output.attributes).unwrap_or_default();
        Reader(&attributes).number(counter.label())
    }

    /// Takes the account's turn for `purpose`, unless it was taken less than `every` ago: of many at once, one gets it,
    /// and the others are told of that one.
    pub async fn take_turn(
        &self,
        account: AccountId,
        purpose: &str,
        every: Duration,
        now: Timestamp,
    ) -> Result<Turn, StoreError> {
        let key = keys::turn(account, purpose);
        let turn = Turn { id: crate::ambient::uuid(), at: now, is_new: true };
        let mut item = key_of(&key);
        item.insert("at".to_owned(), s(time::fixed(turn.at)));
        item.insert("writer".to_owned(), s(turn.id.to_string()));
        let item = expiring(item, now.saturating_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX));
        let before = now.saturating_sub(every).unwrap_or(Timestamp::MIN);
        let condition =
            Condition::new("attribute_not_exists(pk) OR #at <= :before").value(":before", s(time::fixed(before)));
        Ok(match self.put_row("take_turn", item.clone(), Some(condition)).await? {
            Put::Written(_) => turn,
            // The first answer was lost and this is what it wrote.
            Put::Refused(standing) if standing == item => turn,
            Put::Refused(standing) => {
                let reader = Reader(&standing);
                let at = time::parse(reader.text("at")?).ok_or_else(|| reader.corrupt("at"))?;
                let id = Uuid::parse_str(reader.text("writer")?).map_err(|_| reader.corrupt("writer"))?;
                Turn { id, at, is_new: false }
            }
        })
    }
}
