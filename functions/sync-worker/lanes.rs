//! Lanes: how many models of an account are read side by side. Few until Merge has given a page, so that a refused key
//! or an outage costs few calls (Merge blocks an address after 20 errors in 10 s); then as many as the largest plan has
//! pages for.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Before the first page.
const FEW: usize = 2;

/// After it. At half a second a page, and with the next page on its way while one is written, that is more than the ten
/// pages a second of the largest plan. Two pages of each, of 32 MB at most, still fit into the worker's memory.
pub const MOST: usize = 6;

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

    /// Merge has given a page: all lanes open.
    pub fn open(&self) {
        if !self.open.swap(true, Ordering::Relaxed) {
            self.free.add_permits(MOST - FEW);
        }
    }
}
