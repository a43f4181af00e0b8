//! Reservations: one pending attempt per organization and category, whatever happens.

use futures::future::join_all;
use shared::domain::{category::Category, origin::OriginIdStrategy};
use shared::store::{
    linking::Completion,
    pending::{Reservation, Slot},
};

use super::{Tables, account_of, slot};

const MANY: OriginIdStrategy = OriginIdStrategy::ManyPerCategory;
const ONE: OriginIdStrategy = OriginIdStrategy::OnePerCategory;

#[tokio::test]
async fn of_fifty_racing_attempts_one_reserves_and_the_others_find_it() {
    let tables = Tables::new().await;
    let attempts = (0..50).map(|_| tables.store.reserve(slot("acme", Category::Hris, MANY), MANY));
    let outcomes = join_all(attempts).await;
    let (mut first, mut reused) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome.unwrap() {
            Reservation::First(slot) => first.push(slot),
            Reservation::Reused(slot) => reused.push(slot),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((first.len(), reused.len()), (1, 49));
    assert!(reused.iter().all(|slot| *slot == first[0]));
    assert_eq!(tables.rows().await, [("ORG#acme".to_owned(), "PENDING#hris".to_owned())]);
}

#[tokio::test]
async fn an_attempt_is_reused_however_old_with_its_origin_id() {
    let tables = Tables::new().await;
    let mut old = slot("acme", Category::Hris, MANY);
    old.created_at = super::at(-30 * 86_400);
    assert!(matches!(tables.store.reserve(old.clone(), MANY).await.unwrap(), Reservation::First(_)));
    // Even under the other strategy: what was begun keeps its id.
    for strategy in [MANY, ONE] {
        let again = tables.store.reserve(slot("acme", Category::Hris, strategy), strategy).await.unwrap();
        assert_eq!(again, Reservation::Reused(old.clone()));
    }
    // Neither another category nor another organization is held up.
    for other in [slot("acme", Category::Ats, MANY), slot("globex", Category::Hris, MANY)] {
        assert!(matches!(tables.store.reserve(other, MANY).await.unwrap(), Reservation::First(_)));
    }
}

#[tokio::test]
async fn a_reservation_that_merge_refused_says_so_until_it_is_another() {
    let tables = Tables::new().await;
    let first = slot("acme", Category::Hris, MANY);
    tables.store.reserve(first.clone(), MANY).await.unwrap();
    tables.store.mark_reservation_refused(&first).await.unwrap();
    let again = tables.store.reserve(slot("acme", Category::Hris, MANY), MANY).await.unwrap();
    assert_eq!(again, Reservation::Reused(Slot { refused: true, ..first.clone() }));
    // Late word of an attempt that was given up marks nothing of the next one.
    tables.store.free_reservation(&first).await.unwrap();
    let second = slot("acme", Category::Hris, MANY);
    tables.store.reserve(second.clone(), MANY).await.unwrap();
    tables.store.mark_reservation_refused(&first).await.unwrap();
    assert_eq!(tables.store.slot(&second.organization, Category::Hris).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_connected_category_takes_another_account_or_refuses_it() {
    let tables = Tables::new().await;
    let first = slot("acme", Category::Hris, ONE);
    assert_eq!(first.origin_id.as_str(), "acme_hris");
    tables.store.reserve(first.clone(), ONE).await.unwrap();
    let account = account_of(&first, "merge-1");
    assert!(matches!(tables.store.complete_link(&account).await.unwrap(), Completion::Created(_)));

    let refused = tables.store.reserve(slot("acme", Category::Hris, ONE), ONE).await.unwrap();
    assert_eq!(refused, Reservation::AlreadyConnected);
    tables.store.mark_slot_disconnecting(&first.organization, Category::Hris, first.account).await.unwrap();
    let refused = tables.store.reserve(slot("acme", Category::Hris, ONE), ONE).await.unwrap();
    assert_eq!(refused, Reservation::Disconnecting);

    let second = slot("acme", Category::Hris, MANY);
    let additional = tables.store.reserve(second.clone(), MANY).await.unwrap();
    assert_eq!(additional, Reservation::Additional(second.clone()));
    // The first account no longer holds the slot and cannot take it from the second.
    tables.store.free_slot(&first.organization, Category::Hris, first.account).await.unwrap();
    tables.store.mark_slot_disconnecting(&first.organization, Category::Hris, first.account).await.unwrap();
    assert_eq!(tables.store.slot(&first.organization, Category::Hris).await.unwrap(), Some(second));
}

#[tokio::test]
async fn only_a_pending_reservation_is_given_up() {
    let tables = Tables::new().await;
    let pending = slot("acme", Category::Hris, MANY);
    tables.store.reserve(pending.clone(), MANY).await.unwrap();
    assert_eq!(tables.store.pending(&pending.organization).await.unwrap(), std::slice::from_ref(&pending));
    tables.store.free_reservation(&slot("acme", Category::Hris, MANY)).await.unwrap();
    assert_eq!(tables.rows().await.len(), 1, "another account's reservation stays");
    tables.store.free_reservation(&pending).await.unwrap();
    assert_eq!(tables.rows().await.len(), 0);

    tables.store.reserve(pending.clone(), MANY).await.unwrap();
    tables.store.complete_link(&account_of(&pending, "merge-1")).await.unwrap();
    assert!(tables.store.pending(&pending.organization).await.unwrap().is_empty());
    tables.store.free_reservation(&pending).await.unwrap();
    assert!(tables.store.slot(&pending.organization, Category::Hris).await.unwrap().is_some());
}
