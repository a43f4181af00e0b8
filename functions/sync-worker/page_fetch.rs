//! Fetching one page: within the account's allowance, with the window's bounds, and with Merge's refusals sorted by what
//! follows from them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::{
    domain::window::OpenWindow,
    merge::{Cursor, ErrorKind, MergeError, PageRequest, RecordsPage},
    telemetry,
};
use tokio::time::{Instant, sleep_until};

use super::endpoint_sync::EndpointSync;

/// A worker waits so long for the account's allowance; beyond that the account is woken later.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

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

impl EndpointSync<'_> {
    /// One page of the window, within the account's allowance.
    pub async fn fetch(&self, open: &OpenWindow, cursor: Option<&str>) -> Result<RecordsPage, PageFault> {
        let mut request = PageRequest::first(self.endpoint);
        if let Some(cursor) = cursor {
            request.cursor = Cursor::parse(cursor).map_err(|error| PageFault::Broken(error.to_string()))?;
        }
        request.modified_after = open.lower.filter(|_| self.endpoint.modified_after);
        request.modified_before = open.modified_before().filter(|_| self.endpoint.modified_after);
        for attempt in 1.. {
            self.take_budget().await?;
            let error = match self.worker.merge.records_page(self.token, &request).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Unauthorized => {
                    if let Some(after) = error.retry_after() {
                        self.budget.pause(after);
                    }
                    return Err(PageFault::Backpressure(error));
                }
                ErrorKind::Rejected | ErrorKind::NotFound if request.cursor.is_some() => {
                    if attempt == CURSOR_ATTEMPTS {
                        return Err(PageFault::CursorRefused(error));
                    }
                }
                _ => return Err(PageFault::Broken(telemetry::chain(&error))),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Takes a call out of the account's allowance. Waits a little for it; not as long as Merge may ask after a 429.
    async fn take_budget(&self) -> Result<(), PageFault> {
        while let Err(until) = self.budget.try_take() {
            let wait = until.saturating_duration_since(Instant::now());
            if wait > LONGEST_WAIT {
                let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
                return Err(PageFault::NotBefore(self.worker.now().checked_add(wait).unwrap_or(Timestamp::MAX)));
            }
            sleep_until(until).await;
        }
        Ok(())
    }
}
