//! Throttle: the plan's limit per account token, and the guard against callers that only cause errors.

use std::collections::{HashMap, VecDeque};

use crate::clock::Time;

const MINUTE: i64 = 60_000;
const GUARD_WINDOW: i64 = 10_000;
const GUARD_ERRORS: usize = 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Per account token: when its minute began, and calls since.
    minutes: HashMap<String, (Time, u32)>,
    errors: VecDeque<Time>,
}

impl Throttle {
    /// Counts a call of `token` against `limit` a minute (0 = none); seconds to wait if it is one too many.
    pub fn admit(&mut self, token: &str, limit: u32, now: Time) -> Result<(), i64> {
        if limit == 0 {
            return Ok(());
        }
        let minute = self.minutes.entry(token.to_owned()).or_insert((now, 0));
        if minute.0.millis_until(now) >= MINUTE {
            *minute = (now, 0);
        }
        if minute.1 >= limit {
            let left = MINUTE - minute.0.millis_until(now);
            return Err((left + 999) / 1_000);
        }
        minute.1 += 1;
        Ok(())
    }

    /// Remembers an answer of 400 or more (429 does not count).
    pub fn note(&mut self, status: u16, now: Time) {
        if status >= 400 && status != 429 {
            self.errors.push_back(now);
        }
    }

    /// Seconds to wait if more than 20 errors were answered in the last ten seconds.
    pub fn guard(&mut self, now: Time) -> Result<(), i64> {
        while self.errors.front().is_some_and(|time| time.millis_until(now) >= GUARD_WINDOW) {
            self.errors.pop_front();
        }
        if self.errors.len() > GUARD_ERRORS { Err(GUARD_WINDOW / 1_000) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_per_token() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.admit("a", 2, Time(0)), Ok(()));
        assert_eq!(throttle.admit("a", 2, Time(0)), Ok(()));
        assert_eq!(throttle.admit("a", 2, Time(0).plus_millis(30_500)), Err(30));
        assert_eq!(throttle.admit("b", 2, Time(0)), Ok(()));
        assert_eq!(throttle.admit("a", 2, Time(0).plus_millis(60_000)), Ok(()));
    }

    #[test]
    fn more_than_twenty_errors_in_ten_seconds() {
        let mut throttle = Throttle::default();
        (0..21).for_each(|_| throttle.note(404, Time(0)));
        throttle.note(429, Time(0));
        assert_eq!(throttle.guard(Time(0)), Err(10));
        assert_eq!(throttle.guard(Time(0).plus_millis(10_000)), Ok(()));
    }
}
