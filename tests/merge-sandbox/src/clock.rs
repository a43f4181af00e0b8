//! Time: an instant with microseconds, as Merge writes it, and the clock that tells it.
//!
//! Nothing below the HTTP layer reads a clock: every rule takes `now`, so that a simulation can hand in its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// Parses ISO 8601 with `Z` or an offset (a bare date or time counts as UTC).
    pub fn parse(text: &str) -> Option<Time> {
        // A form-decoded query turns the `+` of an offset into a space.
        let text = text.trim().replace(' ', "+");
        if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
            return Some(Time(timestamp.as_microsecond()));
        }
        let civil = text.replacen('+', "T", usize::from(!text.contains('T')));
        let moment = match civil.parse::<jiff::civil::DateTime>() {
            Ok(moment) => moment,
            Err(_) => text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
        };
        let zoned = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Time(zoned.timestamp().as_microsecond()))
    }

    pub fn plus_millis(self, millis: i64) -> Time {
        Time(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    pub fn plus_days(self, days: i64) -> Time {
        Time(self.0.saturating_add(days.saturating_mul(86_400_000_000)))
    }

    /// The midnight (UTC) that this instant's day began with.
    pub fn day(self) -> Time {
        Time(self.0 - self.0.rem_euclid(86_400_000_000))
    }

    pub fn millis_until(self, later: Time) -> i64 {
        (later.0 - self.0).div_euclid(1_000)
    }
}

impl std::fmt::Display for Time {
    /// `2024-01-01T00:00:00Z`, with six decimals when there are microseconds, as Merge's own serializer does.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let timestamp = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        if self.0.rem_euclid(1_000_000) == 0 { write!(f, "{timestamp}") } else { write!(f, "{timestamp:.6}") }
    }
}

/// Tells the time: the machine's, or one that only its owner moves.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `start` until [`Clock::set`].
    pub fn manual(start: Time) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(start.0)))
    }

    pub fn now(&self) -> Time {
        match self {
            Clock::System => Time(jiff::Timestamp::now().as_microsecond()),
            Clock::Manual(micros) => Time(micros.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock; the machine's own cannot be moved.
    pub fn set(&self, time: Time) {
        if let Clock::Manual(micros) = self {
            micros.store(time.0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_microseconds_only_when_there_are_any() {
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Time(1_500).to_string(), "1970-01-01T00:00:00.001500Z");
    }

    #[test]
    fn reads_offsets_fractions_and_bare_dates() {
        let expected = Time::parse("2024-01-01T10:00:00.5Z");
        assert!(expected.is_some());
        assert_eq!(Time::parse("2024-01-01T12:00:00.500000+02:00"), expected);
        assert_eq!(Time::parse("2024-01-01T12:00:00.500000 02:00"), expected, "a decoded plus sign");
        assert_eq!(Time::parse("2024-01-01T10:00:00.5"), expected);
        assert_eq!(Time::parse("2024-01-01"), Time::parse("2024-01-01T00:00:00Z"));
        assert_eq!(Time::parse("yesterday"), None);
    }
}
