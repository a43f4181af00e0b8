//! DynamoDB: the conditional writes, transactions and limits that the functions rest on.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use local_stack::aws::Aws;
use local_stack::provision::provision;

use crate::{Scratch, deployment, endpoint, sdk, start};

const ACCOUNTS: &str = "tether-local-AccountsTable";

async fn client(aws: &Aws) -> Client {
    provision(&deployment(&endpoint(aws), "key"), &endpoint(aws)).await.unwrap();
    Client::new(&sdk(aws, "test").await)
}

fn item(pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(pk.to_owned())),
        ("sk".to_owned(), AttributeValue::S(sk.to_owned())),
    ])
}

#[tokio::test]
async fn of_a_hundred_racing_puts_one_wins_and_the_others_see_its_row() {
    let aws = start(None).await;
    let db = client(&aws).await;
    let puts = (0..100).map(|racer| {
        db.put_item()
            .table_name(ACCOUNTS)
            .set_item(Some(item("ORG#acme", "PENDING#hris")))
            .item("racer", AttributeValue::N(racer.to_string()))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    });
    let mut winners = Vec::new();
    let mut seen = Vec::new();
    for (racer, outcome) in futures::future::join_all(puts).await.into_iter().enumerate() {
        match outcome {
            Ok(_) => winners.push(racer.to_string()),
            Err(error) => match error.into_service_error() {
                PutItemError::ConditionalCheckFailedException(failure) => {
                    seen.push(failure.item.unwrap()["racer"].as_n().unwrap().clone());
                }
                other => panic!("{other:?}"),
            },
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(seen.len(), 99);
    assert!(seen.iter().all(|racer| *racer == winners[0]), "{seen:?}");
    aws.stop().await;
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing_and_names_its_reasons() {
    let aws = start(None).await;
    let db = client(&aws).await;
    let put = |pk: &str| {
        let put = Put::builder()
            .table_name(ACCOUNTS)
            .set_item(Some(item(pk, "OWNER")))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    db.transact_write_items().transact_items(put("MERGE#1")).send().await.unwrap();
    let error = db
        .transact_write_items()
        .transact_items(put("MERGE#2"))
        .transact_items(put("MERGE#1"))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_transaction_canceled_exception(), "{error:?}");
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        canceled,
    ) = error
    else {
        unreachable!()
    };
    let codes: Vec<_> = canceled.cancellation_reasons().iter().map(|r| r.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let absent = db
        .get_item()
        .table_name(ACCOUNTS)
        .set_key(Some(item("MERGE#2", "OWNER")))
        .consistent_read(true)
        .send()
        .await
        .unwrap();
    assert!(absent.item.is_none());

    let many = (0..101).map(|n| put(&format!("MERGE#{n:03}"))).collect();
    let error = db.transact_write_items().set_transact_items(Some(many)).send().await.unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("ValidationException"));
    aws.stop().await;
}

#[tokio::test]
async fn the_sparse_index_finds_what_is_due_and_an_item_ends_at_400_kb() {
    let aws = start(None).await;
    let db = client(&aws).await;
    for (sk, due) in [("ACCOUNT#1", Some("1m")), ("ACCOUNT#2", None)] {
        let mut put = db.put_item().table_name(ACCOUNTS).set_item(Some(item("ORG#acme", sk)));
        if let Some(due) = due {
            put = put
                .item("due", AttributeValue::S(due.into()))
                .item("due_at", AttributeValue::S("2026-11-22T04:00:00Z".into()))
                .item("merge_id", AttributeValue::S("m-1".into()));
        }
        put.send().await.unwrap();
    }
    let due = db
        .query()
        .table_name(ACCOUNTS)
        .index_name("due")
        .key_condition_expression("due = :due AND due_at <= :now")
        .expression_attribute_values(":due", AttributeValue::S("1m".into()))
        .expression_attribute_values(":now", AttributeValue::S("2026-11-22T05:00:00Z".into()))
        .send()
        .await
        .unwrap();
    assert_eq!(due.count(), 1);
    assert_eq!(due.items()[0]["merge_id"].as_s().unwrap(), "m-1");

    let error = db
        .put_item()
        .table_name(ACCOUNTS)
        .set_item(Some(item("ORG#acme", "LARGE")))
        .item("data", AttributeValue::S("x".repeat(400 * 1024)))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("ValidationException"));
    aws.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_the_rows() {
    let scratch = Scratch::new();
    let aws = start(Some(&scratch.0)).await;
    let db = client(&aws).await;
    db.put_item().table_name(ACCOUNTS).set_item(Some(item("ORG#acme", "ACCOUNT#1"))).send().await.unwrap();
    drop(aws);
    let aws = start(Some(&scratch.0)).await;
    let db = client(&aws).await;
    let kept = db.get_item().table_name(ACCOUNTS).set_key(Some(item("ORG#acme", "ACCOUNT#1"))).send().await.unwrap();
    assert_eq!(kept.item, Some(item("ORG#acme", "ACCOUNT#1")));
    aws.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_deleted() {
    let scratch = Scratch::new();
    let aws = start(Some(&scratch.0)).await;
    let db = client(&aws).await;
    let ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    let ago = ago.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (sk, ttl) in [("OLD", ago), ("NEW", ago + 7_200)] {
        let put = db.put_item().table_name(ACCOUNTS).set_item(Some(item("ACCOUNT#1", sk)));
        put.item("ttl", AttributeValue::N(ttl.to_string())).send().await.unwrap();
    }
    aws.stop().await;

    // Every start begins with a sweep.
    let aws = start(Some(&scratch.0)).await;
    let db = client(&aws).await;
    let count = async || {
        let query = db.query().table_name(ACCOUNTS).key_condition_expression("pk = :pk");
        let answer = query.expression_attribute_values(":pk", AttributeValue::S("ACCOUNT#1".into())).send().await;
        let keys = answer.unwrap().items.unwrap_or_default();
        keys.iter().map(|item| item["sk"].as_s().unwrap().clone()).collect::<Vec<_>>()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while count().await != ["NEW"] {
        assert!(std::time::Instant::now() < deadline, "{:?}", count().await);
    }
    aws.stop().await;
}
