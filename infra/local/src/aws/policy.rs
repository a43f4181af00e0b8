//! A policy: what a function's role lets it do, judged request by request as IAM would, so that a permission that the
//! template forgets is missing on this machine too.
//!
//! One request may need several permissions: a transaction that of each of its items, a batch that of each of its
//! tables. A statement with a condition (`kms:ViaService`) is for what an AWS service does in the function's name; it
//! permits no call of the function's own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fault::Fault;
use crate::deployment::Function;

/// A right that a request needs: an IAM action on the ARN of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// For example `dynamodb:ConditionCheckItem`.
    pub action: String,
    pub resource: String,
}

/// Where this endpoint pretends to be, which resource ARNs tell.
#[derive(Debug, Clone)]
pub struct Realm {
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
}

/// The policies of all functions, by the access key id of each.
#[derive(Debug, Default)]
pub struct Policies {
    statements: BTreeMap<String, Vec<Statement>>,
}

#[derive(Debug)]
struct Statement {
    allows: bool,
    actions: Vec<String>,
    resources: Vec<String>,
}

impl Policies {
    /// The policies of a deployment's functions; `access_key` gives the key of a function's binary.
    pub fn of(functions: &[Function], access_key: impl Fn(&str) -> String) -> Self {
        let statements = functions.iter().map(|function| {
            let statements = function.policy_statements.iter().filter(|statement| statement.get("Condition").is_none());
            (access_key(&function.binary), statements.map(Statement::read).collect())
        });
        Self { statements: statements.collect() }
    }

    /// Whether the caller has a policy at all: who has none is the owner of the account.
    pub fn judge(&self, access_key: &str) -> bool {
        self.statements.contains_key(access_key)
    }

    /// The first permission of `needed` that the caller has not.
    pub fn refusal(&self, access_key: &str, needed: &BTreeSet<Permission>) -> Option<Fault> {
        let statements = self.statements.get(access_key)?;
        let missing = needed.iter().find(|permission| {
            let mut of_it = statements.iter().filter(|statement| statement.is_about(permission)).peekable();
            of_it.peek().is_none() || of_it.any(|statement| !statement.allows)
        })?;
        let Permission { action, resource } = missing;
        Some(Fault::client(
            "AccessDeniedException",
            format!(
                "User: {access_key} is not authorized to perform: {action} on resource: {resource} \
                 because no identity-based policy allows the {action} action"
            ),
        ))
    }
}

impl Statement {
    fn read(statement: &Value) -> Self {
        let texts = |key: &str| match &statement[key] {
            Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            value => value.as_str().map(str::to_owned).into_iter().collect(),
        };
        Self { allows: statement["Effect"] == "Allow", actions: texts("Action"), resources: texts("Resource") }
    }

    fn is_about(&self, permission: &Permission) -> bool {
        let is = |patterns: &[String], value: &str| patterns.iter().any(|pattern| pattern == value || pattern == "*");
        is(&self.actions, &permission.action) && is(&self.resources, &permission.resource)
    }
}

/// Every permission that a request needs; none for one that no function makes.
pub fn needed(realm: &Realm, service: &str, action: &str, input: &Value) -> BTreeSet<Permission> {
    let text = |key: &str| input[key].as_str().unwrap_or_default();
    match service {
        "dynamodb" => dynamodb(realm, action, input),
        "sqs" => {
            // The batches have no permissions of their own.
            let action = action.strip_suffix("Batch").unwrap_or(action);
            let name = text("QueueUrl").rsplit('/').next().unwrap_or_default();
            one(format!("sqs:{action}"), realm.arn("sqs", name))
        }
        "kms" => one(format!("kms:{action}"), text("KeyId").to_owned()),
        // On this machine a secret is called by its name, which is also what `!Ref` of it gives.
        "secretsmanager" => one(format!("secretsmanager:{action}"), text("SecretId").to_owned()),
        "events" => entries(&input["Entries"])
            .map(|entry| {
                let bus = entry["EventBusName"].as_str().unwrap_or("default");
                let resource = named(bus, || realm.arn("events", &format!("event-bus/{bus}")));
                Permission { action: format!("events:{action}"), resource }
            })
            .collect(),
        _ => BTreeSet::new(),
    }
}

fn dynamodb(realm: &Realm, action: &str, input: &Value) -> BTreeSet<Permission> {
    let table = |name: &str| named(name, || realm.arn("dynamodb", &format!("table/{name}")));
    let of = |action: &str, name: &str| Permission { action: format!("dynamodb:{action}"), resource: table(name) };
    match action {
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = input["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(name, _)| of(action, name)).collect()
        }
        // A transaction is what its items are: there is no permission for transactions.
        "TransactWriteItems" | "TransactGetItems" => entries(&input["TransactItems"])
            .flat_map(|item| item.as_object().into_iter().flatten())
            .map(|(kind, operation)| {
                let action = match kind.as_str() {
                    "Put" => "PutItem",
                    "Update" => "UpdateItem",
                    "Delete" => "DeleteItem",
                    "ConditionCheck" => "ConditionCheckItem",
                    _ => "GetItem",
                };
                of(action, operation["TableName"].as_str().unwrap_or_default())
            })
            .collect(),
        _ => {
            let name = input["TableName"].as_str().unwrap_or_default();
            let mut permission = of(action, name);
            if let Some(index) = input["IndexName"].as_str() {
                permission.resource = format!("{}/index/{index}", permission.resource);
            }
            BTreeSet::from([permission])
        }
    }
}

fn one(action: String, resource: String) -> BTreeSet<Permission> {
    BTreeSet::from([Permission { action, resource }])
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// An ARN as it stands, or that of a name.
fn named(name: &str, arn: impl FnOnce() -> String) -> String {
    if name.starts_with("arn:") { name.to_owned() } else { arn() }
}

impl Realm {
    fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account_id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn realm() -> Realm {
        Realm { region: "us-east-1".to_owned(), account_id: "000000000000".to_owned() }
    }

    fn permissions(service: &str, action: &str, input: Value) -> Vec<(String, String)> {
        needed(&realm(), service, action, &input).into_iter().map(|needed| (needed.action, needed.resource)).collect()
    }

    fn pair(action: &str, resource: &str) -> (String, String) {
        (action.to_owned(), format!("arn:aws:{resource}"))
    }

    #[test]
    fn a_transaction_needs_what_its_items_need() {
        let input = json!({ "TransactItems": [
            { "Put": { "TableName": "a" } },
            { "ConditionCheck": { "TableName": "a" } },
            { "Delete": { "TableName": "arn:aws:dynamodb:us-east-1:000000000000:table/b" } },
        ]});
        assert_eq!(
            permissions("dynamodb", "TransactWriteItems", input),
            [
                pair("dynamodb:ConditionCheckItem", "dynamodb:us-east-1:000000000000:table/a"),
                pair("dynamodb:DeleteItem", "dynamodb:us-east-1:000000000000:table/b"),
                pair("dynamodb:PutItem", "dynamodb:us-east-1:000000000000:table/a"),
            ]
        );
    }

    #[test]
    fn an_index_and_each_table_of_a_batch_are_resources_of_their_own() {
        assert_eq!(
            permissions("dynamodb", "Query", json!({ "TableName": "a", "IndexName": "due" })),
            [pair("dynamodb:Query", "dynamodb:us-east-1:000000000000:table/a/index/due")]
        );
        assert_eq!(
            permissions("dynamodb", "BatchGetItem", json!({ "RequestItems": { "a": {}, "b": {} } })),
            [
                pair("dynamodb:BatchGetItem", "dynamodb:us-east-1:000000000000:table/a"),
                pair("dynamodb:BatchGetItem", "dynamodb:us-east-1:000000000000:table/b"),
            ]
        );
    }

    #[test]
    fn a_batch_of_messages_needs_what_one_message_needs() {
        let input = json!({ "QueueUrl": "http://127.0.0.1:9003/000000000000/jobs.fifo" });
        let expected = [pair("sqs:SendMessage", "sqs:us-east-1:000000000000:jobs.fifo")];
        assert_eq!(permissions("sqs", "SendMessage", input.clone()), expected);
        assert_eq!(permissions("sqs", "SendMessageBatch", input), expected);
    }

    #[test]
    fn a_deny_a_condition_and_silence_permit_nothing() {
        let allow = |resource: &str| json!({ "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": resource });
        let mut via = allow("data");
        via["Condition"] = json!({ "StringEquals": { "kms:ViaService": ["dynamodb.us-east-1.amazonaws.com"] } });
        let mut deny = allow("denied");
        deny["Effect"] = "Deny".into();
        let statements = vec![allow("token"), via, allow("denied"), deny];
        let function = Function { binary: "f".to_owned(), policy_statements: statements, ..Function::default() };
        let policies = Policies::of(&[function], |binary| format!("local-{binary}"));
        let refused = |caller: &str, action: &str, key: &str| {
            policies.refusal(caller, &needed(&realm(), "kms", action, &json!({ "KeyId": key })))
        };
        assert_eq!(refused("local-f", "Decrypt", "token"), None);
        for (action, key) in [("Encrypt", "token"), ("Decrypt", "data"), ("Decrypt", "denied"), ("Decrypt", "other")] {
            let fault = refused("local-f", action, key).expect(key);
            assert_eq!((fault.status, fault.code), (400, "AccessDeniedException"));
            assert!(fault.message.contains(&format!("kms:{action} on resource: {key}")), "{}", fault.message);
        }
        assert_eq!(refused("test", "Encrypt", "data"), None);
    }
}
