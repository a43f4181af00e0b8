//! A schedule: a function that EventBridge Scheduler invokes at a fixed rate.
//!
//! With a speed of X it runs X times as often, and event time runs X times as fast. Both clocks agree at
//! `origin`; tick n is due n · `every_seconds` / X after it and bears the time origin + n · `every_seconds`.
//! So functions that are told origin and speed know the event time at any moment.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::lambda::trace::Trace;
use crate::lambda::{Host, Invocation};

/// What a schedule invokes, and when.
#[derive(Debug, Clone)]
pub struct ScheduleOptions {
    /// Cargo binary of the function.
    pub binary: String,
    pub every_seconds: u64,
    /// Event JSON with EventBridge Scheduler's context attributes.
    pub input: String,
    /// When the stack started; the last tick that was due by now comes at once.
    pub origin: Timestamp,
    pub speed: f64,
}

/// Invocations at once. A slow one overlaps with the next, as in AWS; more than two mean that this machine does not
/// keep up with its speed, and would only fall further behind. Ticks beyond are missed; the poller makes up for them.
const AT_ONCE: usize = 2;

/// A running schedule; dropping it ends it.
#[derive(Debug)]
pub struct Schedule {
    ticker: JoinHandle<()>,
}

impl Schedule {
    pub fn start(options: ScheduleOptions, host: Host) -> Self {
        Self { ticker: tokio::spawn(run(options, host)) }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

/// One invocation as the schedule would do it at event time `at`.
pub async fn tick(options: &ScheduleOptions, host: &Host, at: Timestamp) -> Invocation {
    let chain = Trace::start(at.as_second().unsigned_abs());
    host.invoke(&options.binary, input(&options.input, at).into(), &chain).await
}

async fn run(options: ScheduleOptions, host: Host) {
    let period = Duration::from_secs_f64(options.every_seconds as f64 / options.speed);
    let since = SystemTime::now().duration_since(options.origin.into()).unwrap_or_default();
    let missed = (since.as_secs_f64() / period.as_secs_f64()).floor();
    let first = Instant::now() - (since - period.mul_f64(missed)).min(since);
    let mut ticks = interval_at(first, period);
    // A machine that slept has missed ticks; EventBridge does not make up for them either.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let running = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let due = ticks.tick().await;
        let number = missed + (due.duration_since(first).as_secs_f64() / period.as_secs_f64()).round();
        let elapsed = SignedDuration::from_secs(number as i64 * options.every_seconds as i64);
        let at = options.origin.saturating_add(elapsed).unwrap_or(options.origin);
        // Scheduler does not wait for an invocation.
        let Ok(permit) = Arc::clone(&running).try_acquire_owned() else { continue };
        let (options, host) = (options.clone(), host.clone());
        tokio::spawn(async move {
            let _running = permit;
            tick(&options, &host, at).await
        });
    }
}

/// The event with its context attributes filled in.
fn input(template: &str, at: Timestamp) -> String {
    let time = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    template.replace("<aws.scheduler.scheduled-time>", &time).replace("<aws.scheduler.attempt-number>", "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduled_time_stands_in_the_event() {
        let at = Timestamp::from_second(1_700_000_000).expect("in range");
        let event = input(r#"{"scheduled_time": "<aws.scheduler.scheduled-time>"}"#, at);
        assert_eq!(event, r#"{"scheduled_time": "2023-11-14T22:13:20Z"}"#);
    }
}
