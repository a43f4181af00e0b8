//! Limits: counters of what one organization does in one minute, or in two, and turns, which keep what costs a call to
//! Merge from being done too often for one account.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    Fault, Item, Store, StoreError,
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
    /// Questions where an account's syncs stand.
    Status,
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
            Self::Status => "statuses",
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
    /// Names it, for whoever took it and for those who came too late for one of their own: what they do under this
    /// name, they do once.
    pub id: Uuid,
    /// When it was taken.
    pub at: Timestamp,
    /// The caller has taken it.
    pub is_new: bool,
}

impl Store {
    /// Adds `by` to one of the organization's counters of this minute, which share a row, and answers its value.
    /// Counting is not conditional: an attempt whose answer was lost may count twice, which only makes the limit
    /// stricter.
    pub async fn count(
        &self,
        of: &OrganizationId,
        counter: Counter,
        by: i64,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = self.add(of, counter, by, None, now).await?.unwrap_or_default();
        Reader(&row).number(counter.label())
    }

    /// Adds one to a counter that stands for two minutes, unless it is at `most` in one of them: whatever is counted is
    /// counted in the row of its own minute and in that of the next, so a row holds what was counted in its minute and
    /// in the one before, and no two neighbouring minutes hold more than `most` together. `false`: nothing was counted.
    pub async fn count_over_two_minutes(
        &self,
        of: &OrganizationId,
        counter: Counter,
        most: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.add(of, counter, 1, Some(most), now).await?.is_none() {
            return Ok(false);
        }
        if self.add(of, counter, 1, Some(most), minute_after(now)).await?.is_none() {
            self.add(of, counter, -1, None, now).await?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Adds `by` to such a counter, whatever it says.
    pub async fn recount_over_two_minutes(
        &self,
        of: &OrganizationId,
        counter: Counter,
        by: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let add = |at| self.add(of, counter, by, None, at);
        futures::try_join!(add(now), add(minute_after(now)))?;
        Ok(())
    }

    /// Adds to a counter of the minute of `at`, and answers it; `None`, and nothing is added, if it is at `most`
    /// already.
    async fn add(
        &self,
        of: &OrganizationId,
        counter: Counter,
        by: i64,
        most: Option<i64>,
        at: Timestamp,
    ) -> Result<Option<Item>, StoreError> {
        let key = keys::limit(of, at.as_second().div_euclid(60));
        let ttl = at.saturating_add(SignedDuration::from_mins(10)).unwrap_or(Timestamp::MAX);
        let answer = with_retries("count", || async {
            let mut update = self
                .client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key_of(&key)))
                .update_expression("ADD #count :by SET #ttl = :ttl")
                .expression_attribute_names("#count", counter.label())
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":by", n(by))
                .expression_attribute_values(":ttl", n(ttl.as_second()))
                .return_values(ReturnValue::UpdatedNew);
            if let Some(most) = most {
                update = update
                    .condition_expression("attribute_not_exists(#count) OR #count < :most")
                    .expression_attribute_values(":most", n(most));
            }
            update.send().await.map_err(|error| Fault::of(&error))
        });
        Ok(answer.await?.map(|output| output.attributes.unwrap_or_default()))
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

fn minute_after(now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_mins(1)).unwrap_or(Timestamp::MAX)
}
