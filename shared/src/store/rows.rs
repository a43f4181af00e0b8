//! Rows: items of the Accounts table, read and written with what every one of them needs: consistent reads,
//! retries, conditions as outcomes, and expiry that is checked here because DynamoDB's own comes late.

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, key_of, n},
    keys::Key,
    with_retries,
};

/// A condition of a write. `#name` in the expression stands for the attribute `name`, whatever words DynamoDB
/// reserves; `:name` for a value given with [`Condition::value`].
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) expression: &'static str,
    pub(super) values: Item,
}

impl Condition {
    pub(super) fn new(expression: &'static str) -> Self {
        Self { expression, values: Item::new() }
    }

    pub(super) fn value(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// The values, or `None`: DynamoDB refuses an empty map.
    pub(super) fn values(&self) -> Option<Item> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }
}

/// The attribute names that an expression spells as `#name`, or `None` without any.
pub(super) fn names(expression: &str) -> Option<std::collections::HashMap<String, String>> {
    let names: std::collections::HashMap<String, String> = expression
        .split('#')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default())
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect();
    (!names.is_empty()).then_some(names)
}

/// What came of a conditional put.
pub(super) enum Put {
    /// Written; the item that stood there before, if any.
    Written(Option<Item>),
    /// The condition does not hold for the item that stands there.
    Refused(Item),
}

/// One page of a query.
pub(super) struct Rows {
    pub(super) items: Vec<Item>,
    /// The sort key to start after for the next page.
    pub(super) last: Option<String>,
}

/// In which order a partition is read, and from where.
pub(super) enum From<'a> {
    /// Oldest sort key first, after the given one.
    Start(Option<&'a str>),
    /// Newest sort key first, before the given one.
    End(Option<&'a str>),
}

/// Reads a row's shape, naming its kind when it is not readable.
pub(super) fn decode<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let key = Reader(&item).key();
    serde_dynamo::from_item(item).map_err(|error| StoreError::corrupt(&key, error))
}

/// The item of a row: its key and the members of `row`.
pub(super) fn encode<T: Serialize>(key: &Key, row: &T) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(row).map_err(|error| StoreError::corrupt(key, error))?;
    item.extend(key_of(key));
    Ok(item)
}

/// Adds the time, in Unix seconds, after which the row counts as absent.
pub(super) fn expiring(mut item: Item, at: Timestamp) -> Item {
    item.insert("ttl".to_owned(), n(at.as_second()));
    item
}

/// Whether a row's time has passed.
pub(super) fn expired(item: &Item, now: Timestamp) -> bool {
    Reader(item).number::<i64>("ttl").is_ok_and(|ttl| ttl <= now.as_second())
}

impl Store {
    /// A consistent read.
    pub(super) async fn row(&self, action: &'static str, key: &Key) -> Result<Option<Item>, StoreError> {
        let answer = with_retries(action, || async {
            let get =
                self.client.get_item().table_name(&self.accounts).set_key(Some(key_of(key))).consistent_read(true);
            get.send().await.map_err(|error| Fault::of(&error))
        });
        Ok(answer.await?.and_then(|output| output.item))
    }

    /// A put whose condition may fail, which tells what stood there.
    pub(super) async fn put_row(
        &self,
        action: &'static str,
        item: Item,
        condition: Option<Condition>,
    ) -> Result<Put, StoreError> {
        let answer = with_retries(action, || async {
            let mut put = self.client.put_item().table_name(&self.accounts).set_item(Some(item.clone()));
            if let Some(condition) = &condition {
                put = put
                    .condition_expression(condition.expression)
                    .set_expression_attribute_names(names(condition.expression))
                    .set_expression_attribute_values(condition.values())
                    .return_values(ReturnValue::AllOld)
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            }
            match put.send().await {
                Ok(output) => Ok(Put::Written(output.attributes.filter(|old| !old.is_empty()))),
                Err(error) => match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                        Ok(Put::Refused(refused.item().cloned().unwrap_or_default()))
                    }
                    _ => Err(Fault::of(&error)),
                },
            }
        });
        Ok(answer.await?.unwrap_or_else(|| Put::Refused(Item::new())))
    }

    /// A conditional update of a row that exists. `false`: the condition does not hold.
    pub(super) async fn update_row(
        &self,
        action: &'static str,
        key: &Key,
        update: &'static str,
        condition: Condition,
    ) -> Result<bool, StoreError> {
        let spelled = format!("{update} {}", condition.expression);
        let answer = with_retries(action, || async {
            self.client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key_of(key)))
                .update_expression(update)
                .condition_expression(condition.expression)
                .set_expression_attribute_names(names(&spelled))
                .set_expression_attribute_values(condition.values())
                .send()
                .await
                .map_err(|error| Fault::of(&error))
        });
        Ok(answer.await?.is_some())
    }

    /// A delete that may be repeated. `false`: the condition does not hold for the row that stands there.
    pub(super) async fn delete_row(
        &self,
        action: &'static str,
        key: &Key,
        condition: Option<Condition>,
    ) -> Result<bool, StoreError> {
        let answer = with_retries(action, || async {
            let mut delete = self.client.delete_item().table_name(&self.accounts).set_key(Some(key_of(key)));
            if let Some(condition) = &condition {
                delete = delete
                    .condition_expression(condition.expression)
                    .set_expression_attribute_names(names(condition.expression))
                    .set_expression_attribute_values(condition.values());
            }
            delete.send().await.map_err(|error| Fault::of(&error))
        });
        Ok(answer.await?.is_some())
    }

    /// Writes all items or none. `false`: a condition does not hold.
    pub(super) async fn transact(
        &self,
        action: &'static str,
        items: Vec<TransactWriteItem>,
    ) -> Result<bool, StoreError> {
        let answer = with_retries(action, || async {
            let write = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            write.send().await.map_err(|error| Fault::of(&error))
        });
        Ok(answer.await?.is_some())
    }

    /// At most `limit` rows of a partition whose sort key begins with `prefix`, read consistently.
    pub(super) async fn rows(
        &self,
        action: &'static str,
        partition: &str,
        prefix: &str,
        from: From<'_>,
        limit: usize,
    ) -> Result<Rows, StoreError> {
        let (forward, start) = match from {
            From::Start(after) => (true, after),
            From::End(before) => (false, before),
        };
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let start = start.map(|sk| key_of(&Key { pk: partition.to_owned(), sk: sk.to_owned() }));
        let answer = with_retries(action, || async {
            self.client
                .query()
                .table_name(&self.accounts)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
                .set_exclusive_start_key(start.clone())
                .scan_index_forward(forward)
                .consistent_read(true)
                .limit(limit)
                .send()
                .await
                .map_err(|error| Fault::of(&error))
        });
        let Some(output) = answer.await? else { return Ok(Rows { items: Vec::new(), last: None }) };
        let last = output.last_evaluated_key.and_then(|key| key.get("sk")?.as_s().ok().cloned());
        Ok(Rows { items: output.items.unwrap_or_default(), last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_expression() {
        let found = names("SET #state = :s, #due_at=:d REMOVE #ttl").unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found["#due_at"], "due_at");
        assert!(names("attribute_not_exists(pk)").is_none());
    }

    #[test]
    fn a_row_past_its_time_is_absent() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let item = expiring(Item::new(), at(100));
        assert!(!expired(&item, at(99)));
        assert!(expired(&item, at(100)));
        assert!(!expired(&Item::new(), at(100)), "rows without a time stay");
    }
}
