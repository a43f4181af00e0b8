//! The timeline: newest first, in pages, without what has expired.

use std::time::Duration;

use shared::domain::{category::Category, origin::OriginIdStrategy::ManyPerCategory};
use shared::store::events::{Event, EventKind, SYSTEM};
use uuid::Uuid;

use super::{Tables, at, slot};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn events_are_read_newest_first_and_expire() {
    let tables = Tables::new().await;
    let account = slot("acme", Category::Hris, ManyPerCategory).account;
    let other = slot("acme", Category::Hris, ManyPerCategory).account;
    for n in 0..5 {
        let event = Event::new(at(n), EventKind::SyncFinished, SYSTEM).model("hris.Employee").with("added", n);
        tables.store.add_event(account, &event, Uuid::new_v4(), DAY).await.unwrap();
    }
    let event = Event::new(at(9), EventKind::Renamed, "user_1");
    tables.store.add_event(other, &event, Uuid::new_v4(), DAY).await.unwrap();

    let (mut added, mut before) = (Vec::new(), None);
    loop {
        let page = tables.store.events(account, before.as_deref(), 2, at(10)).await.unwrap();
        added.extend(page.events.iter().map(|(_, event)| event.detail["added"].as_i64().unwrap()));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(added, [4, 3, 2, 1, 0]);
    let later = tables.store.events(account, None, 10, at(86_402)).await.unwrap();
    assert_eq!(later.events.len(), 2, "three have expired");
}

#[tokio::test]
async fn the_same_event_written_again_is_one() {
    let tables = Tables::new().await;
    let account = slot("acme", Category::Hris, ManyPerCategory).account;
    let (event, id) = (Event::new(at(0), EventKind::Connected, "user_1"), Uuid::new_v4());
    for _ in 0..2 {
        tables.store.add_event(account, &event, id, DAY).await.unwrap();
    }
    let page = tables.store.events(account, None, 10, at(1)).await.unwrap();
    assert_eq!(page.events.len(), 1);
    assert_eq!(page.events[0].1, event);
}
