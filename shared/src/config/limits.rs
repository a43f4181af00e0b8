//! Limits: how often in one minute an organization may do what costs a call to Merge or work on the queue. Each
//! function reads its own; beyond it the answer is 429.

use super::{Reader, Section};

/// What one function lets an organization do.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How often in one minute.
    pub per_minute: u32,
}

/// `REFUSED_CALLS_PER_MINUTE`, 1 to 9, default 6: calls that Merge may refuse, of all that people make in an
/// organization in a minute and the one before. Merge blocks an address, and so every organization behind it, after 20
/// errors in 10 s; our own breaker opens after 10.
#[derive(Clone, Copy, Debug)]
pub struct RefusedLimit(pub Limit);

impl Section for RefusedLimit {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(Limit { per_minute: reader.number_or("REFUSED_CALLS_PER_MINUTE", 6, 1, 9) })
    }
}

/// `RELINKS_PER_MINUTE`, default 30.
#[derive(Clone, Copy, Debug)]
pub struct RelinkLimit(pub Limit);

impl Section for RelinkLimit {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(Limit { per_minute: reader.number_or("RELINKS_PER_MINUTE", 30, 1, 100_000) })
    }
}

/// `REFRESHES_PER_MINUTE`, default 60: syncs that people ask for.
#[derive(Clone, Copy, Debug)]
pub struct RefreshLimit(pub Limit);

impl Section for RefreshLimit {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(Limit { per_minute: reader.number_or("REFRESHES_PER_MINUTE", 60, 1, 100_000) })
    }
}

/// `DELETES_PER_MINUTE`, default 60.
#[derive(Clone, Copy, Debug)]
pub struct DeleteLimit(pub Limit);

impl Section for DeleteLimit {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(Limit { per_minute: reader.number_or("DELETES_PER_MINUTE", 60, 1, 100_000) })
    }
}
