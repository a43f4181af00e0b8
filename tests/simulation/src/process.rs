//! A process: what a function runs in, and what dies when it crashes. Every effect of a process passes its gate, where
//! the world may delay it, kill the process before or after it, or lose its answer.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{Notify, oneshot};

use crate::chance::Faults;
use crate::sim::Sim;

/// See the module.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    /// How far its clock is off.
    pub skew: SignedDuration,
    /// Whoever looks on: nothing happens to it, and it leaves no trace.
    quiet: bool,
    dead: AtomicBool,
    /// Something was made to go wrong since the invocation began.
    faulted: AtomicBool,
    killed: Notify,
}

/// Why an effect has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// It was never sent.
    Unsent,
    /// It happened, or will.
    Lost,
}

/// How an invocation ended.
#[derive(Debug)]
pub enum Ended<T> {
    Answered(T),
    Crashed,
    TimedOut,
}

enum Fate {
    Answered,
    DiesBefore,
    DiesAfter,
    Unsent,
    Lost,
}

/// Longer than the SDK's patience for one attempt.
const SILENCE: Duration = Duration::from_secs(3);

impl Process {
    pub fn new(name: String, skew: SignedDuration) -> Arc<Self> {
        let (dead, faulted) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { name, skew, quiet: false, dead, faulted, killed: Notify::new() })
    }

    /// Whoever looks on.
    pub fn quiet() -> Arc<Self> {
        let (dead, faulted) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self {
            name: String::new(),
            skew: SignedDuration::ZERO,
            quiet: true,
            dead,
            faulted,
            killed: Notify::new(),
        })
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// What may happen to this process now.
    pub fn faults(&self, sim: &Sim) -> Faults {
        if self.quiet { Faults::default() } else { sim.faults() }
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub fn was_faulted(&self) -> bool {
        self.faulted.load(Ordering::Relaxed)
    }

    /// Notes that the world made something go wrong.
    pub fn fault(&self) {
        self.faulted.store(true, Ordering::Relaxed);
    }

    fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.killed.notify_one();
    }

    /// Runs one invocation: until it answers, crashes, or its time is up. Only the first leaves the process alive.
    pub async fn invoke<T>(&self, most: Duration, work: impl Future<Output = T>) -> Ended<T> {
        self.faulted.store(false, Ordering::Relaxed);
        let work = Skewed { skew: self.skew, work: Box::pin(work) };
        tokio::select! {
            biased;
            () = self.killed.notified() => Ended::Crashed,
            answer = work => Ended::Answered(answer),
            () = tokio::time::sleep(most) => {
                self.dead.store(true, Ordering::Relaxed);
                Ended::TimedOut
            }
        }
    }

    /// Sends an effect on its way. It happens after a while, whatever becomes of the process, if it outlives it.
    pub async fn effect<T, F>(self: &Arc<Self>, sim: &Sim, effect: F) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        if self.quiet {
            return Ok(effect.await);
        }
        let (fate, there, back, outlives) = {
            let (faults, mut chance) = (self.faults(sim), sim.chance());
            let fate = if chance.hits(faults.crash) {
                if chance.below(2) == 0 { Fate::DiesBefore } else { Fate::DiesAfter }
            } else if chance.hits(faults.lost) {
                Fate::Lost
            } else if chance.hits(faults.unsent) {
                Fate::Unsent
            } else {
                Fate::Answered
            };
            let there = if chance.hits(faults.slow) { chance.millis(500, 15_000) } else { chance.millis(1, 12) };
            (fate, there, chance.millis(1, 6), chance.hits(faults.outlives))
        };
        if !matches!(fate, Fate::Answered) {
            self.fault();
        }
        match fate {
            Fate::DiesBefore => {
                sim.note(&format!("{} crashes before an effect", self.name));
                self.die();
                return std::future::pending().await;
            }
            Fate::Unsent => return Err(NoAnswer::Unsent),
            _ => {}
        }
        let (tell, told) = oneshot::channel();
        let process = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(there).await;
            if process.is_dead() && !outlives {
                return;
            }
            // Nobody may be waiting any more.
            drop(tell.send(effect.await));
        });
        if let Fate::Lost = fate {
            tokio::time::sleep(SILENCE).await;
            return Err(NoAnswer::Lost);
        }
        let Ok(answer) = told.await else { return std::future::pending().await };
        if let Fate::DiesAfter = fate {
            sim.note(&format!("{} crashes after an effect", self.name));
            self.die();
            return std::future::pending().await;
        }
        tokio::time::sleep(back).await;
        Ok(answer)
    }
}

thread_local! {
    static SKEW: Cell<SignedDuration> = const { Cell::new(SignedDuration::ZERO) };
}

/// How far off the clock is for whoever is running now.
pub fn skew() -> SignedDuration {
    SKEW.get()
}

/// Work that sees its process's clock.
struct Skewed<F> {
    skew: SignedDuration,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Skewed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let before = SKEW.replace(self.skew);
        let polled = self.work.as_mut().poll(context);
        SKEW.set(before);
        polled
    }
}
