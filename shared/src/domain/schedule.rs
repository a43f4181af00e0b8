//! The time wheel: when an account is looked at though nobody asked. An account sits in one slot of its class
//! (`5m#3`: minutes 3, 8, 13 …), or waits for one minute (`at#29400000`). A slot is written only when the class
//! changes, so a poll costs no write.

use std::time::Duration;

use jiff::{Timestamp, Unit};

use super::{
    account::AccountStatus,
    ids::{AccountId, MergeLinkedAccountId},
};

/// Minutes that a fetch which a poll led to may take.
const FETCH_TAKES: u64 = 5;

/// How often an account is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollClass {
    OneMinute,
    FiveMinutes,
    ThirtyMinutes,
    OneHour,
    SixHours,
    Daily,
}

impl PollClass {
    pub const ALL: [PollClass; 6] = [
        PollClass::OneMinute,
        PollClass::FiveMinutes,
        PollClass::ThirtyMinutes,
        PollClass::OneHour,
        PollClass::SixHours,
        PollClass::Daily,
    ];

    pub fn minutes(self) -> u64 {
        match self {
            PollClass::OneMinute => 1,
            PollClass::FiveMinutes => 5,
            PollClass::ThirtyMinutes => 30,
            PollClass::OneHour => 60,
            PollClass::SixHours => 360,
            PollClass::Daily => 1440,
        }
    }

    /// How soon after Merge's sync its data is promised without any webhook: a round, and the fetch.
    pub fn promised(self) -> Duration {
        Duration::from_secs((self.minutes() + FETCH_TAKES) * 60)
    }

    /// Its name in keys and metrics.
    pub fn label(self) -> &'static str {
        match self {
            PollClass::OneMinute => "1m",
            PollClass::FiveMinutes => "5m",
            PollClass::ThirtyMinutes => "30m",
            PollClass::OneHour => "1h",
            PollClass::SixHours => "6h",
            PollClass::Daily => "24h",
        }
    }

    /// The slot that comes round at a minute.
    fn key_at(self, minute: i64) -> String {
        self.slot_key(minute.rem_euclid(self.minutes() as i64).unsigned_abs())
    }

    fn slot_key(self, slot: u64) -> String {
        match self {
            PollClass::OneMinute => "1m".to_owned(),
            _ => format!("{}#{slot}", self.label()),
        }
    }
}

/// The index key under which the poller finds an account, and the text that orders keys of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// `5m#3` or `at#29400000`.
    pub key: String,
    /// The slot to return to once a wake was sent; equal to `key` while none is set.
    pub class: String,
}

impl Due {
    pub fn every(class: PollClass, account: AccountId) -> Self {
        let key = class.slot_key(account.spread() % class.minutes());
        Self { class: key.clone(), key }
    }

    /// Wakes the account at a minute of the schedule, keeping its class for afterwards.
    pub fn wake(&self, minute: i64) -> Self {
        Self { key: wake_key(minute), class: self.class.clone() }
    }

    /// The class to which it belongs, `None` for a key of another time.
    pub fn poll_class(&self) -> Option<PollClass> {
        PollClass::ALL.into_iter().find(|class| self.class.split('#').next() == Some(class.label()))
    }

    /// Whether a wake is set for a later minute: what is to be done waits for it.
    pub fn wakes_after(&self, minute: i64) -> bool {
        self.key.strip_prefix("at#").and_then(|at| at.parse::<i64>().ok()).is_some_and(|at| at > minute)
    }
}

/// All slots by number, `None` after the last: every account that no wake is set for is in one of them.
pub fn slot(number: usize) -> Option<(PollClass, String)> {
    let mut number = number as u64;
    for class in PollClass::ALL {
        if number < class.minutes() {
            return Some((class, class.slot_key(number)));
        }
        number -= class.minutes();
    }
    None
}

/// The slot in which messages that wait for an account of Merge's are looked at.
pub fn parking_slot(merge_id: &MergeLinkedAccountId) -> String {
    let spread = merge_id.as_str().bytes().map(u64::from).sum::<u64>();
    PollClass::FiveMinutes.slot_key(spread % PollClass::FiveMinutes.minutes())
}

/// How many minutes back the wakes are looked for at each tick: a worker whose clock is ten minutes slow may write a
/// wake for a minute that was polled long ago, and nothing else would find the account again.
const WAKE_LOOKBACK_MINUTES: i64 = 11;

/// The index keys of minute `now`, in the order in which they are read: wakes, also of the minutes before, then slots
/// from the most frequent class to the least.
pub fn keys_now(now: i64) -> Vec<String> {
    let wakes = (now - WAKE_LOOKBACK_MINUTES..=now).map(wake_key);
    wakes.chain(PollClass::ALL.into_iter().map(|class| class.key_at(now))).collect()
}

/// The index keys of a minute that no run polled to its end, when the latest is `now`: its wakes, and its slots but for
/// those that have come round again since.
pub fn keys_missed(minute: i64, now: i64) -> Vec<String> {
    let due = PollClass::ALL.into_iter().filter(|class| class.minutes() as i64 > now - minute);
    std::iter::once(wake_key(minute)).chain(due.map(|class| class.key_at(minute))).collect()
}

/// The place of a key in the order in which the keys of one minute are read.
pub fn rank(key: &str) -> usize {
    let class = PollClass::ALL.into_iter().position(|class| key.split('#').next() == Some(class.label()));
    class.map_or(0, |place| place + 1)
}

fn wake_key(minute: i64) -> String {
    format!("at#{minute}")
}

/// What decides how often an account is polled.
#[derive(Debug, Clone, Copy)]
pub struct PollFacts {
    pub status: AccountStatus,
    pub first_sync_completed: bool,
    /// Seconds since the account was connected.
    pub age_seconds: i64,
    /// Merge's `next_sync_start - last_sync_start`, the shortest of the models, in seconds.
    pub sync_interval_seconds: Option<i64>,
    /// Webhooks about the account are seen to arrive.
    pub webhooks_arrive: bool,
}

/// Often enough that a lost webhook costs one interval, seldom enough that a quiet account costs almost nothing.
pub fn poll_class(facts: PollFacts) -> PollClass {
    match facts.status {
        // Unfinished work: looked at until it is done.
        AccountStatus::Deleting => PollClass::FiveMinutes,
        AccountStatus::Incomplete | AccountStatus::Idle | AccountStatus::RelinkNeeded | AccountStatus::Deleted => {
            PollClass::Daily
        }
        AccountStatus::Complete if !facts.first_sync_completed => {
            if facts.age_seconds < 600 {
                PollClass::OneMinute
            } else {
                PollClass::FiveMinutes
            }
        }
        AccountStatus::Complete => match facts.sync_interval_seconds {
            Some(seconds) if seconds < 3_600 => PollClass::FiveMinutes,
            Some(seconds) if seconds < 86_400 => PollClass::ThirtyMinutes,
            // Merge tells of its rare syncs by itself: the poll is there for what a webhook lost.
            _ if facts.webhooks_arrive => PollClass::SixHours,
            _ => PollClass::OneHour,
        },
    }
}

/// The minute that a scheduled event names.
pub fn minute_of(scheduled: Timestamp) -> i64 {
    scheduled.round(Unit::Second).unwrap_or(scheduled).as_second().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn every_account_is_found_once_in_each_period(uuid: u128, start in 0i64..60_000_000, class in 0..6usize) {
            let class = PollClass::ALL[class];
            let due = Due::every(class, AccountId::new(Uuid::from_u128(uuid)));
            prop_assert_eq!(due.poll_class(), Some(class));
            let period = class.minutes() as i64;
            let found = (start..start + period).filter(|now| keys_now(*now).contains(&due.key)).count();
            prop_assert_eq!(found, 1);
        }

        #[test]
        fn a_slot_that_was_missed_is_read_once(uuid: u128, first in 0i64..60_000_000, missed in 1i64..2_000, class in 0..6usize) {
            let class = PollClass::ALL[class];
            let due = Due::every(class, AccountId::new(Uuid::from_u128(uuid)));
            let now = first + missed;
            let of_missed = (first..now).filter(|minute| keys_missed(*minute, now).contains(&due.key)).count();
            let found = of_missed + usize::from(keys_now(now).contains(&due.key));
            let rounds = (first..=now).filter(|minute| class.key_at(*minute) == due.key).count();
            prop_assert_eq!(found, rounds.min(1));
        }
    }

    #[test]
    fn a_wake_is_found_by_the_ticks_around_it_and_however_late() {
        let wake = Due { key: String::new(), class: "1m".to_owned() }.wake(100);
        assert!(wake.wakes_after(99) && !wake.wakes_after(100));
        for now in 100..=103 {
            assert!(keys_now(now).contains(&wake.key), "{now}");
        }
        assert!(keys_missed(100, 1_000_000).contains(&wake.key));
    }

    #[test]
    fn every_slot_has_a_number() {
        let slots: Vec<String> = (0..).map_while(slot).map(|(_, key)| key).collect();
        assert_eq!(slots.len() as u64, PollClass::ALL.into_iter().map(PollClass::minutes).sum::<u64>());
        assert_eq!((slots[0].as_str(), slots[3].as_str(), slots.last().unwrap().as_str()), ("1m", "5m#2", "24h#1439"));
    }

    #[test]
    fn no_class_leaves_an_account_for_a_fortnight() {
        assert!(PollClass::ALL.into_iter().all(|class| class.minutes() <= 24 * 60));
    }

    #[test]
    fn rare_syncs_are_polled_rarely_only_while_webhooks_arrive() {
        let facts = |seconds, webhooks_arrive| PollFacts {
            status: AccountStatus::Complete,
            first_sync_completed: true,
            age_seconds: 0,
            sync_interval_seconds: seconds,
            webhooks_arrive,
        };
        assert_eq!(poll_class(facts(Some(600), true)), PollClass::FiveMinutes);
        assert_eq!(poll_class(facts(Some(7_200), true)), PollClass::ThirtyMinutes);
        for rare in [Some(86_400), None] {
            assert_eq!(poll_class(facts(rare, true)), PollClass::SixHours);
            assert_eq!(poll_class(facts(rare, false)), PollClass::OneHour);
        }
    }

    #[test]
    fn keys_rank_in_the_order_in_which_they_are_read() {
        let ranks: Vec<usize> = keys_missed(77, 77).iter().map(|key| rank(key)).collect();
        assert_eq!(ranks, [0, 1, 2, 3, 4, 5, 6]);
    }
}
