//! The store against an emulated DynamoDB, over the wire, on the tables that the template describes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod events;
mod links;
mod once;
mod reservations;
mod rows;

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use jiff::Timestamp;
use local_stack::aws::{Aws, AwsOptions};
use local_stack::provision::provision;
use local_stack::template::{Inputs, load};
use shared::domain::{
    account::{AccountStatus, Deletion, Integration, LinkedAccount, SyncFacts},
    category::Category,
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    origin::{EndUserOriginId, OriginIdStrategy},
    schedule::{Due, PollClass},
};
use shared::store::{
    Store,
    pending::{Slot, SlotState},
};
use uuid::Uuid;

/// A fresh pair of tables, and the emulator that holds them.
struct Tables {
    store: Store,
    client: aws_sdk_dynamodb::Client,
    _aws: Aws,
}

const ACCOUNTS: &str = "tether-local-AccountsTable";
const RECORDS: &str = "tether-local-RecordsTable";

impl Tables {
    async fn new() -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let (region, account_id) = ("us-east-1".to_owned(), "000000000000".to_owned());
        let options = AwsOptions { listen, data_dir: None, region, account_id };
        let aws = Aws::start(options).await.unwrap();
        let endpoint = aws.endpoint();
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let inputs = Inputs {
            stack_name: "tether-local".into(),
            region: "us-east-1".into(),
            account_id: "000000000000".into(),
            aws_endpoint: endpoint.clone(),
            api_endpoint: "http://127.0.0.1:1".into(),
            function_url: "http://127.0.0.1:2/".into(),
            parameters: BTreeMap::from([
                text("MergeApiKey", "dev-api-key"),
                text("WebhookKeys", r#"["dev-webhook-key"]"#),
                text("OidcIssuer", "http://127.0.0.1:3"),
                text("OidcAudience", "tether-local"),
                text("OidcClientId", "tether-page"),
            ]),
        };
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/template.yaml");
        provision(&load(&template, &inputs).unwrap(), &endpoint).await.unwrap();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(endpoint)
            .build();
        let client = aws_sdk_dynamodb::Client::from_conf(config);
        Self { store: Store::new(client.clone(), ACCOUNTS, RECORDS), client, _aws: aws }
    }

    /// Keys of every row of the Accounts table.
    async fn rows(&self) -> Vec<(String, String)> {
        let answer = self.client.scan().table_name(ACCOUNTS).send().await.unwrap();
        let text = |item: &std::collections::HashMap<_, aws_sdk_dynamodb::types::AttributeValue>, name: &str| {
            item[name].as_s().unwrap().clone()
        };
        let mut rows: Vec<_> = answer.items().iter().map(|item| (text(item, "pk"), text(item, "sk"))).collect();
        rows.sort();
        rows
    }
}

fn org(name: &str) -> OrganizationId {
    OrganizationId::parse(name).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// A slot as a first attempt would reserve it.
fn slot(organization: &str, category: Category, strategy: OriginIdStrategy) -> Slot {
    let (organization, account) = (org(organization), AccountId::new(Uuid::new_v4()));
    Slot {
        origin_id: EndUserOriginId::new(strategy, &organization, category, account),
        organization,
        category,
        account,
        state: SlotState::Pending,
        created_by: "user_1".to_owned(),
        created_at: at(0),
        refused: false,
    }
}

/// The account that a slot's link would make.
fn account_of(slot: &Slot, merge_id: &str) -> LinkedAccount {
    LinkedAccount {
        organization: slot.organization.clone(),
        id: slot.account,
        category: slot.category,
        status: AccountStatus::Complete,
        status_since: at(1),
        merge_id: MergeLinkedAccountId::parse(merge_id).unwrap(),
        origin_id: slot.origin_id.clone(),
        integration: Integration { name: "BambooHR".into(), slug: "bamboohr".into(), image: None, color: None },
        token: vec![1, 2, 3],
        public_token_hash: Some("hash".to_owned()),
        display_name: None,
        is_duplicate: None,
        duplicate_ignored: false,
        issues: BTreeMap::new(),
        facts: SyncFacts::default(),
        relinked_at: None,
        notes: Default::default(),
        deletion: Deletion::default(),
        chain: 0,
        due: Due::every(PollClass::OneMinute, slot.account),
        created_by: slot.created_by.clone(),
        created_at: at(1),
        updated_at: at(1),
        version: 1,
    }
}
