//! A shared stack: started by the first of a file's tests that needs it, stopped by the last that is done with it.
//!
//! Whoever stops it checks what is left, and fails if something is.

use std::any::type_name_of_val;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::permissions::{self, Watch};
use super::{Setup, System, leftovers, long};

/// No test takes this long unless it hangs: half an hour, and six with `tests/run --long`.
fn patience() -> Duration {
    Duration::from_secs(if long() { 21_600 } else { 1_800 })
}

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
    /// Names of the tests that run on it now.
    users: Vec<String>,
    system: Option<Arc<System>>,
    watch: Watch,
}

impl SharedStack {
    pub const fn new(setup: fn() -> Setup) -> Self {
        Self { setup, slot: Mutex::new(Slot { users: Vec::new(), system: None, watch: Watch::new() }) }
    }

    /// Runs a test on the stack.
    pub fn run(&self, test: impl AsyncFnOnce(&System)) {
        // That of the closure: `e2e::relink::an_abandoned_one::{{closure}}`.
        let name = type_name_of_val(&test).trim_end_matches("::{{closure}}").trim_start_matches("e2e::").to_owned();
        let system = self.acquire(&name);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            RUNTIME.block_on(async {
                timeout(patience(), test(&system)).await.expect("the test hangs");
            });
        }));
        let left = self.release(system, &name);
        if let Err(panic) = outcome {
            eprintln!("{left}");
            resume_unwind(panic);
        }
        assert!(left.is_empty(), "{left}");
    }

    fn acquire(&self, name: &str) -> Arc<System> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut *slot;
        if slot.system.is_none() {
            let started = RUNTIME.block_on(System::start((self.setup)()));
            slot.system = Some(Arc::new(started));
            slot.watch = Watch::new();
        }
        let system = slot.system.clone().expect("a running stack");
        if !slot.users.is_empty() {
            // What was needed until now is not this test's doing.
            slot.watch.look(&system.stack, &slot.users);
        }
        slot.users.push(name.to_owned());
        system
    }

    /// What was left behind, if this was the last user.
    fn release(&self, system: Arc<System>, name: &str) -> leftovers::Report {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut *slot;
        slot.watch.look(&system.stack, &slot.users);
        slot.users.retain(|user| user != name);
        drop(system);
        if !slot.users.is_empty() {
            return leftovers::Report::default();
        }
        permissions::write();
        let system = slot.system.take().and_then(Arc::into_inner).expect("nobody else uses the stack");
        RUNTIME.block_on(leftovers::stop(system))
    }
}

/// Runs a test on a stack of its own.
pub fn alone(setup: fn() -> Setup, test: impl AsyncFnOnce(&System)) {
    SharedStack::new(setup).run(test);
}
