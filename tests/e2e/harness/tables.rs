//! The two tables, read and edited from behind: for what no route shows.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use local_stack::ready::Ready;
use shared::store::Store;

/// An item as it is stored.
pub type Item = HashMap<String, AttributeValue>;

/// The tables of one stack.
pub struct Tables {
    client: Client,
    accounts: String,
    records: String,
}

impl Tables {
    pub fn of(ready: &Ready) -> Self {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(ready.region.clone()))
            .endpoint_url(&ready.aws)
            .credentials_provider(Credentials::new("test", "test", None, None, "e2e"))
            .build();
        let table = |name: &str| ready.tables[name].clone();
        Self { client: Client::from_conf(config), accounts: table("accounts"), records: table("records") }
    }

    /// Our own view of them.
    pub fn store(&self) -> Store {
        Store::new(self.client.clone(), &self.accounts, &self.records)
    }

    /// Every item of both tables.
    pub async fn everything(&self) -> Vec<Item> {
        let mut items = self.scan(&self.accounts).await;
        items.extend(self.scan(&self.records).await);
        items
    }

    pub async fn accounts(&self) -> Vec<Item> {
        self.scan(&self.accounts).await
    }

    /// Items of one partition of the accounts table.
    pub async fn partition(&self, pk: &str) -> Vec<Item> {
        let items = self.accounts().await;
        items.into_iter().filter(|item| text(item, "pk") == pk).collect()
    }

    /// Keys of every item in which one of `words` stands.
    pub async fn naming(&self, words: &[&str]) -> Vec<(String, String)> {
        let items = self.everything().await;
        items.iter().filter(|item| words.iter().any(|word| all_text(item).contains(word))).map(key).collect()
    }

    /// Sets one attribute of one item of the accounts table that exists; `facts.failing.since` names one within others.
    pub async fn set(&self, pk: &str, sk: &str, attribute: &str, value: AttributeValue) {
        self.edit(&self.accounts, pk, sk, attribute, value).await;
    }

    /// The same in the records table.
    pub async fn set_record(&self, pk: &str, sk: &str, attribute: &str, value: AttributeValue) {
        self.edit(&self.records, pk, sk, attribute, value).await;
    }

    async fn edit(&self, table: &str, pk: &str, sk: &str, attribute: &str, value: AttributeValue) {
        let update = self.client.update_item().table_name(table);
        let update = update.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()));
        let path: Vec<String> = attribute.split('.').map(|name| format!("#{name}")).collect();
        let update = update.update_expression(format!("SET {} = :value", path.join(".")));
        let update = update.condition_expression("attribute_exists(pk)");
        let names = attribute.split('.').map(|name| (format!("#{name}"), name.to_owned()));
        let update = update.set_expression_attribute_names(Some(names.collect()));
        update.expression_attribute_values(":value", value).send().await.expect("an item to edit");
    }

    /// Removes one item of the accounts table, and gives what it held.
    pub async fn remove(&self, pk: &str, sk: &str) -> Item {
        let delete = self.client.delete_item().table_name(&self.accounts).return_values(ReturnValue::AllOld);
        let delete = delete.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()));
        delete.send().await.expect("the table answers").attributes.expect("an item to remove")
    }

    /// Puts a row into the records table, as a worker that comes too late does.
    pub async fn put_record(&self, pk: &str, sk: &str) {
        let put = self.client.put_item().table_name(&self.records).item("pk", AttributeValue::S(pk.to_owned()));
        put.item("sk", AttributeValue::S(sk.to_owned())).send().await.expect("a row");
    }

    /// Looks at every item of the accounts table, then of the records table, one at a time: there may be a million.
    pub async fn each(&self, mut account: impl FnMut(&Item), mut record: impl FnMut(&Item)) {
        self.visit(&self.accounts, |item| account(&item)).await;
        self.visit(&self.records, |item| record(&item)).await;
    }

    async fn scan(&self, table: &str) -> Vec<Item> {
        let mut items = Vec::new();
        self.visit(table, |item| items.push(item)).await;
        items
    }

    async fn visit(&self, table: &str, mut visit: impl FnMut(Item)) {
        // Without a limit the local DynamoDB reads all that is left, for every page.
        let mut pages = self.client.scan().table_name(table).limit(500).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            visit(item.expect("a scan"));
        }
    }
}

/// A string attribute; empty when there is none.
pub fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

/// Partition and sort key.
pub fn key(item: &Item) -> (String, String) {
    (text(item, "pk"), text(item, "sk"))
}

/// Every string in an item, and its bytes as far as they are text.
pub fn all_text(item: &Item) -> String {
    let mut text = String::new();
    item.iter().for_each(|(name, value)| {
        text.push_str(name);
        text.push(' ');
        append(value, &mut text);
    });
    text
}

fn append(value: &AttributeValue, text: &mut String) {
    match value {
        AttributeValue::S(value) | AttributeValue::N(value) => text.push_str(value),
        AttributeValue::B(bytes) => text.push_str(&String::from_utf8_lossy(bytes.as_ref())),
        AttributeValue::Ss(values) | AttributeValue::Ns(values) => values.iter().for_each(|value| {
            text.push_str(value);
            text.push(' ');
        }),
        AttributeValue::L(values) => values.iter().for_each(|value| append(value, text)),
        AttributeValue::M(values) => values.values().for_each(|value| append(value, text)),
        _ => {}
    }
    text.push(' ');
}
