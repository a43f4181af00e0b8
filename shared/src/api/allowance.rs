//! The allowance: what an organization may do in one minute, counted exactly, in the table, over all processes.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::Limit;
use crate::domain::ids::OrganizationId;
use crate::http::Problem;
use crate::store::{Store, limits::Counter};

/// Counts one use. 429 with what is left of the minute when there were more than the limit.
pub async fn take(
    store: &Store,
    of: &OrganizationId,
    counter: Counter,
    limit: Limit,
    now: Timestamp,
) -> Result<(), Problem> {
    let used = store.count(of, counter, 1, now).await?;
    if used <= i64::from(limit.per_minute) {
        return Ok(());
    }
    let second = now.as_second().rem_euclid(60).unsigned_abs();
    Err(Problem::rate_limited(Duration::from_secs(60 - second)))
}
