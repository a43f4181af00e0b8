//! Names of requests: who gets one, and when.

use futures::future::join_all;
use shared::domain::ids::OrganizationId;
use shared::store::once::{Begun, Named};
use uuid::Uuid;

use super::{Tables, at};

const HOUR: i64 = 3_600;

fn named(organization: &str, content: &str) -> Named {
    Named { organization: OrganizationId::parse(organization).unwrap(), name: "n".into(), content: content.into() }
}

fn writer(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

#[tokio::test]
async fn of_fifty_requests_of_one_name_one_runs() {
    let tables = Tables::new().await;
    let named = named("acme", "a");
    let begun = join_all((0..50).map(|n| tables.store.begin_once(&named, writer(n), at(0)))).await;
    let first = begun.iter().filter(|begun| matches!(begun, Ok(Begun::First))).count();
    let running = begun.iter().filter(|begun| matches!(begun, Ok(Begun::Running))).count();
    assert_eq!((first, running), (1, 49));
}

#[tokio::test]
async fn a_name_means_something_in_its_organization_only() {
    let tables = Tables::new().await;
    for organization in ["acme", "globex"] {
        let begun = tables.store.begin_once(&named(organization, "a"), writer(1), at(0)).await.unwrap();
        assert_eq!(begun, Begun::First);
    }
}

#[tokio::test]
async fn what_ended_is_answered_for_an_hour_and_to_the_same_request() {
    let tables = Tables::new().await;
    let (store, same, other) = (&tables.store, named("acme", "a"), named("acme", "b"));
    assert_eq!(store.begin_once(&same, writer(1), at(0)).await.unwrap(), Begun::First);
    store.end_once(&same, writer(1), "answer").await.unwrap();
    for second in [1, 31, HOUR - 1] {
        assert_eq!(store.begin_once(&same, writer(2), at(second)).await.unwrap(), Begun::Ended("answer".to_owned()));
        assert_eq!(store.begin_once(&other, writer(3), at(second)).await.unwrap(), Begun::Another);
    }
    // The row may still be there; its time is over.
    assert_eq!(store.begin_once(&other, writer(3), at(HOUR)).await.unwrap(), Begun::First);
    assert_eq!(store.begin_once(&other, writer(4), at(HOUR + 1)).await.unwrap(), Begun::Running);
}

#[tokio::test]
async fn what_crashed_is_taken_over_by_the_same_request_and_cannot_end_it_afterwards() {
    let tables = Tables::new().await;
    let (store, same, other) = (&tables.store, named("acme", "a"), named("acme", "b"));
    assert_eq!(store.begin_once(&same, writer(1), at(0)).await.unwrap(), Begun::First);
    assert_eq!(store.begin_once(&same, writer(2), at(29)).await.unwrap(), Begun::Running);
    assert_eq!(store.begin_once(&other, writer(3), at(30)).await.unwrap(), Begun::Another);
    assert_eq!(store.begin_once(&same, writer(2), at(30)).await.unwrap(), Begun::First);
    // The first one was only slow.
    store.end_once(&same, writer(1), "late").await.unwrap();
    store.free_once(&same, writer(1), at(31)).await.unwrap();
    assert_eq!(store.begin_once(&same, writer(4), at(31)).await.unwrap(), Begun::Running);
    store.end_once(&same, writer(2), "answer").await.unwrap();
    assert_eq!(store.begin_once(&same, writer(4), at(32)).await.unwrap(), Begun::Ended("answer".to_owned()));
}

#[tokio::test]
async fn a_name_that_was_freed_is_anybodys() {
    let tables = Tables::new().await;
    let (store, same, other) = (&tables.store, named("acme", "a"), named("acme", "b"));
    assert_eq!(store.begin_once(&same, writer(1), at(0)).await.unwrap(), Begun::First);
    store.free_once(&same, writer(1), at(1)).await.unwrap();
    assert_eq!(store.begin_once(&other, writer(2), at(1)).await.unwrap(), Begun::First);
}
