//! Fetching one page: within the account's allowance, with the window's bounds, and with Merge's refusals sorted by
//! what follows from them.

use jiff::{SignedDuration, Timestamp};
use shared::{
    domain::window::OpenWindow,
    merge::{Cursor, ErrorKind, MergeError, PageRequest, RateBudget, RecordsPage},
    telemetry,
};
use tokio::time::Instant;

use super::{
    Worker,
    endpoint_sync::{End, EndpointSync},
};

/// How often a cursor that Merge refuses is tried before the window begins again.
const CURSOR_ATTEMPTS: u32 = 3;

/// What went wrong with one page, sorted by what follows.
pub enum PageFault {
    Backpressure(MergeError),
    /// Merge does not know the cursor any more.
    CursorRefused(MergeError),
    Broken(String),
    /// The allowance is used up for longer than a worker should wait.
    NotBefore(Timestamp),
}

impl PageFault {
    /// How the work ends with it.
    pub fn end(self) -> End {
        match self {
            Self::Backpressure(error) => End::Backpressure(error),
            Self::CursorRefused(error) => End::Broken(format!("the cursor is refused again: {}", error.label())),
            Self::Broken(what) => End::Broken(what),
            Self::NotBefore(at) => End::NotBefore(at),
        }
    }
}

impl EndpointSync<'_> {
    /// One page of the window, within the account's allowance. `parent`: the key of the record whose nested list is
    /// read; such a list is always read whole.
    pub async fn fetch(
        &self,
        open: &OpenWindow,
        parent: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<RecordsPage, PageFault> {
        let mut request = PageRequest::first(self.endpoint);
        if let Some(cursor) = cursor {
            request.cursor = Cursor::parse(cursor).map_err(|error| PageFault::Broken(error.to_string()))?;
        }
        match parent {
            Some(key) => request.parents = key.split('/').map(str::to_owned).collect(),
            None if self.endpoint.modified_after => {
                request.modified_after = open.lower;
                request.modified_before = open.modified_before();
            }
            None => {}
        }
        for attempt in 1.. {
            take_budget(self.worker, self.budget).await.map_err(PageFault::NotBefore)?;
            let error = match self.worker.merge.records_page(self.token, &request).await {
                Ok(page) => {
                    self.lanes.given(&page);
                    return Ok(page);
                }
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Unauthorized => {
                    if let Some(after) = error.retry_after() {
                        self.budget.pause(after);
                    }
                    return Err(PageFault::Backpressure(error));
                }
                // The parent is gone since we read it, and its list with it.
                ErrorKind::NotFound if parent.is_some() && request.cursor.is_none() => return Ok(RecordsPage::empty()),
                ErrorKind::Rejected | ErrorKind::NotFound if request.cursor.is_some() => {
                    if attempt == CURSOR_ATTEMPTS {
                        return Err(PageFault::CursorRefused(error));
                    }
                }
                _ => {
                    // Merge's own words are for the log: the timeline is shown to people.
                    tracing::warn!(error = telemetry::chain(&error), "Merge refused a page");
                    return Err(PageFault::Broken(format!("Merge's answer is of no use: {}", error.label())));
                }
            }
        }
        unreachable!("the loop ends by returning")
    }
}

/// Takes a call out of an account's allowance. Waits a little for it; otherwise says from when on it may be made.
pub async fn take_budget(worker: &Worker, budget: &RateBudget) -> Result<(), Timestamp> {
    let Err(until) = budget.take_within(RateBudget::LONGEST_WAIT).await else { return Ok(()) };
    let wait = SignedDuration::try_from(until.saturating_duration_since(Instant::now()));
    Err(worker.now().checked_add(wait.unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX))
}
