//! SQS: message queues, standard and FIFO, over SQS's AWS JSON protocol.
//!
//! A module of our own, because no emulator library both holds a FIFO group back while it is in
//! flight and answers with `MessageGroupId`. [`queue`] is the pure state machine, [`Registry`] the
//! actions on it, [`Sqs`] adds clock, long polling and the journal.

mod input;
mod journal;
mod message;
mod messages;
pub mod queue;
mod registry;
mod settings;

#[cfg(test)]
mod queue_tests;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use input::Input;
pub use message::{Content, Message, Millis};
pub use registry::{Home, Registry};
pub use settings::{Redrive, Settings};

use super::fault::Fault;
use journal::Journal;

/// The SQS service of one stack.
pub struct Sqs {
    registry: Mutex<Registry>,
    /// Told of every change, so that waiting receivers look again.
    changed: Notify,
    /// Turns true when the stack stops: waiting receivers answer at once.
    closing: watch::Receiver<bool>,
}

impl Sqs {
    /// Opens the service, with the journal `queues.jsonl` in `data_dir` when there is one.
    pub fn open(home: Home, data_dir: Option<&Path>, closing: watch::Receiver<bool>) -> std::io::Result<Self> {
        let stored = match data_dir {
            None => None,
            Some(directory) => Some(Journal::open(&directory.join("queues.jsonl"), now())?),
        };
        let ids = Box::new(|| uuid::Uuid::new_v4().to_string());
        Ok(Self { registry: Mutex::new(Registry::new(home, stored, ids)), changed: Notify::new(), closing })
    }

    /// Runs an action with the JSON body `input` on behalf of `sender`, an access key.
    pub async fn call(&self, action: &str, input: &Value, sender: &str) -> Result<Value, Fault> {
        let input = Input(input);
        if action == "ReceiveMessage" {
            return self.receive(&input).await;
        }
        let answer = self.lock().handle(action, &input, sender, now())?;
        if !action.starts_with("Get") && !action.starts_with("List") {
            self.changed.notify_waiters();
        }
        Ok(answer)
    }

    async fn receive(&self, input: &Input<'_>) -> Result<Value, Fault> {
        let wait = match input.seconds("WaitTimeSeconds", 20)? {
            Some(wait) => wait,
            None => self.lock().receive_wait(input)?,
        };
        let deadline = Instant::now() + Duration::from_millis(wait);
        let mut closing = self.closing.clone();
        loop {
            // Before the attempt, so that a change between it and the wait is not missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let next = {
                let mut registry = self.lock();
                let now = now();
                let answer = registry.receive(input, now)?;
                if registry.take_buried() {
                    self.changed.notify_waiters();
                }
                if let Some(answer) = answer {
                    return Ok(answer);
                }
                registry.next_change(input, now)?.map(|at| Instant::now() + Duration::from_millis(at - now))
            };
            let until = next.map_or(deadline, |next| next.min(deadline));
            if Instant::now() >= deadline || *closing.borrow() {
                return Ok(json!({}));
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(until) => {}
                outcome = closing.changed() => if outcome.is_err() {
                    return Ok(json!({}));
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in milliseconds since the Unix epoch.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}
