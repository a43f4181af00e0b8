//! The breaker: stops calling Merge for a while after too many errors. Merge cuts an address off after more than 20
//! error answers in 10 seconds, and many functions share our addresses; so ten in one process are enough.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

const ERRORS: usize = 10;
const WINDOW: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(10);

/// Closed until ten errors within ten seconds; then open for ten seconds.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    errors: VecDeque<Instant>,
    open_until: Option<Instant>,
}

impl Breaker {
    /// `Err` with the time left while it is open.
    pub(super) fn check(&self) -> Result<(), Duration> {
        let mut state = self.state();
        match state.open_until {
            Some(until) if until > Instant::now() => Err(until - Instant::now()),
            Some(_) => {
                state.open_until = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes an answer of 400 and above other than 429, or none at all.
    pub(super) fn failed(&self) {
        let now = Instant::now();
        let mut state = self.state();
        while state.errors.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            state.errors.pop_front();
        }
        state.errors.push_back(now);
        if state.errors.len() >= ERRORS {
            state.errors.clear();
            state.open_until = Some(now + PAUSE);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic while it is held leaves at worst one error uncounted.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_at_ten_errors_in_ten_seconds_and_closes_by_itself() {
        let breaker = Breaker::default();
        for _ in 0..9 {
            breaker.failed();
        }
        assert!(breaker.check().is_ok());
        breaker.failed();
        assert_eq!(breaker.check(), Err(PAUSE));
        tokio::time::advance(PAUSE).await;
        assert!(breaker.check().is_ok());
        breaker.failed();
        assert!(breaker.check().is_ok(), "old errors are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn errors_far_apart_do_not_open_it() {
        let breaker = Breaker::default();
        for _ in 0..50 {
            breaker.failed();
            assert!(breaker.check().is_ok());
            tokio::time::advance(Duration::from_millis(1200)).await;
        }
    }
}
