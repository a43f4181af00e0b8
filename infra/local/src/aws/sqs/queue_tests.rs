//! The queue's rules under any order of calls: what it hands out is compared with what a FIFO queue
//! may hand out, over random histories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::message::{Content, Millis};
use super::queue::{Accepted, Counts, DEDUPLICATION_INTERVAL, Deletion, Queue, Receipt};
use super::settings::Settings;

fn settings(attributes: &[(&str, &str)]) -> Settings {
    let attributes: BTreeMap<String, String> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let name = match attributes.contains_key("FifoQueue") {
        true => "q.fifo",
        false => "q",
    };
    Settings::parse(name, &attributes).unwrap()
}

fn content(group: &str, id: &str) -> Content {
    Content {
        body: id.to_owned(),
        group: Some(group.to_owned()),
        deduplication_id: Some(id.to_owned()),
        ..Content::default()
    }
}

#[test]
fn a_deduplication_id_is_forgotten_after_five_minutes() {
    let mut queue = Queue::new(settings(&[("FifoQueue", "true")]));
    let mut send = |now: Millis| queue.send(format!("m{now}"), content("a", "1"), None, now);
    assert!(matches!(send(0), Accepted::New(_)));
    let Accepted::Duplicate(first) = send(DEDUPLICATION_INTERVAL - 1) else { panic!("taken twice") };
    assert_eq!(first.id, "m0");
    // Counted from the first send, not from the duplicate.
    assert!(matches!(send(DEDUPLICATION_INTERVAL), Accepted::New(_)));
}

#[test]
fn what_outlives_its_retention_is_gone() {
    let mut queue = Queue::new(settings(&[("MessageRetentionPeriod", "60")]));
    queue.send("m".into(), content("a", "1"), None, 0);
    assert!(queue.expire(59_999).is_empty());
    assert_eq!(queue.expire(60_000), [1]);
    assert_eq!(queue.counts(60_000), Counts::default());
}

#[test]
fn an_expired_receipt_deletes_nothing() {
    let mut queue = Queue::new(settings(&[("FifoQueue", "true")]));
    queue.send("m".into(), content("a", "1"), None, 0);
    let receive = |queue: &mut Queue, now| {
        let message = queue.receive(1, Some(10), now).delivered.remove(0);
        Receipt { sequence: message.sequence, receive_count: message.receive_count }
    };
    let first = receive(&mut queue, 0);
    assert_eq!(queue.delete(first, 10), Deletion::Expired);
    let second = receive(&mut queue, 10);
    assert_eq!(queue.delete(first, 11), Deletion::Expired);
    assert_eq!(queue.delete(second, 11), Deletion::Deleted);
    assert_eq!(queue.delete(second, 11), Deletion::Absent);
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Send { group: usize, id: usize },
    Receive { max: usize },
    Delete { held: usize },
    Release { held: usize },
    Wait { time: Millis },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 0..40_usize).prop_map(|(group, id)| Step::Send { group, id }),
        4 => (1..=10_usize).prop_map(|max| Step::Receive { max }),
        3 => any::<usize>().prop_map(|held| Step::Delete { held }),
        2 => any::<usize>().prop_map(|held| Step::Release { held }),
        2 => (1..1_500_u64).prop_map(|time| Step::Wait { time }),
    ]
}

/// A message in the hands of a receiver.
#[derive(Debug, Clone)]
struct Held {
    receipt: Receipt,
    group: String,
    until: Millis,
}

const VISIBILITY: Millis = 1_000;
const MAX_RECEIVES: u32 = 3;

proptest! {
    #[test]
    fn any_history_keeps_order_holds_groups_back_and_loses_nothing(steps in prop::collection::vec(step(), 1..120)) {
        let mut queue = Queue::new(settings(&[
            ("FifoQueue", "true"),
            ("DeduplicationScope", "messageGroup"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"dead","maxReceiveCount":3}"#),
        ]));
        let mut now: Millis = 0;
        let mut held: Vec<Held> = Vec::new();
        let (mut accepted, mut deleted, mut dead) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut taken: BTreeSet<(usize, usize)> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Send { group, id } => {
                    let name = format!("m{}", accepted.len());
                    let outcome = queue.send(name, content(&format!("g{group}"), &id.to_string()), None, now);
                    match outcome {
                        Accepted::New(sent) => {
                            prop_assert!(taken.insert((group, id)), "accepted twice");
                            accepted.insert(sent.sequence);
                        }
                        Accepted::Duplicate(_) => prop_assert!(taken.contains(&(group, id))),
                    }
                }
                Step::Receive { max } => {
                    held.retain(|held| held.until > now);
                    let received = queue.receive(max, Some(VISIBILITY), now);
                    prop_assert!(received.delivered.len() <= max);
                    for message in &received.dead {
                        prop_assert_eq!(message.receive_count, MAX_RECEIVES);
                        prop_assert!(dead.insert(message.sequence));
                    }
                    let mut last: BTreeMap<String, u64> = BTreeMap::new();
                    // Only what was held before this call holds its group back.
                    let before_this = held.clone();
                    for message in received.delivered {
                        prop_assert!(message.receive_count <= MAX_RECEIVES);
                        prop_assert!(!deleted.contains(&message.sequence) && !dead.contains(&message.sequence));
                        let group = message.content.group.clone().unwrap();
                        prop_assert!(before_this.iter().all(|held| held.group != group), "{group} is in flight");
                        let before = last.insert(group.clone(), message.sequence);
                        prop_assert!(before.is_none_or(|before| before < message.sequence), "out of order");
                        if before.is_none() {
                            // The first of its group is the oldest that the queue still has of it.
                            let oldest = queue.messages().find(|other| other.content.group.as_ref() == Some(&group));
                            prop_assert_eq!(oldest.map(|oldest| oldest.sequence), Some(message.sequence));
                        }
                        held.push(Held {
                            receipt: Receipt { sequence: message.sequence, receive_count: message.receive_count },
                            group,
                            until: now + VISIBILITY,
                        });
                    }
                }
                Step::Delete { held: which } if !held.is_empty() => {
                    let Held { receipt, until, .. } = held.remove(which % held.len());
                    match queue.delete(receipt, now) {
                        Deletion::Deleted => {
                            prop_assert!(until > now);
                            deleted.insert(receipt.sequence);
                        }
                        Deletion::Expired => prop_assert!(until <= now),
                        Deletion::Absent => prop_assert!(until <= now),
                    }
                }
                Step::Release { held: which } if !held.is_empty() => {
                    let Held { receipt, .. } = held.remove(which % held.len());
                    queue.change_visibility(receipt, 0, now);
                }
                Step::Wait { time } => now += time,
                Step::Delete { .. } | Step::Release { .. } => {}
            }
            let kept: BTreeSet<u64> = queue.messages().map(|message| message.sequence).collect();
            prop_assert!(kept.is_disjoint(&deleted) && kept.is_disjoint(&dead));
            let all: BTreeSet<u64> = kept.iter().chain(&deleted).chain(&dead).copied().collect();
            prop_assert_eq!(&all, &accepted, "a message was lost");
            let counts = queue.counts(now);
            prop_assert_eq!(counts.visible + counts.in_flight + counts.delayed, kept.len());
        }
    }
}
