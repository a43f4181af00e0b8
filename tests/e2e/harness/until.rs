//! Waiting: looking again and again until something holds, for a bounded time.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// How long most things may take: far longer than they do, so that a slow machine is no failure.
pub const BOUND: Duration = Duration::from_secs(150);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until `look` succeeds, and returns what it found. Its error says what is still missing; the last one is what
/// the test fails with.
pub async fn until<T>(what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + bound;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missing = "it was never looked at".to_owned();
    while Instant::now() < deadline {
        looks.tick().await;
        match timeout_at(deadline, look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(why)) => missing = why,
            Err(_) => break,
        }
    }
    panic!("not within {} s: {what}: {missing}", bound.as_secs());
}
