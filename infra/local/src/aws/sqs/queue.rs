//! A queue: the state machine of one SQS queue, standard or FIFO. Pure: no clock, no randomness, no
//! I/O; `now` and message ids are arguments.
//!
//! FIFO: messages of a group are handed out in order, and none while an earlier-received one of its
//! group is still in flight. A deduplication id is remembered for five minutes from its first send.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::message::{Content, Message, Millis};
use super::settings::Settings;

/// How long a deduplication id is remembered.
pub const DEDUPLICATION_INTERVAL: Millis = 5 * 60 * 1_000;

/// One SQS queue.
#[derive(Debug)]
pub struct Queue {
    pub settings: Settings,
    messages: BTreeMap<u64, Message>,
    /// Sequences of received messages; those whose visibility has run out are dropped lazily.
    in_flight: BTreeSet<u64>,
    remembered: HashMap<DeduplicationKey, Sent>,
    /// The keys of `remembered` in the order in which they are forgotten.
    forgotten_at: VecDeque<(Millis, DeduplicationKey)>,
    last_sequence: u64,
}

/// Message group (when ids count per group) and deduplication id.
pub type DeduplicationKey = (Option<String>, String);

/// What a send is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub id: String,
    pub sequence: u64,
}

/// The outcome of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    New(Sent),
    /// A message with this deduplication id was accepted before; nothing was added.
    Duplicate(Sent),
}

/// One handing-out of a message: the message's sequence and which receive it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub sequence: u64,
    pub receive_count: u32,
}

/// The outcome of a receive.
#[derive(Debug, Default)]
pub struct Received {
    /// Handed out, in flight from now on.
    pub delivered: Vec<Message>,
    /// Received too often: taken out of this queue, for its dead-letter queue.
    pub dead: Vec<Message>,
}

/// The outcome of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    Deleted,
    /// No such message any more.
    Absent,
    /// The receipt is not the latest, or (FIFO) its visibility has run out; nothing was deleted.
    Expired,
}

/// The outcome of a visibility change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisibilityChange {
    Changed,
    Absent,
    NotInFlight,
}

/// Approximate numbers of messages, which here are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub visible: usize,
    pub in_flight: usize,
    pub delayed: usize,
}

impl Queue {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            messages: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            remembered: HashMap::new(),
            forgotten_at: VecDeque::new(),
            last_sequence: 0,
        }
    }

    /// Accepts a message under the id `id`, visible after `delay` (default: the queue's).
    pub fn send(&mut self, id: String, content: Content, delay: Option<Millis>, now: Millis) -> Accepted {
        self.forget(now);
        let key = self.deduplication_key(&content);
        if let Some(sent) = key.as_ref().and_then(|key| self.remembered.get(key)) {
            return Accepted::Duplicate(sent.clone());
        }
        let sent = Sent { sequence: self.last_sequence + 1, id };
        self.restore(Message {
            sequence: sent.sequence,
            id: sent.id.clone(),
            content,
            sent_at: now,
            first_received_at: None,
            receive_count: 0,
            visible_at: now + delay.unwrap_or(self.settings.delay),
            dead_letter_source: None,
        });
        if let Some(key) = key {
            self.remember(key, sent.clone(), now + DEDUPLICATION_INTERVAL);
        }
        Accepted::New(sent)
    }

    /// Puts back a message under its own sequence, as it was when it was written down.
    pub fn restore(&mut self, message: Message) {
        self.last_sequence = self.last_sequence.max(message.sequence);
        self.messages.insert(message.sequence, message);
    }

    /// Remembers a deduplication id that was taken before a restart.
    pub fn restore_deduplication(&mut self, key: DeduplicationKey, sent: Sent, until: Millis) {
        self.remember(key, sent, until);
    }

    /// The deduplication ids still remembered, with the time at which each is forgotten.
    pub fn remembered(&self) -> impl Iterator<Item = (&DeduplicationKey, &Sent, Millis)> {
        self.forgotten_at.iter().filter_map(|(until, key)| Some((key, self.remembered.get(key)?, *until)))
    }

    /// The sequence of the latest message that was ever accepted.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Continues the sequence of a queue that was written down.
    pub fn restore_sequence(&mut self, last: u64) {
        self.last_sequence = self.last_sequence.max(last);
    }

    /// Counts a receive that happened before a restart.
    pub fn restore_receive(&mut self, sequence: u64, count: u32, at: Millis) {
        if let Some(message) = self.messages.get_mut(&sequence) {
            message.receive_count = count;
            message.first_received_at.get_or_insert(at);
        }
    }

    /// Takes out messages by their sequences.
    pub fn remove(&mut self, sequences: &[u64]) {
        for sequence in sequences {
            self.messages.remove(sequence);
            self.in_flight.remove(sequence);
        }
    }

    /// Takes in a message that the queue `source_arn` gave up; answers with it as it stands here.
    pub fn bury(&mut self, mut message: Message, source_arn: &str, now: Millis) -> Message {
        message.sequence = self.last_sequence + 1;
        message.visible_at = now;
        message.dead_letter_source = Some(source_arn.to_owned());
        if self.settings.fifo {
            // SQS restarts the retention of FIFO messages only.
            message.sent_at = now;
        }
        self.restore(message.clone());
        message
    }

    /// Hands out up to `max` messages, invisible for `visibility` (default: the queue's).
    pub fn receive(&mut self, max: usize, visibility: Option<Millis>, now: Millis) -> Received {
        let visible_at = now + visibility.unwrap_or(self.settings.visibility_timeout);
        let give_up_at = match &self.settings.redrive {
            Some(redrive) => redrive.max_receive_count,
            None => u32::MAX,
        };
        self.settle(now);
        let fifo = self.settings.fifo;
        let mut held: HashSet<&str> = HashSet::new();
        if fifo {
            let in_flight = self.in_flight.iter().filter_map(|n| self.messages.get(n));
            held.extend(in_flight.filter_map(|message| message.content.group.as_deref()));
        }
        let (mut chosen, mut dead) = (Vec::new(), Vec::new());
        for (sequence, message) in &self.messages {
            if chosen.len() == max {
                break;
            }
            let group = message.content.group.as_deref().filter(|_| fifo);
            if group.is_some_and(|group| held.contains(group)) {
                continue;
            }
            if message.visible_at > now {
                held.extend(group);
            } else if message.receive_count >= give_up_at {
                dead.push(*sequence);
            } else {
                chosen.push(*sequence);
            }
        }
        let mut received = Received::default();
        for sequence in chosen {
            if let Some(message) = self.messages.get_mut(&sequence) {
                message.receive_count += 1;
                message.first_received_at.get_or_insert(now);
                message.visible_at = visible_at;
                self.in_flight.insert(sequence);
                received.delivered.push(message.clone());
            }
        }
        received.dead = dead.into_iter().filter_map(|sequence| self.messages.remove(&sequence)).collect();
        received
    }

    /// Deletes a message by the receipt of its latest receive.
    pub fn delete(&mut self, receipt: Receipt, now: Millis) -> Deletion {
        let Some(message) = self.messages.get(&receipt.sequence) else {
            return Deletion::Absent;
        };
        let run_out = self.settings.fifo && message.visible_at <= now;
        if message.receive_count != receipt.receive_count || run_out {
            return Deletion::Expired;
        }
        self.remove(&[receipt.sequence]);
        Deletion::Deleted
    }

    /// Makes a message in flight visible after `timeout` from now; 0 makes it visible at once.
    pub fn change_visibility(&mut self, receipt: Receipt, timeout: Millis, now: Millis) -> VisibilityChange {
        let Some(message) = self.messages.get_mut(&receipt.sequence) else {
            return VisibilityChange::Absent;
        };
        if message.receive_count != receipt.receive_count || message.visible_at <= now {
            return VisibilityChange::NotInFlight;
        }
        message.visible_at = now + timeout;
        VisibilityChange::Changed
    }

    /// Deletes all messages; deduplication ids stay remembered.
    pub fn purge(&mut self) {
        self.messages.clear();
        self.in_flight.clear();
    }

    pub fn counts(&self, now: Millis) -> Counts {
        let mut counts = Counts::default();
        for message in self.messages.values() {
            if message.visible_at <= now {
                counts.visible += 1;
            } else if message.receive_count > 0 {
                counts.in_flight += 1;
            } else {
                counts.delayed += 1;
            }
        }
        counts
    }

    /// When the next invisible message becomes visible.
    pub fn next_change(&self, now: Millis) -> Option<Millis> {
        let times = self.messages.values().map(|message| message.visible_at);
        times.filter(|time| *time > now).min()
    }

    /// The message with this sequence.
    pub fn message(&self, sequence: u64) -> Option<&Message> {
        self.messages.get(&sequence)
    }

    /// The messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// Every message becomes visible: whoever held one is gone.
    pub fn release_all(&mut self, now: Millis) {
        for message in self.messages.values_mut().filter(|m| m.receive_count > 0) {
            message.visible_at = message.visible_at.min(now);
        }
        self.in_flight.clear();
    }

    /// Deletes what has outlived the retention period; answers with the sequences.
    pub fn expire(&mut self, now: Millis) -> Vec<u64> {
        let retention = self.settings.retention;
        let expired: Vec<u64> = self
            .messages
            .values()
            .take_while(|message| message.sent_at + retention <= now)
            .map(|message| message.sequence)
            .collect();
        self.remove(&expired);
        expired
    }

    /// Drops from the in-flight set what is visible again or gone.
    fn settle(&mut self, now: Millis) {
        let messages = &self.messages;
        self.in_flight.retain(|sequence| messages.get(sequence).is_some_and(|message| message.visible_at > now));
    }

    /// What the queue deduplicates `content` by; `None` in a standard queue.
    pub fn deduplication_key(&self, content: &Content) -> Option<DeduplicationKey> {
        if !self.settings.fifo {
            return None;
        }
        let id = content.deduplication_id.clone()?;
        let per_group = self.settings.deduplication_per_group;
        Some((content.group.clone().filter(|_| per_group), id))
    }

    fn remember(&mut self, key: DeduplicationKey, sent: Sent, until: Millis) {
        self.forgotten_at.push_back((until, key.clone()));
        self.remembered.insert(key, sent);
    }

    fn forget(&mut self, now: Millis) {
        while let Some((until, _)) = self.forgotten_at.front()
            && *until <= now
        {
            if let Some((_, key)) = self.forgotten_at.pop_front() {
                self.remembered.remove(&key);
            }
        }
    }
}
