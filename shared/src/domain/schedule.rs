//! The time wheel: when an account is looked at though nobody asked. An account sits in one slot of its class
//! (`5m#3`: minutes 3, 8, 13 …), or waits for one minute (`at#29400000`). A slot is written only when the class
//! changes, so a poll costs no write.

use jiff::{Timestamp, Unit};

use super::{account::AccountStatus, ids::AccountId};

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

    fn label(self) -> &'static str {
        match self {
            PollClass::OneMinute => "1m",
            PollClass::FiveMinutes => "5m",
            PollClass::ThirtyMinutes => "30m",
            PollClass::OneHour => "1h",
            PollClass::SixHours => "6h",
            PollClass::Daily => "24h",
        }
    }

    /// The class of a slot's key, `5m#3` or `1m`; `None` for a wake.
    pub fn of_key(key: &str) -> Option<Self> {
        let label = key.split('#').next().unwrap_or(key);
        Self::ALL.into_iter().find(|class| class.label() == label)
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
        Self { key: format!("at#{minute}"), class: self.class.clone() }
    }

    pub fn is_wake(&self) -> bool {
        self.key.starts_with("at#")
    }

    /// Whether a wake is set for a later minute: what is to be done waits for it.
    pub fn wakes_after(&self, minute: i64) -> bool {
        self.key.strip_prefix("at#").and_then(|at| at.parse::<i64>().ok()).is_some_and(|at| at > minute)
    }
}

/// How many minutes back the wakes are looked for at each tick: clocks differ, and a wake may be written for a
/// minute that has just been polled.
const WAKE_LOOKBACK_MINUTES: i64 = 3;

/// After how many missed minutes a tick stops catching up minute by minute: every slot has come round by then.
const LONGEST_CATCH_UP_MINUTES: i64 = 1440;

/// The index keys to query at minute `now`, when `last` is the last minute that was polled to its end.
pub fn keys_due(last: Option<i64>, now: i64) -> Vec<String> {
    let first = last.map_or(now, |last| (last + 1).max(now - LONGEST_CATCH_UP_MINUTES + 1).min(now));
    let wakes = (first - WAKE_LOOKBACK_MINUTES..=now).map(|minute| format!("at#{minute}"));
    let slots = PollClass::ALL.into_iter().flat_map(move |class| {
        let period = class.minutes() as i64;
        let rounds = (now - first + 1).min(period);
        (0..rounds).map(move |back| class.slot_key((now - back).rem_euclid(period) as u64))
    });
    wakes.chain(slots).collect()
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
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn every_account_is_found_once_in_each_period(uuid: u128, start in 0i64..60_000_000, class in 0..6usize) {
            let class = PollClass::ALL[class];
            let due = Due::every(class, AccountId::new(Uuid::from_u128(uuid)));
            prop_assert_eq!(PollClass::of_key(&due.key), Some(class));
            prop_assert_eq!(PollClass::of_key(&due.wake(start).key), None);
            let period = class.minutes() as i64;
            let found = (start..start + period).filter(|now| keys_due(Some(now - 1), *now).contains(&due.key)).count();
            prop_assert_eq!(found, 1);
        }

        #[test]
        fn missed_minutes_are_caught_up(uuid: u128, last in 0i64..60_000_000, missed in 0i64..5_000, class in 0..6usize) {
            let class = PollClass::ALL[class];
            let due = Due::every(class, AccountId::new(Uuid::from_u128(uuid)));
            let now = last + 1 + missed;
            let keys = keys_due(Some(last), now);
            let distinct: BTreeSet<_> = keys.iter().collect();
            prop_assert_eq!(distinct.len(), keys.len(), "no key twice");
            if missed + 1 >= class.minutes() as i64 {
                prop_assert!(keys.contains(&due.key));
            }
        }
    }

    #[test]
    fn a_wake_is_found_by_the_ticks_around_it() {
        let wake = Due { key: String::new(), class: "1m".to_owned() }.wake(100).key;
        for now in 100..=103 {
            assert!(keys_due(Some(now - 1), now).contains(&wake), "{now}");
        }
    }
}
