//! Completing a link, and undoing it: all or nothing, once, and never over what is another's.

use futures::future::join_all;
use shared::domain::{
    account::AccountStatus,
    category::Category,
    ids::{AccountId, RequestedId},
    message::AccountRef,
    origin::OriginIdStrategy::ManyPerCategory,
};
use shared::store::{accounts::Found, linking::Completion};

use super::{Tables, account_of, org, slot};

/// An id as a request would name it.
fn requested(id: AccountId) -> RequestedId {
    RequestedId::parse(&id.to_string()).unwrap()
}

#[tokio::test]
async fn completing_twice_makes_one_account() {
    let tables = Tables::new().await;
    let pending = slot("acme", Category::Hris, ManyPerCategory);
    tables.store.reserve(pending.clone(), ManyPerCategory).await.unwrap();
    let account = account_of(&pending, "merge-1");
    let outcomes = join_all((0..10).map(|_| tables.store.complete_link(&account))).await;
    let created = outcomes.iter().filter(|o| matches!(o, Ok(Completion::Created(_)))).count();
    let existing = outcomes.iter().filter(|o| matches!(o, Ok(Completion::Existing(_)))).count();
    assert_eq!((created, existing), (1, 9));

    let of = AccountRef { organization: org("acme"), account: account.id };
    assert_eq!(tables.store.owner(&account.merge_id).await.unwrap(), Some(of));
    assert_eq!(tables.store.account(&org("acme"), account.id).await.unwrap(), Some(account.clone()));
    assert_eq!(tables.store.account(&org("globex"), account.id).await.unwrap(), None);
    assert_eq!(tables.store.find(&org("globex"), requested(account.id)).await.unwrap(), None);
    assert_eq!(tables.rows().await.len(), 3, "account, owner and slot");
}

#[tokio::test]
async fn what_is_another_organizations_is_not_completed() {
    let tables = Tables::new().await;
    let (ours, theirs) =
        (slot("acme", Category::Hris, ManyPerCategory), slot("globex", Category::Hris, ManyPerCategory));
    for slot in [&ours, &theirs] {
        tables.store.reserve(slot.clone(), ManyPerCategory).await.unwrap();
    }
    tables.store.complete_link(&account_of(&ours, "merge-1")).await.unwrap();
    let before = tables.rows().await;
    let owner = AccountRef { organization: org("acme"), account: ours.account };
    let outcome = tables.store.complete_link(&account_of(&theirs, "merge-1")).await.unwrap();
    assert_eq!(outcome, Completion::Owned(owner));
    assert_eq!(tables.rows().await, before, "nothing was stored");
    assert_eq!(
        tables.store.find(&org("globex"), requested(theirs.account)).await.unwrap(),
        Some(Found::Pending(theirs)),
        "the attempt still stands"
    );
}

#[tokio::test]
async fn a_reservation_that_is_gone_completes_nothing() {
    let tables = Tables::new().await;
    let gone = slot("acme", Category::Hris, ManyPerCategory);
    let outcome = tables.store.complete_link(&account_of(&gone, "merge-1")).await.unwrap();
    assert_eq!(outcome, Completion::ReservationGone);
    assert!(tables.rows().await.is_empty());
}

#[tokio::test]
async fn erasing_leaves_nothing_and_takes_nothing_of_others() {
    let tables = Tables::new().await;
    let pending = slot("acme", Category::Hris, ManyPerCategory);
    tables.store.reserve(pending.clone(), ManyPerCategory).await.unwrap();
    let mut account = account_of(&pending, "merge-1");
    tables.store.complete_link(&account).await.unwrap();
    account.status = AccountStatus::Deleting;
    tables.store.save_account(&mut account).await.unwrap();
    for _ in 0..2 {
        tables.store.erase_account(&org("acme"), account.id, Category::Hris, &account.merge_id).await.unwrap();
        assert!(tables.rows().await.is_empty());
    }
    // The same account at Merge, linked again by another organization: a late repeat must not touch it.
    let theirs = slot("globex", Category::Hris, ManyPerCategory);
    tables.store.reserve(theirs.clone(), ManyPerCategory).await.unwrap();
    tables.store.complete_link(&account_of(&theirs, "merge-1")).await.unwrap();
    tables.store.erase_account(&org("acme"), account.id, Category::Hris, &account.merge_id).await.unwrap();
    assert_eq!(tables.rows().await.len(), 3);
}
