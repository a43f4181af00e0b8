//! The change feed and how long it is kept: whoever follows it misses nothing, or is told that something may be
//! missing.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::ambient::{self, Ambient};
use shared::domain::change::Action;

use crate::answer::Answer;
use crate::reading::{claimed, employee, get, page};
use crate::world::{World, run};

/// Changes are kept for 30 days.
const KEPT: i64 = 30;

/// Takes this thread, in which the handlers run, so many days ahead of its clock.
fn in_days(days: i64) {
    ambient::replace(Some(Ambient {
        now: Box::new(move || Timestamp::now() + SignedDuration::from_hours(24 * days)),
        random: Box::new(|| uuid::Uuid::new_v4().as_u128()),
        print: Box::new(|line| println!("{line}")),
    }));
}

/// What the feed says after a cursor, on a day: the names of the records, and the next cursor.
async fn followed(world: &World, id: &str, day: i64, cursor: &str) -> (Vec<String>, String) {
    in_days(day);
    let answer = ask(world, id, cursor).await.expect(200);
    let names = answer["results"].as_array().unwrap().iter();
    let names = names.map(|change| change["record_id"].as_str().unwrap().to_owned()).collect();
    (names, next(&answer))
}

async fn ask(world: &World, id: &str, cursor: &str) -> Answer {
    let cursor = if cursor.is_empty() { String::new() } else { format!("?cursor={cursor}") };
    get(world, id, &format!("/changes{cursor}")).await
}

async fn lost(world: &World, id: &str, day: i64, cursor: &str) {
    in_days(day);
    ask(world, id, cursor).await.refused(410, "cursor_expired");
}

fn next(answer: &Value) -> String {
    answer["next_cursor"].as_str().unwrap().to_owned()
}

fn change(n: usize) -> [(String, Action); 1] {
    [(employee(n, false), Action::Added)]
}

#[test]
fn a_cursor_from_before_a_models_first_change_expires_like_any_other() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        // Nothing has been synced: the cursor has no place in any model.
        let (none, early) = followed(&world, &id, 0, "now").await;
        assert_eq!(none, [] as [&str; 0]);
        let (none, read) = followed(&world, &id, 0, "").await;
        assert_eq!(none, [] as [&str; 0]);

        in_days(10);
        let start = claimed(&world, &id).await;
        page(&world, &id, &start, &change(1)).await;
        for cursor in [&early, &read] {
            let (first, next) = followed(&world, &id, KEPT - 1, cursor).await;
            assert_eq!(first, ["e1"]);
            // The block may be gone by then, and may not have been the only one.
            lost(&world, &id, KEPT + 1, cursor).await;
            // Whoever read it before that goes on.
            assert_eq!(followed(&world, &id, KEPT + 1, &next).await.0, [] as [&str; 0]);
        }
    });
}

#[test]
fn a_reader_who_came_after_the_connection_loses_nothing_of_a_model_that_came_later_still() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let (_, cursor) = followed(&world, &id, 35, "now").await;
        in_days(36);
        let start = claimed(&world, &id).await;
        page(&world, &id, &start, &change(1)).await;
        // The account is older than what is kept; what the cursor stands before is not.
        assert_eq!(followed(&world, &id, 35 + KEPT - 1, &cursor).await.0, ["e1"]);
        lost(&world, &id, 35 + KEPT + 1, &cursor).await;
    });
}

#[test]
fn without_a_cursor_the_feed_begins_with_the_first_change_or_says_that_it_may_be_gone() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let start = claimed(&world, &id).await;
        let then = page(&world, &id, &start, &change(1)).await;
        assert_eq!(followed(&world, &id, KEPT - 1, "").await.0, ["e1"]);
        lost(&world, &id, KEPT + 1, "").await;

        // What the answer says to do: a cursor, the records, and on from there.
        let (_, cursor) = followed(&world, &id, KEPT + 1, "now").await;
        let records = get(&world, &id, "/records/hris.Employee").await.expect(200);
        assert_eq!(records["results"].as_array().unwrap().len(), 1);
        page(&world, &id, &then, &change(2)).await;
        let (news, cursor) = followed(&world, &id, KEPT + 20, &cursor).await;
        assert_eq!(news, ["e2"]);
        assert_eq!(followed(&world, &id, KEPT + 20, &cursor).await.0, [] as [&str; 0]);
    });
}

#[test]
fn a_full_page_keeps_in_mind_since_when_the_models_after_it_wait() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let start = claimed(&world, &id).await;
        page(&world, &id, &start, &[change(1), change(2)].concat()).await;
        in_days(KEPT - 1);
        let first = get(&world, &id, "/changes?limit=1").await.expect(200);
        assert_eq!((&first["has_more"], first["results"].as_array().unwrap().len()), (&json!(true), 1));
        assert_eq!(followed(&world, &id, KEPT - 1, &next(&first)).await.0, ["e2"]);
        lost(&world, &id, KEPT + 1, &next(&first)).await;
    });
}

#[test]
fn cursors_given_before_they_said_so_are_good_while_nothing_can_be_gone() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let start = claimed(&world, &id).await;
        page(&world, &id, &start, &change(1)).await;
        let old = |positions: Value| shared::api::cursor::encode(&["acme", &id, "changes", ""], positions).unwrap();
        let nowhere = old(json!({}));
        assert_eq!(followed(&world, &id, KEPT - 1, &nowhere).await.0, ["e1"]);
        lost(&world, &id, KEPT + 1, &nowhere).await;
        let at = Timestamp::now() + SignedDuration::from_hours(24 * 20);
        let somewhere = old(json!({"hris.employees": {"tag": "00000000010000000001", "next": null, "at": at}}));
        assert_eq!(followed(&world, &id, KEPT + 1, &somewhere).await.0, [] as [&str; 0]);
    });
}
