//! Webhook: an event on its way to the organization's one URL, signed and retried as Merge does it.
//!
//! Three attempts, one and two seconds apart, never after a 4xx. The queue is plain data: who sends is another matter
//! (`delivery`, or a simulation), and tells the outcome back.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use crate::clock::Time;
use crate::ids::mix;

/// How deliveries go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Normal,
    /// Nothing is sent.
    Drop,
    /// Everything is sent twice.
    Duplicate,
    /// Everything is held for up to a second and a half, each event for its own time.
    Reorder,
    /// Everything comes five seconds late.
    Delay,
    /// Signed with the key that was replaced.
    OldKey,
    /// The signature without its `=`.
    Unpadded,
    /// Twenty copies at once.
    Burst,
}

/// Counters of `GET /_sandbox/state`: attempts, answers of 2xx, events given up, events never sent.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    pub sent: u64,
    pub delivered: u64,
    pub failed: u64,
    pub dropped: u64,
}

/// One event to be sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub event: String,
    pub url: String,
    pub body: Bytes,
    pub signature: String,
    due: Time,
    attempt: u32,
}

/// What the receiver made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Status(u16),
    /// No connection, no answer within ten seconds, or half an answer.
    Unanswered,
}

/// Events waiting, and those of the past for replays.
#[derive(Debug, Default)]
pub struct Queue {
    pub mode: Mode,
    pub counts: Counts,
    waiting: Vec<Delivery>,
    history: VecDeque<(String, Bytes)>,
    counter: u64,
}

/// Events kept for replays.
const HISTORY: usize = 1_000;

impl Queue {
    /// Puts an event on its way at `now`; without a `url` it counts as dropped.
    pub fn push(&mut self, event: &str, body: Bytes, url: Option<&str>, keys: &[String], now: Time) {
        self.history.push_back((event.to_owned(), body.clone()));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        self.send(event, body, url, keys, now);
    }

    fn send(&mut self, event: &str, body: Bytes, url: Option<&str>, keys: &[String], now: Time) {
        self.counter += 1;
        let Some(url) = url.filter(|_| self.mode != Mode::Drop) else {
            self.counts.dropped += 1;
            return;
        };
        let key = keys.get(usize::from(self.mode == Mode::OldKey)).or(keys.first());
        let mut signature = sign(key.map_or("", String::as_str), &body);
        if self.mode == Mode::Unpadded {
            signature = signature.trim_end_matches('=').to_owned();
        }
        let wait = match self.mode {
            Mode::Reorder => (mix(self.counter, 0) % 1_500) as i64,
            Mode::Delay => 5_000,
            _ => 0,
        };
        let copies = match self.mode {
            Mode::Duplicate => 2,
            Mode::Burst => 20,
            _ => 1,
        };
        let due = now.plus_millis(wait);
        let delivery = Delivery { event: event.to_owned(), url: url.to_owned(), body, signature, due, attempt: 0 };
        self.waiting.extend(std::iter::repeat_n(delivery, copies));
    }

    /// Sends past events once more (all, or those of one name); how many.
    pub fn replay(&mut self, event: Option<&str>, url: Option<&str>, keys: &[String], now: Time) -> usize {
        let wanted = |name: &str| event.is_none_or(|event| event == name);
        let past: Vec<_> = self.history.iter().filter(|(name, _)| wanted(name)).cloned().collect();
        for (name, body) in &past {
            self.send(name, body.clone(), url, keys, now);
        }
        past.len()
    }

    /// Takes what is due, oldest first.
    pub fn take_due(&mut self, now: Time) -> Vec<Delivery> {
        let (mut due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|delivery| delivery.due <= now);
        self.waiting = waiting;
        due.sort_by_key(|delivery| delivery.due);
        self.counts.sent += due.len() as u64;
        due
    }

    pub fn next_due(&self) -> Option<Time> {
        self.waiting.iter().map(|delivery| delivery.due).min()
    }

    /// Takes an outcome back: done, given up, or tried again.
    pub fn settle(&mut self, mut delivery: Delivery, outcome: Outcome, now: Time) {
        match outcome {
            Outcome::Status(200..=299) => self.counts.delivered += 1,
            Outcome::Status(400..=499) => self.counts.failed += 1,
            _ if delivery.attempt == 2 => self.counts.failed += 1,
            _ => {
                delivery.attempt += 1;
                delivery.due = now.plus_millis(1_000 * i64::from(delivery.attempt));
                self.waiting.push(delivery);
            }
        }
    }
}

/// HMAC-SHA256 over the raw body, base64url with padding.
pub fn sign(key: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    URL_SAFE.encode(mac.finalize().into_bytes())
}

/// Whether `signature` (padded or not) fits.
pub fn verify(key: &str, body: &[u8], signature: &str) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(signature.trim_end_matches('=')) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.verify_slice(&bytes).is_ok()
}

/// JSON as Python's `json.dumps` writes it: `, ` and `: ` between things, and ASCII only.
pub fn python_json(value: &Value) -> Bytes {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Python);
    value.serialize(&mut serializer).expect("a Value is always JSON");
    Bytes::from(out)
}

struct Python;

impl serde_json::ser::Formatter for Python {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, part: &str) -> std::io::Result<()> {
        let mut units = [0_u16; 2];
        for character in part.chars() {
            if character.is_ascii() {
                writer.write_all(&[character as u8])?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "test-signature-key";

    fn queue(mode: Mode) -> Queue {
        let mut queue = Queue { mode, ..Queue::default() };
        let keys = [KEY.to_owned(), "old".to_owned()];
        queue.push("Employee.synced", Bytes::from_static(b"{}"), Some("http://127.0.0.1:1/"), &keys, Time(0));
        queue
    }

    #[test]
    fn signatures_match_the_published_vectors() {
        assert_eq!(sign(KEY, br#"{"n": 1}"#), "F5ScEdjCpajRT5inFWFyEOrXtWNJ4Fzz-D_Cd8Nsj3E=");
        let body = python_json(&json!({"hook": {"event": "LinkedAccount.linked"}}));
        assert_eq!(sign(KEY, &body), "btZLsUSg4aAkXfF73QfoVxRE1XCD5NpJyIt09CoCYpw=");
        assert!(verify(KEY, &body, "btZLsUSg4aAkXfF73QfoVxRE1XCD5NpJyIt09CoCYpw"));
        assert!(!verify("other", &body, "btZLsUSg4aAkXfF73QfoVxRE1XCD5NpJyIt09CoCYpw="));
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        let text = python_json(&json!({"a": ["Zoë", 1, null], "b": "🌊\""}));
        assert_eq!(&text[..], br#"{"a": ["Zo\u00eb", 1, null], "b": "\ud83c\udf0a\""}"#);
    }

    #[test]
    fn three_attempts_one_and_two_seconds_apart() {
        let mut queue = queue(Mode::Normal);
        for (now, outcome) in
            [(0, Outcome::Status(500)), (1_000_000, Outcome::Unanswered), (3_000_000, Outcome::Status(503))]
        {
            assert!(queue.take_due(Time(now - 1)).is_empty(), "not before {now}");
            let delivery = queue.take_due(Time(now)).pop().expect("an attempt is due");
            queue.settle(delivery, outcome, Time(now));
        }
        assert_eq!(queue.next_due(), None);
        assert_eq!((queue.counts.sent, queue.counts.delivered, queue.counts.failed), (3, 0, 1));
    }

    #[test]
    fn never_again_after_a_4xx() {
        let mut queue = queue(Mode::Normal);
        let delivery = queue.take_due(Time(0)).pop().expect("an attempt is due");
        queue.settle(delivery, Outcome::Status(429), Time(0));
        assert_eq!(queue.next_due(), None);
        assert_eq!(queue.counts.failed, 1);
    }

    #[test]
    fn modes_copy_drop_and_spoil() {
        assert_eq!(queue(Mode::Duplicate).take_due(Time(0)).len(), 2);
        assert_eq!(queue(Mode::Burst).take_due(Time(0)).len(), 20);
        assert_eq!(queue(Mode::Drop).counts.dropped, 1);
        assert!(queue(Mode::Delay).take_due(Time(4_999_999)).is_empty());
        let old = queue(Mode::OldKey).take_due(Time(0)).pop().expect("due");
        assert!(verify("old", &old.body, &old.signature) && !verify(KEY, &old.body, &old.signature));
        let unpadded = queue(Mode::Unpadded).take_due(Time(0)).pop().expect("due");
        assert!(!unpadded.signature.ends_with('=') && verify(KEY, &unpadded.body, &unpadded.signature));
    }
}
