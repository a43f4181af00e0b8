//! A process: what a function runs in, and what dies when it crashes. Every effect of a process passes its gate, where
//! the world may delay it, kill the process before or after it, or lose its answer.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{Notify, oneshot};

use crate::chance::Faults;
use crate::happenings::Happening;
use crate::sim::Sim;

/// See the module.
#[derive(Debug, Default)]
pub struct Process {
    pub name: String,
    /// How far its clock is off.
    pub skew: SignedDuration,
    /// Whoever looks on: nothing happens to it, and it leaves no trace.
    quiet: bool,
    dead: AtomicBool,
    /// Something was made to go wrong since the invocation began.
    faulted: AtomicBool,
    invocations: AtomicU64,
    killed: Notify,
}

/// What an effect is, as far as it matters when its process dies over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Asks AWS and changes nothing.
    Read,
    /// Stores a record.
    Record,
    /// Commits a page.
    Commit,
    /// Any other call of AWS.
    Write,
    /// A call of Merge's API, which has its own patience.
    Merge,
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

#[derive(Clone, Copy)]
enum Fate {
    Answered,
    DiesBefore,
    DiesAfter,
    Unsent,
    Lost,
    Stray,
}

/// The SDK's patience for one attempt.
const SILENCE: Duration = Duration::from_secs(3);

impl Process {
    pub fn new(name: String, skew: SignedDuration) -> Arc<Self> {
        Arc::new(Self { name, skew, ..Self::default() })
    }

    /// Whoever looks on.
    pub fn quiet() -> Arc<Self> {
        Arc::new(Self { quiet: true, ..Self::default() })
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

    /// Which of the process's invocations runs, from 1.
    pub fn invocation(&self) -> u64 {
        self.invocations.load(Ordering::Relaxed)
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
        self.invocations.fetch_add(1, Ordering::Relaxed);
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
    pub async fn effect<T, F>(self: &Arc<Self>, sim: &Sim, deed: Deed, effect: F) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        if self.quiet {
            return Ok(effect.await);
        }
        let Journey { fate, there, back, outlives } = self.journey(sim, deed);
        if !matches!(fate, Fate::Answered) {
            self.fault();
        }
        match fate {
            Fate::DiesBefore => {
                sim.note(&format!("{} dies before an effect", self.name));
                sim.happened(Happening::KilledBefore);
                self.die();
                return std::future::pending().await;
            }
            Fate::Unsent => return Err(NoAnswer::Unsent),
            _ => {}
        }
        let (tell, told) = oneshot::channel();
        let (process, world) = (Arc::clone(self), sim.clone());
        tokio::spawn(async move {
            tokio::time::sleep(there).await;
            if process.is_dead() && !outlives {
                return;
            }
            if tell.is_closed() && deed != Deed::Read {
                world.happened(Happening::CarriedOutLate);
            }
            // Nobody may be waiting any more.
            drop(tell.send(effect.await));
        });
        let answer = match (fate, deed) {
            (Fate::Lost, _) => {
                tokio::time::sleep(SILENCE).await;
                sim.happened(Happening::AnswerLost);
                return Err(NoAnswer::Lost);
            }
            (_, Deed::Merge) => told.await,
            _ => match tokio::time::timeout(SILENCE, told).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.fault();
                    return Err(NoAnswer::Lost);
                }
            },
        };
        let Ok(answer) = answer else { return std::future::pending().await };
        if let Fate::DiesAfter = fate {
            sim.note(&format!("{} dies after an effect", self.name));
            sim.happened(match deed {
                Deed::Record => Happening::KilledAfterRecord,
                Deed::Commit => Happening::KilledAfterCommit,
                Deed::Read | Deed::Write | Deed::Merge => Happening::KilledAfter,
            });
            self.die();
            return std::future::pending().await;
        }
        tokio::time::sleep(back).await;
        Ok(answer)
    }

    /// What becomes of an effect, and how long it takes.
    fn journey(&self, sim: &Sim, deed: Deed) -> Journey {
        let (faults, mut chance) = (self.faults(sim), sim.chance());
        // There are few commits, and many records: each is met often enough.
        let (crash, stray) = match deed {
            Deed::Commit => (faults.crash * 10.0, faults.stray),
            Deed::Record => (faults.crash, faults.stray * 4.0),
            Deed::Read => (faults.crash, 0.0),
            Deed::Write | Deed::Merge => (faults.crash, faults.stray),
        };
        let fate = if chance.hits(crash) {
            if chance.below(2) == 0 { Fate::DiesBefore } else { Fate::DiesAfter }
        } else if chance.hits(faults.lost) {
            Fate::Lost
        } else if chance.hits(stray) {
            Fate::Stray
        } else if chance.hits(faults.unsent) {
            Fate::Unsent
        } else {
            Fate::Answered
        };
        let there = match fate {
            Fate::Stray => chance.millis(5_000, 60_000),
            _ if chance.hits(faults.slow) => chance.millis(500, 15_000),
            _ if deed == Deed::Commit && chance.hits(faults.slow_commit) => chance.millis(500, 15_000),
            _ => chance.millis(1, 12),
        };
        let outlives = matches!(fate, Fate::Stray) || chance.hits(faults.outlives);
        Journey { fate, there, back: chance.millis(1, 6), outlives }
    }
}

/// An effect's way to AWS or Merge and back.
struct Journey {
    fate: Fate,
    there: Duration,
    back: Duration,
    /// It happens though its process is dead by then.
    outlives: bool,
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
