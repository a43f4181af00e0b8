//! A shared stack: started by the first of a file's tests that needs it, stopped by the last that is done with it.
//!
//! Whoever stops it checks what is left, and fails if something is.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Setup, System, leftovers};

/// No test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Every stack and every test runs here, for as long as the process lives.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// See the module.
pub struct SharedStack {
    setup: fn() -> Setup,
    slot: Mutex<Slot>,
}

struct Slot {
    users: usize,
    system: Option<Arc<System>>,
}

impl SharedStack {
    pub const fn new(setup: fn() -> Setup) -> Self {
        Self { setup, slot: Mutex::new(Slot { users: 0, system: None }) }
    }

    /// Runs a test on the stack.
    pub fn run(&self, test: impl AsyncFnOnce(&System)) {
        let system = self.acquire();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            RUNTIME.block_on(async {
                timeout(PATIENCE, test(&system)).await.expect("the test hangs");
            });
        }));
        let left = self.release(system);
        if let Err(panic) = outcome {
            eprintln!("{left}");
            resume_unwind(panic);
        }
        assert!(left.is_empty(), "{left}");
    }

    fn acquire(&self) -> Arc<System> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.system.is_none() {
            let started = RUNTIME.block_on(System::start((self.setup)()));
            slot.system = Some(Arc::new(started));
        }
        slot.users += 1;
        slot.system.clone().expect("a running stack")
    }

    /// What was left behind, if this was the last user.
    fn release(&self, system: Arc<System>) -> leftovers::Report {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.users -= 1;
        drop(system);
        if slot.users > 0 {
            return leftovers::Report::default();
        }
        let system = slot.system.take().and_then(Arc::into_inner).expect("nobody else uses the stack");
        RUNTIME.block_on(leftovers::stop(system))
    }
}

/// Runs a test on a stack of its own.
pub fn alone(setup: fn() -> Setup, test: impl AsyncFnOnce(&System)) {
    SharedStack::new(setup).run(test);
}
