//! The rate budget: how many calls about one linked account Merge's plan still allows. A token bucket whose burst and
//! refill together never exceed the plan within any minute, and which stands still after a 429 for as long as Merge
//! says.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Merge counts where calls arrive, and one may be up to a second longer on its way than the one after it: a minute
/// there holds what was sent within so long here.
const MINUTE_AT_MERGE: Duration = Duration::from_secs(61);

/// One account's calls. Shared by whatever works on the account side by side; time is tokio's.
#[derive(Debug)]
pub struct RateBudget {
    burst: f64,
    per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Instant,
    not_before: Instant,
}

impl RateBudget {
    /// So long a call waits for its turn; beyond that the account is looked at later, and nothing sleeps past its end.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(5);

    /// A full budget under a plan of so many requests a minute.
    pub fn new(requests_per_minute: u32) -> Self {
        let plan = f64::from(requests_per_minute.max(2));
        let burst = (plan / 20.0).max(1.0).floor();
        let now = Instant::now();
        Self {
            burst,
            per_second: (plan - burst) / MINUTE_AT_MERGE.as_secs_f64(),
            state: Mutex::new(State { tokens: burst, at: now, not_before: now }),
        }
    }

    /// Waits until a call may be made, and takes it; or says when, if that is further away than `longest`.
    pub async fn take_within(&self, longest: Duration) -> Result<(), Instant> {
        while let Err(until) = self.try_take() {
            if until.saturating_duration_since(Instant::now()) > longest {
                return Err(until);
            }
            sleep_until(until).await;
        }
        Ok(())
    }

    /// Takes a call, or says when to ask again.
    pub fn try_take(&self) -> Result<(), Instant> {
        let now = Instant::now();
        let mut state = self.state();
        if state.not_before > now {
            return Err(state.not_before);
        }
        state.tokens = (state.tokens + now.duration_since(state.at).as_secs_f64() * self.per_second).min(self.burst);
        state.at = now;
        if state.tokens >= 1.0 {
            state.tokens -= 1.0;
            return Ok(());
        }
        // Rounded up to tokio's millisecond, so that whoever wakes finds the token there.
        let wait = Duration::from_secs_f64((1.0 - state.tokens) / self.per_second) + Duration::from_millis(1);
        Err(now + wait)
    }

    /// Nobody calls for so long, and the burst is gone: Merge answered 429.
    pub fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        state.not_before = state.not_before.max(until);
        state.tokens = 0.0;
        state.at = state.not_before;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is valid after each statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_minute_holds_more_calls_than_the_plan() {
        for plan in [100_u32, 400, 600] {
            let budget = RateBudget::new(plan);
            let mut calls = Vec::new();
            let end = Instant::now() + Duration::from_secs(180);
            while Instant::now() < end {
                budget.take_within(Duration::from_secs(5)).await.unwrap();
                calls.push(Instant::now());
            }
            for (index, start) in calls.iter().enumerate() {
                let within = calls[index..].iter().take_while(|at| at.duration_since(*start) < MINUTE_AT_MERGE);
                assert!(within.count() <= plan as usize, "plan {plan}");
            }
            assert!(calls.len() as f64 > f64::from(plan) * 3.0 * 0.9, "plan {plan} is used: {}", calls.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_429_nobody_calls_until_merge_allows_it() {
        let budget = RateBudget::new(600);
        budget.pause(Duration::from_secs(120));
        let start = Instant::now();
        assert_eq!(budget.take_within(Duration::from_secs(5)).await, Err(start + Duration::from_secs(120)));
        assert_eq!(start.elapsed(), Duration::ZERO, "nobody waits for that");
        budget.take_within(Duration::from_secs(150)).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(120));
    }
}
