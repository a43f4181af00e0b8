//! The limiter: how many link tokens one subject may ask one process for. A burst, then ten a minute.
//!
//! It lives in memory, so it costs nothing and is not exact: a subject has a burst in every process. It keeps a loop in
//! somebody's browser from spending the connection service's patience; what must hold exactly is counted in a table.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Time after which one more is allowed.
const REFILL: Duration = Duration::from_secs(6);
/// Subjects that are remembered; then those with a full burst are forgotten.
const MOST_SUBJECTS: usize = 10_000;

/// A burst for each subject, refilled over time.
#[derive(Debug)]
pub struct Limiter {
    burst: u32,
    subjects: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When the bucket is full again. Each use moves it one refill further.
    full_at: Instant,
}

impl Limiter {
    /// `burst`: how many at once, at least 1.
    pub fn new(burst: u32) -> Self {
        Self { burst: burst.max(1), subjects: Mutex::default() }
    }

    /// Takes one for the subject, or says how long to wait for it.
    pub fn take(&self, subject: &str, now: Instant) -> Result<(), Duration> {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if subjects.len() >= MOST_SUBJECTS {
            subjects.retain(|_, bucket| bucket.full_at > now);
        }
        let full_at = subjects.get(subject).map_or(now, |bucket| bucket.full_at.max(now));
        let after = full_at + REFILL;
        let room = REFILL * self.burst;
        let used = after.duration_since(now);
        if used > room {
            return Err(used - room);
        }
        subjects.insert(subject.to_owned(), Bucket { full_at: after });
        Ok(())
    }

    /// Takes all that is left for the subject, whose last one was refused: the next one is there after one refill.
    pub fn use_up(&self, subject: &str, now: Instant) {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.insert(subject.to_owned(), Bucket { full_at: now + REFILL * self.burst });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_comes_back_one_by_one() {
        let limiter = Limiter::new(3);
        let start = Instant::now();
        limiter.use_up("a", start);
        assert_eq!(limiter.take("a", start), Err(REFILL));
        assert_eq!(limiter.take("b", start), Ok(()));
        assert_eq!(limiter.take("a", start + REFILL), Ok(()));
        assert!(limiter.take("a", start + REFILL).is_err());
    }

    #[test]
    fn a_burst_then_ten_a_minute_for_each_subject() {
        let limiter = Limiter::new(3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take("a", start), Ok(()));
        }
        assert_eq!(limiter.take("a", start), Err(REFILL));
        assert_eq!(limiter.take("b", start), Ok(()));
        assert_eq!(limiter.take("a", start + REFILL), Ok(()));
        assert!(limiter.take("a", start + REFILL).is_err());
        let minute: Vec<_> =
            (0..60).filter(|s| limiter.take("a", start + Duration::from_secs(60 + s)).is_ok()).collect();
        assert_eq!(minute.len(), 12, "what was saved, then one in six seconds");
    }
}
