//! Accounts under concurrent changes, exchanges in flight, counters, turns and what waits.

use std::time::Duration;

use futures::future::join_all;
use shared::domain::{
    account::Integration, category::Category, ids::MergeLinkedAccountId, origin::OriginIdStrategy::ManyPerCategory,
};
use shared::store::{
    accounts::{Change, Saved},
    exchange::{InFlight, Stage},
    limits::{Counter, Turn},
    tick::Due,
};

use super::{Tables, account_of, at, org, slot};

#[tokio::test]
async fn no_writer_undoes_anothers_work() {
    let tables = Tables::new().await;
    let pending = slot("acme", Category::Hris, ManyPerCategory);
    tables.store.reserve(pending.clone(), ManyPerCategory).await.unwrap();
    let mut early = account_of(&pending, "merge-1");
    tables.store.complete_link(&early).await.unwrap();

    let mut late = early.clone();
    early.display_name = Some("early".to_owned());
    assert_eq!(tables.store.save_account(&mut early).await.unwrap(), Saved::Written);
    assert_eq!(early.version, 2);
    late.facts.records = 7;
    assert_eq!(tables.store.save_account(&mut late).await.unwrap(), Saved::Stale);
    assert_eq!(late.version, 1, "unchanged, to be read again");

    // Five writers at once, each adding one: no addition is lost.
    let add = |_| {
        tables.store.change_account(&pending.organization, pending.account, |account| {
            account.facts.records += 1;
            Change::Write
        })
    };
    for outcome in join_all((0..5).map(add)).await {
        outcome.unwrap();
    }
    let account = tables.store.account(&pending.organization, pending.account).await.unwrap().unwrap();
    assert_eq!((account.facts.records, account.display_name.as_deref()), (5, Some("early")));
    let gone = tables.store.change_account(&org("globex"), pending.account, |_| Change::Write).await.unwrap();
    assert_eq!(gone, None, "another organization's account is not there");
}

#[tokio::test]
async fn accounts_are_listed_page_by_page_and_per_organization() {
    let tables = Tables::new().await;
    let mut ids = Vec::new();
    for (n, organization) in ["acme", "acme", "acme", "globex"].into_iter().enumerate() {
        let slot = slot(organization, Category::ALL[n], ManyPerCategory);
        tables.store.reserve(slot.clone(), ManyPerCategory).await.unwrap();
        tables.store.complete_link(&account_of(&slot, &format!("merge-{n}"))).await.unwrap();
        ids.push(slot.account);
    }
    let mut expected = ids[..3].to_vec();
    expected.sort();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = tables.store.accounts_of(&org("acme"), after, 2).await.unwrap();
        found.extend(page.accounts.iter().map(|account| account.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn checklist_41_an_exchange_is_taken_up_by_its_organization_for_an_hour() {
    let tables = Tables::new().await;
    let answered = InFlight {
        organization: org("acme"),
        category: Category::Hris,
        stage: Stage::Answered {
            merge_id: MergeLinkedAccountId::parse("merge-1").unwrap(),
            token: vec![0, 159, 146, 150],
            integration: Integration { name: "BambooHR".into(), ..Integration::default() },
        },
    };
    assert!(tables.store.put_exchange("h", &answered, at(0)).await.unwrap());
    assert_eq!(tables.store.exchange("h", at(10)).await.unwrap(), Some(answered.clone()));
    let stolen = InFlight { organization: org("globex"), ..answered.clone() };
    assert!(!tables.store.put_exchange("h", &stolen, at(20)).await.unwrap());

    let id = slot("acme", Category::Hris, ManyPerCategory).account;
    let done = InFlight { stage: Stage::Done(id), ..answered };
    assert!(tables.store.put_exchange("h", &done, at(30)).await.unwrap());
    assert_eq!(tables.store.exchange("h", at(40)).await.unwrap(), Some(done));
    let row = tables.client.get_item().table_name(super::ACCOUNTS);
    let row = row.key("pk", aws_sdk_dynamodb::types::AttributeValue::S("EXCHANGE#h".into()));
    let row = row.key("sk", aws_sdk_dynamodb::types::AttributeValue::S("EXCHANGE".into()));
    let row = row.send().await.unwrap().item.unwrap();
    assert!(!row.contains_key("token") && !row.contains_key("merge_id"), "only ids stay: {row:?}");
    // Past its hour but not yet removed by DynamoDB.
    assert_eq!(tables.store.exchange("h", at(3_700)).await.unwrap(), None);
}

/// Finished or not, and also those whose answer the account never saw.
#[tokio::test]
async fn what_was_exchanged_for_an_account_goes_with_it() {
    let tables = Tables::new().await;
    let merge_id = MergeLinkedAccountId::parse("merge-1").unwrap();
    let answered = |merge_id: &MergeLinkedAccountId| InFlight {
        organization: org("acme"),
        category: Category::Hris,
        stage: Stage::Answered { merge_id: merge_id.clone(), token: vec![1], integration: Integration::default() },
    };
    let id = slot("acme", Category::Hris, ManyPerCategory).account;
    for n in 0..120 {
        assert!(tables.store.put_exchange(&format!("h{n}"), &answered(&merge_id), at(n)).await.unwrap());
    }
    let done = InFlight { stage: Stage::Done(id), ..answered(&merge_id) };
    assert!(tables.store.put_exchange("h7", &done, at(200)).await.unwrap());
    let other = MergeLinkedAccountId::parse("merge-2").unwrap();
    assert!(tables.store.put_exchange("other", &answered(&other), at(0)).await.unwrap());

    tables.store.erase_exchanges(&merge_id).await.unwrap();
    for n in 0..120 {
        assert_eq!(tables.store.exchange(&format!("h{n}"), at(210)).await.unwrap(), None);
    }
    // A write that was on its way comes after the first sweep, and before the second; or a repeat makes the account at
    // the end of the row's hour, and it is erased in the next.
    assert!(tables.store.put_exchange("h7", &done, at(3_590)).await.unwrap());
    let ttl = async |pk: &str, sk: &str| {
        let row = tables.client.get_item().table_name(super::ACCOUNTS);
        let row = row.key("pk", aws_sdk_dynamodb::types::AttributeValue::S(pk.into()));
        let row = row.key("sk", aws_sdk_dynamodb::types::AttributeValue::S(sk.into()));
        row.send().await.unwrap().item.unwrap()["ttl"].as_n().unwrap().parse::<u64>().unwrap()
    };
    assert!(ttl("EXCHANGED#merge-1", "#h7").await > ttl("EXCHANGE#h7", "EXCHANGE").await, "the mark outlives the row");
    tables.store.erase_exchanges(&merge_id).await.unwrap();
    assert_eq!(tables.store.exchange("h7", at(3_600)).await.unwrap(), None);
    tables.store.erase_account(&org("acme"), id, Category::Hris, &merge_id).await.unwrap();
    let left = tables.client.scan().table_name(super::ACCOUNTS).send().await.unwrap().items.unwrap();
    let mut left: Vec<String> = left.iter().map(|item| item["pk"].as_s().unwrap().clone()).collect();
    left.sort();
    assert_eq!(left, ["EXCHANGE#other", "EXCHANGED#merge-2"]);
}

#[tokio::test]
async fn counters_count_per_organization_and_minute() {
    let tables = Tables::new().await;
    let (acme, globex) = (org("acme"), org("globex"));
    let count = |of, by, second| tables.store.count(of, Counter::Refused, by, at(second));
    let racing = join_all((0..20).map(|_| count(&acme, 1, 0))).await;
    let most = racing.into_iter().map(Result::unwrap).max();
    assert_eq!(most, Some(20));
    assert_eq!(count(&acme, -1, 1).await.unwrap(), 19);
    assert_eq!(count(&globex, 1, 1).await.unwrap(), 1);
    assert_eq!(count(&acme, 1, 61).await.unwrap(), 1);
    // The counters of a minute share a row and not their numbers.
    assert_eq!(tables.store.count(&acme, Counter::Delete, 1, at(61)).await.unwrap(), 1);
    assert_eq!(count(&acme, 1, 62).await.unwrap(), 2);
}

#[tokio::test]
async fn a_counter_over_two_minutes_holds_no_more_across_their_boundary() {
    let tables = Tables::new().await;
    let acme = org("acme");
    // The tests' time begins twenty seconds after a minute does.
    let (before, after) = (39, 40);
    let one = |second| tables.store.count_over_two_minutes(&acme, Counter::Refused, 6, at(second));
    let granted = async |second, asked: usize| {
        let racing = join_all((0..asked).map(|_| one(second))).await;
        racing.into_iter().filter(|granted| *granted.as_ref().unwrap()).count()
    };
    let recount = |by, second| tables.store.recount_over_two_minutes(&acme, Counter::Refused, by, at(second));
    assert_eq!(granted(before, 4).await, 4);
    let racing = futures::future::join(granted(before, 20), granted(after, 20)).await;
    assert_eq!(racing.0 + racing.1, 2, "a second before the boundary and a second after it");
    // A clock that is behind finds no room, either, and what is turned away takes none.
    assert_eq!((granted(after, 9).await, granted(before, 9).await), (0, 0));
    recount(-1, before).await.unwrap();
    assert_eq!(granted(after, 9).await, 1);
    // One to three of them were counted in the minute after; a minute later the others are forgotten.
    let later = granted(after + 60, 20).await;
    assert!((3..=5).contains(&later), "{later}");
    assert_eq!(granted(after + 180, 20).await, 6);
    for _ in 0..3 {
        recount(1, after + 180).await.unwrap();
    }
    assert_eq!((granted(after + 240, 20).await, granted(after + 300, 20).await), (0, 6));
}

#[tokio::test]
async fn of_many_at_once_one_has_the_turn() {
    let tables = Tables::new().await;
    let account = slot("acme", Category::Hris, ManyPerCategory).account;
    let take = |second| tables.store.take_turn(account, "sync-status", Duration::from_secs(15), at(second));
    let racing = join_all((0..20).map(|n| take(n % 5))).await;
    let (new, told): (Vec<_>, Vec<_>) = racing.into_iter().map(Result::unwrap).partition(|turn| turn.is_new);
    let first = new[0];
    assert_eq!((new.len(), told.len()), (1, 19));
    let late = take(14).await.unwrap();
    for turn in told.into_iter().chain([late]) {
        assert_eq!(turn, Turn { is_new: false, ..first }, "the others know whose turn it is");
    }
    let second = take(20).await.unwrap();
    assert_eq!((second.is_new, second.at, second.id == first.id), (true, at(20), false));
}

#[tokio::test]
async fn messages_wait_for_their_account_once_each() {
    let tables = Tables::new().await;
    let merge_id = MergeLinkedAccountId::parse("merge-1").unwrap();
    for body in ["one", "two", "one"] {
        tables.store.park(&merge_id, body, "5m#3", at(0)).await.unwrap();
    }
    let parked = tables.store.parked(&merge_id, at(1)).await.unwrap();
    let mut bodies: Vec<_> = parked.iter().map(|parked| parked.body.as_str()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["one", "two"]);
    tables.store.unpark(&merge_id, &parked[0].hash).await.unwrap();
    assert_eq!(tables.store.parked(&merge_id, at(1)).await.unwrap().len(), 1);
    let due = tables.store.due("5m#3", None, 10).await.unwrap();
    assert_eq!(due.due, [Due::Parked(merge_id.clone())], "the poller finds it");
    let later = tables.store.parked(&merge_id, at(90_000)).await.unwrap();
    assert!(later[0].is_overdue(at(90_000)) && !later[0].is_overdue(at(80_000)), "a day later nobody will come");
    assert!(tables.store.parked(&merge_id, at(300_000)).await.unwrap().is_empty(), "and then it is gone");
    tables.store.erase_parked(&merge_id).await.unwrap();
    assert!(tables.rows().await.is_empty());
}
