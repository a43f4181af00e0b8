//! The allowance: what an organization may do in one minute, counted exactly, in the table, over all processes.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::{Limit, RefusedLimit};
use crate::domain::ids::OrganizationId;
use crate::http::Problem;
use crate::store::{Store, StoreError, limits::Counter};

/// Counts one use. 429 with what is left of the minute when there were more than the limit.
pub async fn take(
    store: &Store,
    of: &OrganizationId,
    counter: Counter,
    limit: Limit,
    now: Timestamp,
) -> Result<(), Problem> {
    let used = store.count(of, counter, 1, now).await?;
    if used <= i64::from(limit.per_minute) { Ok(()) } else { Err(next_minute(now)) }
}

fn next_minute(now: Timestamp) -> Problem {
    let second = now.as_second().rem_euclid(60).unsigned_abs();
    Problem::rate_limited(Duration::from_secs(60 - second))
}

/// A call that Merge may refuse, counted before it is made, so that a hundred at once are held back too. What is not
/// given back was refused: Merge blocks whoever causes too many errors, and with us everybody. It looks at any ten
/// seconds, so this minute and the one before are counted together.
#[derive(Debug)]
#[must_use]
pub struct Risked {
    of: OrganizationId,
    at: Timestamp,
}

impl Risked {
    /// Counts a call. 429 when so many were refused, or are under way, in this minute and the one before.
    pub async fn take(
        store: &Store,
        of: &OrganizationId,
        limit: RefusedLimit,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let most = i64::from(limit.0.per_minute);
        let room = store.count_over_two_minutes(of, Counter::Refused, most, now).await?;
        if room { Ok(Self { of: of.clone(), at: now }) } else { Err(next_minute(now)) }
    }

    /// Counts a call that was made without asking for leave, and that Merge has refused.
    pub async fn refused(store: &Store, of: &OrganizationId, now: Timestamp) -> Result<(), StoreError> {
        store.recount_over_two_minutes(of, Counter::Refused, 1, now).await
    }

    /// Merge accepted the call.
    pub async fn accepted(self, store: &Store) -> Result<(), StoreError> {
        store.recount_over_two_minutes(&self.of, Counter::Refused, -1, self.at).await
    }
}
