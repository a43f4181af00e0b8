//! Lanes: how many models of an account are read side by side. Few until Merge has given a page, so that a refused key
//! or an outage costs few calls (Merge blocks an address after 20 errors in 10 s); then as many as the largest plan has
//! pages for, if its pages are small.

use std::sync::atomic::{AtomicBool, Ordering};

use shared::merge::RecordsPage;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Before the first page.
const FEW: usize = 4;

/// After it. At half a second a page, and with the next page on its way while one is written, that is more than the ten
/// pages a second of the largest plan, also when a few of the lists are at their end.
pub const MOST: usize = 8;

/// Bytes. Larger pages (they may have 32 MB) come of few models at a time, whose memory adds up.
const SMALL: usize = 4 << 20;

/// See the module.
pub struct Lanes {
    free: Semaphore,
    open: AtomicBool,
}

impl Lanes {
    pub fn new() -> Self {
        Self { free: Semaphore::new(FEW), open: AtomicBool::new(false) }
    }

    /// Waits for a lane, which is free again when the answer is dropped.
    pub async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.free.acquire().await.ok()
    }

    /// Merge has given a page: all lanes open if it is small.
    pub fn given(&self, page: &RecordsPage) {
        if page.bytes() <= SMALL && !self.open.swap(true, Ordering::Relaxed) {
            self.free.add_permits(MOST - FEW);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn there_are_few_lanes_until_a_page_has_come() {
        let lanes = Lanes::new();
        let enter = || lanes.enter().now_or_never().flatten();
        let mut models: Vec<_> = std::iter::from_fn(enter).collect();
        assert_eq!(models.len(), FEW);
        models.pop();
        models.extend(enter());
        assert!(enter().is_none(), "a lane that was left is free for one");
        lanes.given(&RecordsPage::empty());
        lanes.given(&RecordsPage::empty());
        models.extend(std::iter::from_fn(enter));
        assert_eq!(models.len(), MOST);
    }
}
